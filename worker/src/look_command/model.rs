//! Models that look, and what they see.

use anyhow::{Context, Result};
use augment::resize_for_probe;
use dino::Encoder;
use dino::backbone;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use run_spec::config::ResolvedConfig;
use tch::{Device, Tensor};
use torch_shim::panics::catch_torch_panic;

use super::pictures::Pictures;
use crate::cli::{LookArgs, ModelArgs};
use crate::device;
use crate::environment::Environment;
use crate::features::{self, Trained};
use crate::released::{self, Frozen};

/// A model, and the size at which it sees images.
#[derive(Debug)]
pub(super) struct Model {
    /// Its name on sheets.
    pub(super) name: String,
    encoder: Encoder,
    side: i64,
}

impl Model {
    /// Opens the run that `named` names: NAME=URI, or a URI that names it by its last part.
    pub(super) fn of_run(named: &str, args: &LookArgs, environment: &Environment) -> Result<Self> {
        let (name, run) = name_and_place(named);
        let of_run = ModelArgs { run: run.to_owned(), step: args.step, threads: args.threads };
        let Trained { config, checkpoint, teacher, .. } = features::open(&of_run, environment)?;
        let side = args.size.unwrap_or(config.crops.global_size);
        Self::of(format!("run `{name}`, step {}", checkpoint.step), teacher, side)
    }

    /// Opens the file of weights that `named` names, in the same way.
    pub(super) fn of_weights(named: &str, args: &LookArgs, environment: &Environment) -> Result<Self> {
        let (name, file) = name_and_place(named);
        let config = ResolvedConfig::untrained("", "the defaults", &[])?;
        let device = device::open(config.device, args.threads, environment)?;
        let released = released::open(file, None, None, device.device)?;
        let encoder = released.model.into_encoder();
        let encoder = encoder.with_context(|| format!("{name} has no patch tokens and no attention"))?;
        Self::of(name.to_owned(), encoder, args.size.unwrap_or(config.crops.global_size))
    }

    fn of(name: String, encoder: Encoder, side: i64) -> Result<Self> {
        encoder.verify_side(side).with_context(|| name.clone())?;
        Ok(Self { name, encoder, side })
    }

    /// The network.
    pub(super) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Patches along each side of an image.
    pub(super) fn grid(&self) -> u32 {
        (self.side / self.encoder.backbone().shape().patch) as u32
    }

    /// Side of an image in pixels, as the model sees it.
    pub(super) fn side(&self) -> u32 {
        self.side as u32
    }
}

/// `NAME=URI` in two, or a URI after its last part.
fn name_and_place(named: &str) -> (&str, &str) {
    match named.split_once('=') {
        Some((name, place)) if !name.is_empty() && !name.contains(['/', ':']) => (name, place),
        _ => {
            let trimmed = named.trim_end_matches('/');
            (trimmed.rsplit('/').next().unwrap_or(trimmed), named)
        }
    }
}

/// What a model sees in one image.
#[derive(Debug)]
pub(super) struct Seen {
    /// Width of a token.
    pub(super) dim: usize,
    /// Patch tokens `[N, dim]`, row by row of the image.
    pub(super) patches: Vec<f32>,
    /// For each head the shares of the CLS token's attention that patches get, `[N]`. What is missing to 1 goes to the CLS token
    /// and to registers.
    pub(super) attention: Vec<Vec<f32>>,
}

/// Shows images to models.
#[derive(Debug)]
pub(super) struct Viewer<'a> {
    pictures: &'a Pictures,
    /// Images per forward pass.
    batch: usize,
    /// Reads, decodes and resizes.
    pool: ThreadPool,
}

impl<'a> Viewer<'a> {
    /// With `threads` that make images ready (0: all cores), `batch` of them for each forward pass.
    pub(super) fn new(pictures: &'a Pictures, batch: usize, threads: u64) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads as usize).build().context("cannot start threads")?;
        Ok(Self { pictures, batch: batch.max(1), pool })
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.pictures.len()
    }

    /// What `model` sees in each of `images`.
    pub(super) fn seen(&self, model: &Model, images: &[usize]) -> Result<Vec<Seen>> {
        let mut all = Vec::new();
        let first_patch = model.encoder().backbone().first_patch() as usize;
        for images in images.chunks(self.batch) {
            let batch = self.batch_of(model, images)?;
            let seen = catch_torch_panic::<_, anyhow::Error>("look", || Ok(model.encoder().seen(&batch)))?;
            all.extend(parted(&seen, first_patch));
        }
        Ok(all)
    }

    /// The feature `[D]` of each image of all, one after the other.
    pub(super) fn features(&self, model: &Model) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        let images: Vec<usize> = (0..self.pictures.len()).collect();
        for images in images.chunks(self.batch) {
            let batch = self.batch_of(model, images)?;
            let features = catch_torch_panic::<_, anyhow::Error>("look", || Ok(model.encoder().features(&batch)))?;
            all.extend(numbers(&features));
        }
        Ok(all)
    }

    fn batch_of(&self, model: &Model, images: &[usize]) -> Result<Tensor> {
        let (pictures, side) = (self.pictures, model.side);
        let prepare = |&i: &usize| Ok(resize_for_probe(pictures.rgb(i)?, side as usize)?.data);
        let views: Vec<Vec<f32>> = self.pool.install(|| images.par_iter().map(prepare).collect::<Result<_>>())?;
        Ok(Tensor::from_slice(&views.concat()).view([images.len() as i64, 3, side, side]))
    }

    /// Runs `work`, which is cut up among these threads.
    pub(super) fn on_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}

/// A batch image by image.
fn parted(seen: &backbone::Seen, first_patch: usize) -> Vec<Seen> {
    let (sizes, tokens) = (seen.attention.size(), seen.patches.size());
    let (heads, all, dim) = (sizes[1] as usize, sizes[2] as usize, tokens[2] as usize);
    let (patches, attention) = (numbers(&seen.patches), numbers(&seen.attention));
    let of_head = |shares: &[f32]| shares[first_patch..].to_vec();
    patches
        .chunks_exact(tokens[1] as usize * dim)
        .zip(attention.chunks_exact(heads * all))
        .map(|(patches, shares)| Seen {
            dim,
            patches: patches.to_vec(),
            attention: shares.chunks_exact(all).map(of_head).collect(),
        })
        .collect()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(Device::Cpu).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_people_or_by_their_last_part() {
        assert_eq!(name_and_place("s3://bucket/runs/seed-1/"), ("seed-1", "s3://bucket/runs/seed-1/"));
        assert_eq!(name_and_place("no KoLeo=s3://bucket/runs/2"), ("no KoLeo", "s3://bucket/runs/2"));
        assert_eq!(name_and_place("runs/lr=1"), ("lr=1", "runs/lr=1"));
    }

    #[test]
    fn images_of_a_batch_keep_their_own_tokens_and_shares() {
        // Two images, two heads, one CLS token and one register before three patches of width 2.
        let patches = Tensor::arange(12, (tch::Kind::Float, Device::Cpu)).view([2, 3, 2]);
        let attention = Tensor::arange(20, (tch::Kind::Float, Device::Cpu)).view([2, 2, 5]);
        let seen = parted(&backbone::Seen { patches, attention }, 2);
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[1].dim, seen[1].patches[0], seen[1].patches.len()), (2, 6.0, 6));
        assert_eq!(seen[1].attention, [vec![12.0, 13.0, 14.0], vec![17.0, 18.0, 19.0]]);
    }
}
