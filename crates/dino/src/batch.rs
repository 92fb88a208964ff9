//! What a step sees of the data.

use crate::{
    DinoError, RankShare,
    backbone::BackboneShape,
    parcel::{Parcel, Sent, Slot},
};
use std::convert::Infallible;
use tch::{Device, Kind, Tensor};
use torch_shim::crossing;

/// The crops of this rank's part of the global batch.
///
/// B images, those of a [`RankShare`] in its order; L local crops; N patches of a global crop. Images are normalised floats
/// on the model's device; masks and numbers stay in host memory: what the device needs of them is worked out here, and sent in one copy.
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
    /// The batch with its images on `device`, by way of pinned memory; those that are there already are shared, not copied.
    pub fn to_device(&self, device: Device) -> Self {
        self.with_images(|images| crossing::send(images, device))
    }

    /// The batch with what `of` makes of its images: of the global crops `[2, B, 3, H, W]`, and of the local ones `[L, B, 3, h, w]`.
    pub fn with_images(&self, mut of: impl FnMut(&Tensor) -> Tensor) -> Self {
        let Ok(batch) = self.try_with_images(|images| Ok::<_, Infallible>(of(images)));
        batch
    }

    /// As [`CropBatch::with_images`].
    ///
    /// # Errors
    /// That of `of`.
    pub fn try_with_images<E>(&self, mut of: impl FnMut(&Tensor) -> Result<Tensor, E>) -> Result<Self, E> {
        Ok(Self {
            global: of(&self.global)?,
            local: self.local.as_ref().map(of).transpose()?,
            masks: self.masks.shallow_clone(),
            koleo_exclusion: self.koleo_exclusion.as_ref().map(Tensor::shallow_clone),
        })
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
    /// Masked patches `[2, b, N]`, bool, on the device.
    pub(crate) masks: Tensor,
    /// Numbers of images for KoLeo `[b]`, i64, on the device.
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
        let mut parcel = Parcel::default();
        let mut lists = |from: i64, to_: i64| {
            let share = RankShare { first: share.first + from, images: to_ - from, ..*share };
            let of = |t: &Tensor, axis| t.narrow(axis, from, share.images);
            let numbers = batch.koleo_exclusion.as_ref().map(|t| parcel.add(crossing::whole_numbers(&of(t, 0))));
            (share, Lists::of(&of(&batch.masks, 1), tokens, &share, &mut parcel), numbers)
        };
        let listed: Vec<_> = ends.windows(2).map(|w| lists(w[0], w[1])).collect();
        let sent = parcel.send(to.1);
        let part = |(share, lists, numbers): (RankShare, Lists, Option<Slot>), from: &i64| {
            let of = |t: &Tensor| t.narrow(1, *from, share.images);
            Self {
                global: of(&batch.global),
                local: batch.local.as_ref().map(of),
                masks: lists.masks(&sent),
                koleo_exclusion: numbers.map(|slot| sent.list(&slot)),
                masked: lists.masked(&sent, to.0),
                share,
            }
        };
        listed.into_iter().zip(&ends).map(|(listed, from)| part(listed, from)).collect()
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

/// What the host works out about the masks of a part, on its way to the device.
struct Lists {
    /// Axes of the masks: 2, b, N.
    size: [i64; 3],
    masks: Slot,
    rows: Slot,
    counts: Slot,
    group: Slot,
}

impl Lists {
    /// Of `masks` `[2, b, N]` in host memory, as `wanted` says.
    fn of(masks: &Tensor, wanted: TokensWanted, share: &RankShare, parcel: &mut Parcel) -> Self {
        let TokensWanted { first_patch: first, masked_patches } = wanted;
        let (two, b, n) = masks.size3().expect("masks were checked");
        let masks = crossing::whole_numbers(masks);
        let bytes: Vec<u8> = masks.iter().map(|masked| *masked as u8).collect();
        let (mut rows, mut counts, mut group): (Vec<i64>, Vec<i64>, Vec<i64>) = Default::default();
        rows.extend((0..two * b).map(|crop| crop * (first + n)));
        for (crop, patches) in masks.chunks_exact(n.max(1) as usize).enumerate().filter(|_| masked_patches) {
            let crop = crop as i64;
            let count: i64 = patches.iter().sum();
            let masked = patches.iter().zip(0..).filter(|(masked, _)| **masked != 0);
            rows.extend(masked.map(|(_, patch)| crop * (first + n) + patch + first));
            counts.resize(counts.len() + count as usize, count);
            group.resize(counts.len(), (crop % b + share.first) / share.group_size());
        }
        let masks = parcel.add_bytes(&bytes);
        Self { size: [two, b, n], masks, rows: parcel.add(rows), counts: parcel.add(counts), group: parcel.add(group) }
    }

    fn masks(&self, sent: &Sent) -> Tensor {
        sent.bytes(&self.masks, self.size.iter().product()).view(self.size).to_kind(Kind::Bool)
    }

    fn masked(&self, sent: &Sent, kind: Kind) -> Masked {
        Masked {
            rows: sent.list(&self.rows),
            weights: sent.list(&self.counts).to_kind(Kind::Double).reciprocal().to_kind(kind),
            group: sent.list(&self.group),
        }
    }
}
