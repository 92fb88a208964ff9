//! What checkpoints cost a run: seconds that a step waits for one, memory beyond that of the steps, and seconds of writing, beside a
//! copy of the same state in memory, in one process.
//!
//!     measure_checkpoint [GIB …]        # states of so many GiB (1); a tiny backbone with a large head
#![allow(clippy::print_stdout, reason = "an example shows its result on the terminal")]

use std::error::Error;
use std::time::{Duration, Instant};

use collective::Solo;
use dino::{CropBatch, MaskPlan, State, masks};
use run_folder::MetricsLine;
use run_spec::config::ResolvedConfig;
use run_spec::ids::{Digest, PatchKey, Product, patch_id};
use run_spec::schedule::Schedules;
use shards::{Codec, Header, Manifest, PatchRow, RgbImage, ShardLimits, ShardWriter, shard_key};
use store::{Store, Waiting};
use tch::{Device, Kind, Tensor};
use torch_shim::host::HostBytes;
use training::process_memory::peak_mb;
use training::{NodePlace, Observer, OpenDevice, Ranks, StopWish, TrainingJob};

const SIDE: u32 = 28;
/// Steps of the run, and between two checkpoints.
const STEPS: u64 = 15;
const EVERY: u64 = 3;
/// Width of the head's last layer, by which the state grows with the prototypes.
const BOTTLENECK: u64 = 256;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    tch::set_num_threads(2);
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, gib] = &words[..]
        && word == "steps"
    {
        return take_steps(&config(gib.parse()?)?);
    }
    println!("GiB    copy s   stall s (later, first)   of a copy   host peak of the state   written s");
    let sizes = if words.is_empty() { vec!["1".to_owned()] } else { words };
    sizes.iter().try_for_each(|size| measure(size))
}

/// Steps without a run, in a process of their own, which tells its peak of memory.
fn take_steps(config: &ResolvedConfig) -> Result<(), Failure> {
    let mut state = State::new(config, Device::Cpu)?;
    let share = state.share(0, 1)?;
    let crops = Tensor::randn([2, 2, 3, i64::from(SIDE), i64::from(SIDE)], (Kind::Float, Device::Cpu));
    for step in 0..STEPS {
        let plan = MaskPlan { config: &config.masks, seed: 1, step, share, grid: config.grid() };
        let batch =
            CropBatch { global: crops.shallow_clone(), local: None, masks: masks::batch(&plan), koleo_exclusion: None };
        state.step(&batch, &Schedules::new(config).at(step), &Solo::new())?;
    }
    println!("{}", peak_mb());
    Ok(())
}

fn measure(gib: &str) -> Result<(), Failure> {
    let steps = std::process::Command::new(std::env::current_exe()?).args(["steps", gib]).output()?;
    let steps_mb: u64 = String::from_utf8(steps.stdout)?.trim().parse()?;
    let config = config(gib.parse()?)?;
    let folder = tempfile::tempdir_in(".")?;
    let (shards, run) = (shards()?, Store::open(folder.path().to_str().ok_or("a path that is no text")?)?);
    let mut seen = Seen { run: &run, stalls: Vec::new(), written: Vec::new() };
    let device = OpenDevice { device: Device::Cpu, description: "CPU".to_owned() };
    let job = TrainingJob {
        config: &config,
        run: run.clone(),
        shards,
        waiting: Waiting::default(),
        cache: None,
        device,
        as_levels: false,
        place: NodePlace { first_of_node: true, gpu: None },
        code: "measure",
        stop_at: None,
        stop: StopWish::default(),
        probe: None,
        verify: &|_, _| Ok(()),
    };
    training::train(&job, &Ranks::solo(), &mut seen)?;
    let extra_mb = peak_mb().saturating_sub(steps_mb) as f64;
    // Afterwards, so that it takes no part in the peak.
    let (bytes, copy_s) = copy_in_memory(&config)?;
    let (first, later) = seen.stalls.split_first().ok_or("no stall was measured")?;
    let later = median(later);
    println!(
        "{:.2}   {copy_s:7.2}   {later:7.2} {first:7.2}   {:23.2}   {:22.2}   {:9.2}",
        bytes as f64 / f64::from(1 << 30),
        later / copy_s,
        extra_mb * f64::from(1 << 20) / bytes as f64,
        median(&seen.written),
    );
    Ok(())
}

