//! `worker bench --loader SET`: how many images of a shard set a core reads, decodes and augments in a second, and how many cores that
//! makes for a GPU of each kind.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use augment::{Recipe, ViewKey, views_into};
use bytes::Bytes;
use run_spec::config::ResolvedConfig;
use serde::Serialize;
use shards::ShardSet;
use tch::Device;
use training::Source;

use crate::cli::BenchArgs;
use crate::estimate::{self, KINDS, Span, short};
use crate::timing::{SMALL, busy_s, median};

const BASE: &str = include_str!("../../configs/train/reddino-base.yaml");
const LARGE: &str = include_str!("../../configs/train/reddino-large.yaml");
/// Images that each stage is measured on.
const IMAGES: u64 = 32;
/// Rounds of the augmentation, of which the median counts.
const ROUNDS: usize = 5;
/// Images of a step of the loader, and steps that are timed.
const BATCH: u64 = 16;
const STEPS: u64 = 6;

/// What the arguments ask for, of the set at `uri`.
pub(crate) fn bench(uri: &str, args: &BenchArgs) -> Result<()> {
    let set = Arc::new(ShardSet::open(&store::Store::open(uri)?)?);
    ensure!(!set.is_empty(), "{uri}: the set has no rows; build one with `shard-builder build`");
    let files: Vec<(u64, Bytes)> =
        (0..IMAGES.min(set.len())).map(|row| Ok((row, set.image_bytes(row)?))).collect::<Result<_>>()?;
    let read_s = wall(&files, |(row, _)| Ok(set.image_bytes(*row).map(drop)?))?;
    let decode_s = busy(&files, |(row, file)| Ok(set.rgb_of(*row, file).map(drop)?))?;
    let recipes = [0, 8].map(|n_local| Stages::of(&set, &files, n_local));
    let recipes = recipes.into_iter().collect::<Result<Vec<_>>>()?;
    let per_image_s = decode_s + recipes[0].views_s;
    let needs = needs(per_image_s)?;
    Ok(terminal::report(
        &Loading { set: uri.to_owned(), images: files.len(), read_s, decode_s, recipes, needs },
        args.json,
    )?)
}

/// What loading costs on this machine.
#[derive(Debug, Serialize)]
struct Loading {
    set: String,
    /// Images that each stage was measured on.
    images: usize,
    /// Seconds in which one thread reads an image file, the store's answer included.
    read_s: f64,
    /// Seconds of a core that decoding an image takes, its digest included.
    decode_s: f64,
    recipes: Vec<Stages>,
    needs: Vec<Need>,
}

/// RedDino's augmentation with a number of local crops.
#[derive(Debug, Serialize)]
struct Stages {
    local_crops: i64,
    /// Seconds of a core for the views of an image as normalised floats, and as bytes.
    views_s: f64,
    views_as_bytes_s: f64,
    /// Images per second of the whole loader, with one and with two threads that decode and augment.
    loader_per_s: [f64; 2],
}

/// What a GPU takes in with two global crops.
#[derive(Debug, Serialize)]
struct Need {
    gpu: &'static str,
    model: &'static str,
    images_per_s: Span,
    cores: Span,
}

impl Stages {
    fn of(set: &Arc<ShardSet>, files: &[(u64, Bytes)], n_local: i64) -> Result<Self> {
        let config = recipe_with(n_local, 1)?;
        let recipe = Recipe::new(&config)?;
        let (global, local) = recipe.sides();
        let numbers = 3 * (2 * global * global + recipe.n_local() * local * local);
        let (mut floats, mut levels) = (vec![0f32; numbers], vec![0u8; numbers]);
        let key = |row: u64| ViewKey { seed: 0, draw: row };
        let images: Vec<_> =
            files.iter().map(|(row, file)| Ok((*row, set.rgb_of(*row, file)?))).collect::<Result<_>>()?;
        let (mut as_floats, mut as_bytes) = (Vec::new(), Vec::new());
        // In turns, so that a busy machine slows both alike.
        for _ in 0..ROUNDS {
            as_floats.push(busy(&images, |(row, image)| {
                Ok(views_into(image.clone(), &recipe, key(*row), split(&mut floats, (global, local)))?)
            })?);
            as_bytes.push(busy(&images, |(row, image)| {
                Ok(views_into(image.clone(), &recipe, key(*row), split(&mut levels, (global, local)))?)
            })?);
        }
        let (views_s, views_as_bytes_s) = (median(as_floats), median(as_bytes));
        let per_s = |threads: u64| -> Result<f64> {
            let config = recipe_with(n_local, threads)?;
            let source = Source::new(&config, Arc::clone(set), 0, 1)?;
            Ok(BATCH as f64 / training::time_loading(source, &config, STEPS, Device::Cpu)?)
        };
        Ok(Self { local_crops: n_local, views_s, views_as_bytes_s, loader_per_s: [per_s(1)?, per_s(2)?] })
    }
}

