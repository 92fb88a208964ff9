//! The words a configuration may use: one closed set a key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A closed set of words; the first is the default.
macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident {
        $(#[$fdoc:meta])* $first:ident = $fword:literal,
        $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $(#[$fdoc])* #[default] #[serde(rename = $fword)] $first,
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }
        impl $name {
            /// The words a configuration may use.
            pub const WORDS: &'static [&'static str] = &[$fword, $($word),+];

            /// The word of this value, as a configuration spells it.
            pub fn word(self) -> &'static str {
                match self { Self::$first => $fword, $(Self::$variant => $word),+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.word()) }
        }
    };
}

word_enum! {
    /// Where tensors live: on the GPU or in host memory.
    Device {
        /// CUDA if there is any, else CPU.
        Auto = "auto",
        /// The CPU, in host memory.
        Cpu = "cpu",
        /// CUDA, or an error.
        Cuda = "cuda",
    }
}
word_enum! {
    /// How the ranks communicate.
    Collective {
        /// What the launcher and the device ask for: one rank, MPI on CPUs, NCCL on GPUs.
        Auto = "auto",
        /// One rank, whatever the launcher says.
        Solo = "solo",
        /// MPI on host memory.
        Mpi = "mpi",
        /// NCCL on CUDA devices.
        Nccl = "nccl",
    }
}
word_enum! {
    /// What decides how often a source is drawn.
    Sampling {
        /// Its share of the rows: every row once in each pass over the set.
        Uniform = "uniform",
        /// The weights of `data.source_weights`, by source.
        Weights = "weights",
        /// Its rows, tempered by `data.sampling_temperature`.
        Temperature = "temperature",
    }
}
word_enum! {
    /// Which pairs KoLeo does not treat as neighbours, although their features are close.
    KoleoExclude {
        /// Every pair counts, as published: two copies in a batch make the term as large as its eps allows.
        None = "none",
        /// Images of the same pixels, and blank ones.
        Copies = "copies",
        /// Images cut from the same source image, and blank ones.
        SameImage = "same_image",
    }
}
word_enum! {
    /// Order of the channels in training.
    ChannelOrder {
        /// Red, green, blue: as evaluation reads images.
        Rgb = "rgb",
        /// Blue, green, red: the published training code reads with OpenCV and never converts.
        Bgr = "bgr",
    }
}
word_enum! {
    /// Feed-forward layer of a block.
    Ffn {
        /// Linear, exact GELU, linear.
        Mlp = "mlp",
        /// Fused SwiGLU, as in ViT-g.
        Swiglu = "swiglu",
    }
}
word_enum! {
    /// How teacher logits become targets.
    Centering {
        /// Sinkhorn-Knopp over the global batch.
        SinkhornKnopp = "sinkhorn_knopp",
        /// Softmax of logits less a moving average.
        MovingAverage = "centering",
        /// Softmax of logits as they are. Collapses: kept as an ablation.
        None = "none",
    }
}
word_enum! {
    /// How the DINO terms are weighed against each other and against iBOT.
    DinoNormaliser {
        /// Divided by `2 + max(2·n_local, 1)` as published, so the DINO:iBOT ratio moves with the number of local crops.
        Published = "published",
        /// Each of the `2 + 2·n_local` terms has equal weight, summing to 1.
        Terms = "terms",
    }
}
word_enum! {
    /// Interpolation of a crop's resize.
    Interpolation {
        /// OpenCV's bilinear, as in RedDino's code.
        Bilinear = "bilinear",
        /// Pillow's bicubic with antialias (DINOv2).
        Bicubic = "bicubic",
    }
}
word_enum! {
    /// Which augmentation a run uses.
    Pipeline {
        /// RedDino's: some of 33 pixel transforms, flips, quarter turns.
        Albumentations = "albumentations",
        /// DINOv2's: colour jitter, greyscale, blur, solarise.
        Dinov2 = "dinov2",
        /// DinoBloom's: DINOv2's crops, then RandAugment.
        Hema = "hema",
    }
}
word_enum! {
    /// Arithmetic of forward and backward; weights, EMA and centring are f32 or wider in all of them.
    Precision {
        /// 32-bit floats, without autocast.
        F32 = "f32",
        /// 64-bit floats, for parity checks.
        F64 = "f64",
        /// bfloat16 by autocast, without a gradient scaler.
        Bf16 = "bf16",
        /// Half precision with a gradient scaler.
        F16 = "f16",
    }
}
word_enum! {
    /// The dtype in which gradients travel between ranks.
    Wire {
        /// That in which they are computed: f32, or f64 in a run of `f64`.
        AsComputed = "as_computed",
        /// bfloat16.
        Bf16 = "bf16",
    }
}
