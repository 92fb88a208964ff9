//! What a step sees of the data.

use crate::{DinoError, RankShare, backbone::BackboneShape};
use tch::{Device, Kind, Tensor};

/// The crops of this rank's part of the global batch.
///
/// B images, those of a [`RankShare`] in its order; L local crops; N patches of a global crop. Images are normalised floats
/// on the model's device; masks may stay on the CPU.
#[derive(Debug)]
pub struct CropBatch {
    /// Global crops `[2, B, 3, H, W]`.
    pub global: Tensor,
    /// Local crops `[L, B, 3, h, w]`; needed only where [`crate::losses::DinoWeights::uses_local`].
    pub local: Option<Tensor>,
    /// Masked patches of the student's global crops `[2, B, N]` bool.
    pub masks: Tensor,
    /// KoLeo does not take images of the same number as neighbours: `[B]` i64 below 2⁵³; needed only where
    /// `loss.koleo_exclude` is not `none`.
    pub koleo_exclusion: Option<Tensor>,
}

impl CropBatch {
    /// The batch with its images and masks on `device`; those that are there already are shared, not copied.
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            global: self.global.to_device(device),
            local: self.local.as_ref().map(|local| local.to_device(device)),
            masks: self.masks.to_device(device),
            koleo_exclusion: self.koleo_exclusion.as_ref().map(Tensor::shallow_clone),
        }
    }

    /// Images on this rank.
    pub fn images(&self) -> i64 {
        self.global.size().get(1).copied().unwrap_or(0)
    }

    /// Checks the shapes against each other, the model and the images that this rank should hold.
    ///
    /// # Errors
    /// [`DinoError::Batch`] naming the tensor.
    pub fn check(&self, shape: &BackboneShape, images: i64, n_local: Option<i64>) -> Result<(), DinoError> {
        let demand = |right: bool, what: &'static str, t: &Tensor, expected: String| {
            if right {
                return Ok(());
            }
            Err(DinoError::Batch { what, found: t.size(), expected })
        };
        let p = shape.patch;
        let crops = |t: &Tensor, n: i64| {
            let s = t.size();
            s.len() == 5 && s[0] == n && s[1] > 0 && s[2] == 3 && s[3] > 0 && s[4] > 0 && s[3] % p == 0 && s[4] % p == 0
        };
        demand(
            crops(&self.global, 2),
            "global crops",
            &self.global,
            format!("[2, images, 3, height, width] with sides that are multiples of {p} is needed"),
        )?;
        let size = self.global.size();
        let (b, n) = (size[1], size[3] / p * (size[4] / p));
        demand(
            b == images,
            "global crops",
            &self.global,
            format!("this rank's share of the global batch is {images} images"),
        )?;
        demand(
            self.masks.size() == [2, b, n] && self.masks.kind() == Kind::Bool,
            "mask tensor",
            &self.masks,
            format!("bool of [2, {b}, {n}] is needed"),
        )?;
        let Some(n_local) = n_local else {
            return Ok(());
        };
        let expected = format!("[{n_local}, {b}, 3, height, width] is needed");
        match &self.local {
            None => Err(DinoError::Batch { what: "local crops", found: Vec::new(), expected }),
            Some(local) => demand(crops(local, n_local) && local.size()[1] == b, "local crops", local, expected),
        }
    }
}

/// Some consecutive images of a batch, that go through the networks together.
#[derive(Debug)]
pub(crate) struct SubBatch {
    /// `[2, b, 3, H, W]`.
    pub(crate) global: Tensor,
    /// `[L, b, 3, h, w]`.
    pub(crate) local: Option<Tensor>,
    /// Masked patches `[2, b, N]`, bool.
    pub(crate) masks: Tensor,
    /// Numbers of images for KoLeo `[b]`, i64.
    pub(crate) koleo_exclusion: Option<Tensor>,
    /// Where the masked patches of these images are.
    pub(crate) masked: Masked,
    /// Which images of the global batch they are.
    pub(crate) share: RankShare,
}

impl SubBatch {
    /// Where the parts of a rank's images begin, 0 first, and the end of the last.
    pub(crate) fn ends(share: &RankShare, count: i64) -> impl Iterator<Item = i64> {
        let images = share.images;
        (0..=count).map(move |i| i * images / count)
    }

    /// Cuts `batch`, the images of `share`, into `count` parts that differ by at most one image.
    pub(crate) fn cut(
        batch: &CropBatch,
        share: &RankShare,
        count: i64,
        tokens: TokensWanted,
        to: (Kind, Device),
    ) -> Vec<Self> {
        let ends: Vec<i64> = Self::ends(share, count).collect();
        let part = |from: i64, to_: i64| {
            let images = to_ - from;
            let of = |t: &Tensor| t.narrow(1, from, images);
            let share = RankShare { first: share.first + from, images, ..*share };
            let masks = of(&batch.masks);
            Self {
                global: of(&batch.global),
                local: batch.local.as_ref().map(of),
                masked: Masked::new(&masks, tokens, &share, to),
                masks,
                koleo_exclusion: batch.koleo_exclusion.as_ref().map(|t| t.narrow(0, from, images)),
                share,
            }
        };
        ends.windows(2).map(|w| part(w[0], w[1])).collect()
    }
}

/// Which tokens of a global crop the heads see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokensWanted {
    /// Index of the first patch among the tokens of a crop.
    pub(crate) first_patch: i64,
    /// Whether masked patches are wanted beside the CLS token: without iBOT nothing is learned from them.
    pub(crate) masked_patches: bool,
}

/// Where the masked tokens are, and what each counts. Without iBOT M is 0, whatever is masked.
#[derive(Debug)]
pub(crate) struct Masked {
    /// Rows of the flattened tokens `[2B · T, D]`: first the 2B CLS tokens, then the M masked patches.
    pub(crate) rows: Tensor,
    /// `[M]`: 1 / masked patches of the same crop.
    pub(crate) weights: Tensor,
    /// `[M]` i64: the loss group of the patch.
    pub(crate) group: Tensor,
}

impl Masked {
    /// Of `masks` `[2, B, N]`, as `wanted` says.
    pub(crate) fn new(masks: &Tensor, wanted: TokensWanted, share: &RankShare, to: (Kind, Device)) -> Self {
        let TokensWanted { first_patch: first, masked_patches } = wanted;
        let (two, b, n) = masks.size3().expect("masks were checked");
        let masks = masks.to_device(Device::Cpu).reshape([two * b, n]);
        let tokens = first + n;
        let place = masks.nonzero(); // [M, 2]: crop, patch
        let place = if masked_patches { place } else { place.narrow(0, 0, 0) };
        let (crop, patch) = (place.select(1, 0), place.select(1, 1));
        let cls = Tensor::arange(two * b, (Kind::Int64, Device::Cpu)) * tokens;
        let rows = Tensor::cat(&[cls, &crop * tokens + patch + first], 0);
        let counts = masks.sum_dim_intlist([1].as_slice(), false, Kind::Double); // [2B]
        let group = (crop.remainder(b) + share.first).divide_scalar_mode(share.group_size(), "floor");
        Self {
            rows: rows.to_device(to.1),
            weights: counts.index_select(0, &crop).reciprocal().to_kind(to.0).to_device(to.1),
            group: group.to_kind(Kind::Int64).to_device(to.1),
        }
    }
}
