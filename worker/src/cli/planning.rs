//! Options of the commands that say what a run will do and need before it begins: `plan`, `simulate`, `estimate`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Training configuration, a YAML file.
    pub(crate) config: PathBuf,
    /// Shard set to train on.
    #[arg(long, value_name = "URI")]
    pub(crate) shards: String,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// First step to print.
    #[arg(long, default_value_t = 0)]
    pub(crate) step: u64,
    /// Number of steps to print.
    #[arg(long, default_value_t = 1)]
    pub(crate) steps: u64,
    /// Number of ranks among which each step is divided.
    #[arg(long, default_value_t = 1)]
    pub(crate) world: u64,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Training configuration, a YAML file.
    pub(crate) config: PathBuf,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Number of ranks.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) world: usize,
    /// Number of ranks that continue after the failure [default: three quarters].
    #[arg(long, value_name = "N")]
    pub(crate) then: Option<usize>,
    /// Print it as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EstimateArgs {
    /// Training configuration, a YAML file.
    pub(crate) config: PathBuf,
    /// Change one key of the configuration.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Number of nodes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) nodes: u64,
    /// GPUs of each node, one rank on each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) gpus_per_node: u64,
    /// The GPU: h100, h200, a100, l40s, cpu (this machine, measured), or a JSON file that describes one (docs/clusters.md).
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) gpu: String,
    /// Price of one GPU for one hour, in any currency.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price: Option<f64>,
    /// Print it as a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