/// The published recipe of RedDino-small with `n_local` local crops that count.
fn recipe_with(n_local: i64, threads: u64) -> Result<ResolvedConfig> {
    let sets = [
        format!("loss.n_local={n_local}"),
        format!("train.batch_size={BATCH}"),
        "train.loss_groups=1".to_owned(),
        format!("train.data_threads={threads}"),
        format!("train.read_threads={threads}"),
    ];
    Ok(ResolvedConfig::from_yaml(SMALL, "reddino-small.yaml", &sets)?)
}

/// The views in `numbers`: two of the first side, then those of the second.
fn split<N>(numbers: &mut [N], (global, local): (usize, usize)) -> impl Iterator<Item = &mut [N]> {
    let (first, rest) = numbers.split_at_mut(2 * 3 * global * global);
    first.chunks_exact_mut(3 * global * global).chain(rest.chunks_exact_mut(3 * local * local))
}

/// Seconds of this thread on a processor for each of `items`, after one that is not counted: other programs make no difference.
fn busy<T>(items: &[T], mut work: impl FnMut(&T) -> Result<()>) -> Result<f64> {
    work(items.first().context("nothing to measure on")?)?;
    let began = busy_s();
    items.iter().try_for_each(work)?;
    Ok((busy_s() - began) / items.len() as f64)
}

/// Seconds for each of `items`.
fn wall<T>(items: &[T], work: impl FnMut(&T) -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    items.iter().try_for_each(work)?;
    Ok(began.elapsed().as_secs_f64() / items.len() as f64)
}

/// What GPUs take in, by `worker estimate`, and the cores that give it to them at `per_image_s` seconds of a core for an image.
fn needs(per_image_s: f64) -> Result<Vec<Need>> {
    let mut needs = Vec::new();
    for (model, text) in [("ViT-S/14", SMALL), ("ViT-B/14", BASE), ("ViT-L/14", LARGE)] {
        let config = ResolvedConfig::from_yaml(text, model, &[])?;
        for gpu in KINDS {
            let images_per_s = estimate::images_per_s_of_one(&config, gpu)?;
            needs.push(Need { gpu, model, images_per_s, cores: images_per_s.map(|images| images * per_image_s) });
        }
    }
    Ok(needs)
}

impl terminal::Report for Loading {
    fn text(&self) -> String {
        let rate = |seconds: f64| format!("{}/s", short(1.0 / seconds));
        let mut rows = vec![
            ["local crops", "read", "decode", "views", "as bytes", "all, 1 thread", "2 threads", "gain"]
                .map(String::from)
                .to_vec(),
        ];
        for of in &self.recipes {
            let [one, two] = of.loader_per_s;
            rows.push(vec![
                of.local_crops.to_string(),
                rate(self.read_s),
                rate(self.decode_s),
                rate(of.views_s),
                rate(of.views_as_bytes_s),
                format!("{}/s", short(one)),
                format!("{}/s", short(two)),
                format!("{:.2}×", two / one),
            ]);
        }
        let mut needs = vec![["GPU", "model", "takes images", "cores for them"].map(String::from).to_vec()];
        for need in &self.needs {
            needs.push(vec![
                need.gpu.to_owned(),
                need.model.to_owned(),
                need.images_per_s.text("per s"),
                need.cores.text("cores"),
            ]);
        }
        format!(
            "Images per second of RedDino's augmentation, on {} images of {}\n{}\n\
             Read is the time of one thread, the store's answer included; decode and views are images per second of one core.\n\n\
             What one GPU takes in with two global crops (see `worker estimate`), and the cores of this machine that decode and augment so many\n{}",
            self.images,
            self.set,
            terminal::columns(&rows, &[1, 2, 3, 4, 5, 6, 7]),
            terminal::columns(&needs, &[2, 3]),
        )
    }
}
