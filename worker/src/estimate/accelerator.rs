//! What a rank computes on, by the figures of its maker, or this machine's processor as it is measured.

use std::path::Path;

use anyhow::{Context, Result, bail};
use run_spec::config::{Precision, TrainConfig};
use run_spec::layer::{nearest, suggestion};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use super::Span;

/// One GPU, or a machine without.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accelerator {
    /// What people call it.
    pub(super) name: String,
    /// Memory in GiB.
    memory_gib: f64,
    /// Operations a second with f32, in Tflop/s.
    f32_tflops: f64,
    /// The same with bf16 or f16, dense.
    bf16_tflops: f64,
    /// Power while it works, in watts.
    pub(super) watts: f64,
    /// What a rank sends to its peers, in GB/s.
    pub(super) link_gb_per_s: f64,
    /// Share of these operations that a training step reaches.
    #[serde(default = "on_gpus")]
    efficiency: [f64; 2],
    /// Memory of libraries before anything is computed, in GiB.
    #[serde(default = "one")]
    pub(super) libraries_gib: f64,
    #[serde(skip)]
    pub(super) is_cpu: bool,
    #[serde(skip)]
    half: bool,
}

/// Eager steps of vision transformers: small ones wait for launches, large ones for memory.
fn on_gpus() -> [f64; 2] {
    [0.2, 0.4]
}

fn one() -> f64 {
    1.0
}

/// Name, memory in GiB, Tflop/s in f32 and bf16 (dense), watts, GB/s to the peers: data sheets of the SXM cards, PCIe for the L40S.
const KNOWN: [(&str, &str, [f64; 5]); 4] = [
    ("h100", "H100 SXM 80 GB", [79.6, 67.0, 989.0, 700.0, 450.0]),
    ("h200", "H200 SXM 141 GB", [139.8, 67.0, 989.0, 700.0, 450.0]),
    ("a100", "A100 SXM 80 GB", [79.2, 19.5, 312.0, 400.0, 300.0]),
    ("l40s", "L40S 48 GB", [44.9, 91.6, 362.0, 350.0, 25.0]),
];

/// The names of the GPUs that are known.
pub(crate) const KINDS: [&str; 4] = [KNOWN[0].0, KNOWN[1].0, KNOWN[2].0, KNOWN[3].0];

impl Accelerator {
    /// By its name, `cpu` for this machine, or a file of these fields in JSON.
    pub(super) fn named(name: &str, config: &TrainConfig) -> Result<Self> {
        let half = matches!(config.train.precision, Precision::Bf16 | Precision::F16);
        if name == "cpu" {
            return Ok(Self { half, ..this_machine(half) });
        }
        if let Some((_, name, [memory_gib, f32_tflops, bf16_tflops, watts, link_gb_per_s])) =
            KNOWN.iter().find(|(key, ..)| *key == name)
        {
            let (memory_gib, f32_tflops, bf16_tflops) = (*memory_gib, *f32_tflops, *bf16_tflops);
            let (watts, link_gb_per_s, libraries_gib) = (*watts, *link_gb_per_s, one());
            let (name, efficiency, is_cpu) = ((*name).to_owned(), on_gpus(), false);
            return Ok(Self {
                name,
                memory_gib,
                f32_tflops,
                bf16_tflops,
                watts,
                link_gb_per_s,
                efficiency,
                libraries_gib,
                is_cpu,
                half,
            });
        }
        if !Path::new(name).is_file() && !name.contains(['/', '.']) {
            bail!("--gpu {name}: unknown GPU{}", what_else(name));
        }
        let text = terminal::read_text("GPU file", Path::new(name))?;
        let read: Self = serde_json::from_str(&text).with_context(|| format!("--gpu {name}"))?;
        Ok(Self { half, ..read })
    }

    pub(super) fn memory_bytes(&self) -> f64 {
        self.memory_gib * f64::from(1 << 30)
    }

    /// Operations a second that a training step reaches.
    pub(super) fn flops_per_s(&self) -> Span {
        let peak = 1e12 * if self.half { self.bf16_tflops } else { self.f32_tflops };
        Span { least: self.efficiency[0] * peak, most: self.efficiency[1] * peak }
    }

    /// Where the range of the speed comes from.
    pub(super) fn reason(&self) -> String {
        let [least, most] = self.efficiency.map(|share| share * 100.0);
        let of = if self.is_cpu { "the matrix rate measured here" } else { "the peak of its data sheet" };
        format!("{least:.0} to {most:.0} % of {of}")
    }
}

/// What may be meant by a `name` that no GPU has: the end of a sentence.
fn what_else(name: &str) -> String {
    let known: Vec<&str> = KNOWN.iter().map(|(key, ..)| *key).chain(["cpu"]).collect();
    nearest(name, known.iter().copied()).map_or_else(
        || format!("; known are {}, or give a JSON file that describes one (docs/clusters.md)", known.join(", ")),
        suggestion,
    )
}

/// The processor of this machine: its matrix rate with the threads that LibTorch takes, and all of its memory.
fn this_machine(half: bool) -> Accelerator {
    let cores = tch::get_num_threads();
    let threads = f64::from(cores);
    let kind = if half { Kind::BFloat16 } else { Kind::Float };
    let tflops = crate::timing::matrix_rate(Device::Cpu, kind, 3) / 1e3;
    Accelerator {
        name: format!("this machine's processor ({})", terminal::counted(cores, "thread")),
        memory_gib: memory_gib(),
        f32_tflops: tflops,
        bf16_tflops: tflops,
        watts: energy::CORE_WATTS * threads,
        // Ranks of one host, through its memory.
        link_gb_per_s: 1.0,
        efficiency: [0.7, 1.0],
        libraries_gib: 0.28,
        is_cpu: true,
        half,
    }
}

/// All memory of this machine, 0 where the system does not say.
fn memory_gib() -> f64 {
    let facts = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = facts.lines().find(|line| line.starts_with("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / f64::from(1 << 20)
}