/// Bytes of the state, and the median seconds of copying it tensor by tensor to memory that was written before.
fn copy_in_memory(config: &ResolvedConfig) -> Result<(usize, f64), Failure> {
    let tensors = State::new(config, Device::Cpu)?.tensors();
    let bytes = tensors.iter().map(|(_, t)| t.numel() * t.kind().elt_size_in_bytes()).sum();
    let mut memory = HostBytes::zeros(bytes, Device::Cpu);
    let mut seconds = Vec::new();
    for _ in 0..5 {
        let (began, mut at) = (Instant::now(), 0);
        for (_, t) in &tensors {
            memory.copy(at, t);
            at += t.numel() * t.kind().elt_size_in_bytes();
        }
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok((bytes, median(&seconds)))
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Seen<'a> {
    run: &'a Store,
    stalls: Vec<f64>,
    written: Vec<f64>,
}

impl Observer for Seen<'_> {
    fn on_begin(&mut self, _: u64, _: u64) {}
    fn on_metrics(&mut self, line: &MetricsLine) {
        let Some(metrics) = line.done() else { return };
        self.stalls.extend(metrics.checkpoint_stall_s);
        self.written.extend(metrics.checkpoint_upload_s);
    }
    fn on_step(&mut self, done: u64) {
        if done > EVERY && done.is_multiple_of(EVERY) {
            // Time that a step waits for the checkpoint before is no time of copying.
            let record = format!("checkpoints/{:08}-a0001.json", done - EVERY);
            while !self.run.exists(&record).unwrap_or(true) {
                std::thread::sleep(Duration::from_millis(5));
            }
            // The one before that is removed after it.
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    fn on_end(&mut self) {}
}

fn config(gib: f64) -> Result<ResolvedConfig, Failure> {
    // Student, teacher and two moments, in f32.
    let prototypes = (gib * f64::from(1 << 30) / 16.0 / BOTTLENECK as f64) as u64;
    let text = format!(
        "model: {{dim: 24, depth: 1, heads: 2, patch: 14}}\n\
         head: {{prototypes: {prototypes}, hidden: 16, bottleneck: {BOTTLENECK}}}\n\
         loss: {{n_local: 0, local_loss_above: 0, dino_normaliser: terms, koleo_weight: 0.0, ibot_weight: 0.0}}\n\
         optim: {{lr: 1e-3, warmup_epochs: 0, epochs: 1, epoch_length: {STEPS}}}\n\
         teacher: {{temp_epochs: 0}}\n\
         crops: {{global_size: 28, local_size: 14}}\n\
         augmentation: {{pipeline: dinov2}}\n\
         train: {{batch_size: 2, threads: 2}}\n\
         checkpoint: {{every_steps: {EVERY}, keep: 1}}\n\
         log: {{every_steps: 1}}\n"
    );
    Ok(ResolvedConfig::from_yaml(&text, "the measurement's configuration", &[])?)
}

/// Four patches in memory.
fn shards() -> Result<Store, Failure> {
    let store = Store::open("memory://measure-checkpoint")?;
    if store.exists("manifest.json")? {
        return Ok(store);
    }
    let mut writer = ShardWriter::new(Product::Patches, Codec::Png, ShardLimits::default());
    for n in 0..4 {
        writer.push(row(n)?)?;
    }
    let shard = writer.finish(&shard_key(0))?;
    shard.publish(&store)?;
    let (builder, config) = ("measure".into(), Digest::of(b"config"));
    let header = Header { product: Product::Patches, codec: Codec::Png, builder, config, patch_px: SIDE };
    let mut manifest = Manifest::builder(header);
    manifest.add(&shard);
    manifest.finish().publish(&store)?;
    Ok(store)
}

fn row(n: u32) -> Result<PatchRow, Failure> {
    let data = (0..SIDE * SIDE * 3).map(|i| (i * (n + 3) % 251) as u8).collect();
    let encoded = Codec::Png.encode(&RgbImage::from_raw(SIDE, SIDE, data).ok_or("an image of no size")?)?;
    let image = format!("{n}.png");
    let key = PatchKey { source: "s", image: &image, x: 0, y: 0, w: SIDE, h: SIDE, product: Product::Patches };
    Ok(PatchRow {
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
    })
}
