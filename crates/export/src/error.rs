//! Why a model cannot be exported.

use dino::DinoError;
use dino::tensor_bytes::BytesError;
use run_spec::config::Ffn;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Images whose side does not consist of whole patches.
    #[error("{side} is not a multiple of the patch side {patch}; give one, such as {}", patch * 16)]
    Side {
        /// Side of the images in pixels.
        side: i64,
        /// Side of a patch in pixels.
        patch: i64,
    },
    /// Weights that a file of ONNX cannot hold.
    #[error(
        "an ONNX file holds at most 2 GiB, this backbone has {mib} MiB of weights; export it in the layout timm or huggingface"
    )]
    TooLarge {
        /// The weights in mebibytes.
        mib: usize,
    },
    /// A model that timm has no name for.
    #[error(
        "model.ffn and model.registers: timm's layout is written for `mlp` without registers; {ffn} with {registers} registers has no timm name here"
    )]
    NoTimmName {
        /// The model's kind of feed-forward layer.
        ffn: Ffn,
        /// The number of the model's register tokens.
        registers: i64,
    },
    /// A width of the feed-forward layer that the configuration of transformers cannot express.
    #[error(
        "model.mlp_ratio: transformers takes whole numbers only, this model has {ratio}; export it in the layout timm"
    )]
    MlpRatio {
        /// Its width as a multiple of the model's.
        ratio: f64,
    },
    /// A result row that is not about the exported checkpoint.
    #[error("{row} is of another run or step than this export; give rows of a probe of this run")]
    OtherRow {
        /// The row in words.
        row: String,
    },
    /// A number beyond what readers of safetensors agree on.
    #[error("{what} {number} does not fit a signed 64-bit number, the widest that safetensors readers agree on")]
    TooWide {
        /// Name of the tensor that should hold it.
        what: &'static str,
        /// The number that does not fit.
        number: u64,
    },
    /// A parameter is missing.
    #[error(transparent)]
    Dino(#[from] DinoError),
    /// Tensors that are no bytes.
    #[error(transparent)]
    Bytes(#[from] BytesError),
    /// JSON that cannot be written: a bug.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A table that cannot be written: a bug.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Columns that do not fit each other: a bug.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    /// Text that cannot be written: a bug.
    #[error(transparent)]
    Text(#[from] std::fmt::Error),
}
