//! A small shard set in memory, a small model, and jobs that train it.

use run_folder::{CheckpointRecord, MetricsLine, Run};
use run_spec::config::ResolvedConfig;
use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use shards::{Codec, Header, Manifest, PatchRow, RgbImage, ShardLimits, ShardWriter, shard_key};
use std::sync::atomic::{AtomicU32, Ordering};
use store::{Store, Waiting};
use training::{Ending, NodePlace, Observer, OpenDevice, Ranks, StopWish, TrainingFailure, TrainingJob};

const SIDE: u32 = 28;
pub(crate) const STEPS: u64 = 4;

/// A store that no other test knows.
pub(crate) fn memory() -> Store {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    Store::open(&format!("memory://training-{}", COUNT.fetch_add(1, Ordering::Relaxed))).unwrap()
}

fn row(n: u32) -> PatchRow {
    let data = (0..SIDE * SIDE * 3).map(|i| (i * (n + 3) % 251) as u8).collect();
    let encoded = Codec::Png.encode(&RgbImage::from_raw(SIDE, SIDE, data).unwrap()).unwrap();
    let image = format!("{n}.png");
    let key = PatchKey { source: "s", image: &image, x: 0, y: 0, w: SIDE, h: SIDE, product: Product::Patches };
    PatchRow {
        id: patch_id(&key),
        pixel_digest: encoded.pixel_digest,
        source: "s".into(),
        image: image.as_str().into(),
        group: image.as_str().into(),
        x: 0,
        y: 0,
        w: SIDE,
        h: SIDE,
        label: None,
        licence: "CC0-1.0".into(),
        bytes: encoded.bytes,
        path: image,
    }
}

/// A set of `rows` rows; row number `bad` holds bytes that are not an image.
pub(crate) fn shards(rows: u32, bad: Option<u32>) -> Store {
    let store = memory();
    let mut writer = ShardWriter::new(Product::Patches, Codec::Png, ShardLimits::default());
    for n in 0..rows {
        let mut row = row(n);
        if bad == Some(n) {
            row.bytes = b"no image".to_vec();
        }
        writer.push(row).unwrap();
    }
    let shard = writer.finish(&shard_key(0)).unwrap();
    shard.publish(&store).unwrap();
    let (builder, config) = ("test".into(), Digest::of(b"config"));
    let header = Header { product: Product::Patches, codec: Codec::Png, builder, config, patch_px: SIDE };
    let mut manifest = Manifest::builder(header);
    manifest.add(&shard);
    manifest.finish().publish(&store).unwrap();
    store
}

/// A model of two small blocks that trains on four images a step.
pub(crate) fn config(sets: &[&str]) -> ResolvedConfig {
    let text = format!(
        "model: {{dim: 24, depth: 2, heads: 2, patch: 7}}\n\
         head: {{prototypes: 32, hidden: 16, bottleneck: 8}}\n\
         loss: {{n_local: 0, local_loss_above: 0, dino_normaliser: terms, koleo_weight: 0.0}}\n\
         optim: {{lr: 1e-3, warmup_epochs: 0, epochs: 1, epoch_length: {STEPS}}}\n\
         teacher: {{temp_epochs: 0}}\n\
         crops: {{global_size: 28, local_size: 14}}\n\
         augmentation: {{pipeline: dinov2}}\n\
         train: {{batch_size: 4, threads: 1}}\n\
         checkpoint: {{every_steps: 2}}\n\
         log: {{every_steps: 1, collapse_every_steps: 2}}\n"
    );
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    ResolvedConfig::from_yaml(&text, "the test's configuration", &sets).unwrap()
}

/// A job on the CPU that refuses nothing.
pub(crate) fn job<'a>(config: &'a ResolvedConfig, shards: &Store, run: &Store) -> TrainingJob<'a> {
    TrainingJob {
        config,
        run: run.clone(),
        shards: shards.clone(),
        waiting: Waiting::default(),
        cache: None,
        device: OpenDevice { device: tch::Device::Cpu, description: "CPU".to_owned() },
        as_levels: false,
        place: NodePlace { first_of_node: true, gpu: None },
        code: "test",
        stop_at: None,
        stop: StopWish::default(),
        probe: None,
        verify: &|_, _| Ok(()),
    }
}

/// Trains on one rank.
pub(crate) fn train(job: &TrainingJob<'_>, observer: &mut dyn Observer) -> Result<Ending, TrainingFailure> {
    tch::set_num_threads(1);
    training::train(job, &Ranks::solo(), observer)
}

/// The last checkpoint of a run and its bytes.
pub(crate) fn last_checkpoint(run: &Store) -> (CheckpointRecord, bytes::Bytes) {
    Run::of(run.clone()).last_checkpoint().unwrap()
}

/// Watches a training and shows nothing of it.
pub(crate) struct Silent;

impl Observer for Silent {
    fn on_begin(&mut self, _: u64, _: u64) {}
    fn on_metrics(&mut self, _: &MetricsLine) {}
    fn on_step(&mut self, _: u64) {}
    fn on_end(&mut self) {}
}
