//! The section `slurm` of a sweep file: what one trial asks of the cluster. Pure.
//!
//! What is not written is left to the site's defaults. An arm may ask for something else (`slurm.nodes: 2`); none of it is in
//! any digest, since a trial is the same experiment wherever it runs.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use run_spec::layer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Keys that hold for the whole sweep and not for one arm.
const OF_THE_SWEEP: [&str; 3] = ["max_parallel", "max_array_size", "poll_s"];

/// What one job asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// Partition.
    pub(crate) partition: Option<String>,
    /// Account.
    pub(crate) account: Option<String>,
    /// Quality of service.
    pub(crate) qos: Option<String>,
    /// Time limit as Slurm writes it (`24:00:00`, or minutes).
    pub(crate) time: Option<String>,
    /// Nodes.
    pub(crate) nodes: u32,
    /// Tasks on each node: one a GPU.
    pub(crate) ntasks_per_node: u32,
    /// GPUs on each node.
    pub(crate) gpus_per_node: Option<u32>,
    /// CPUs of each task.
    pub(crate) cpus_per_task: Option<u32>,
    /// Memory of each node, as Slurm writes it (`60G`).
    pub(crate) mem: Option<String>,
    /// Seconds before the time limit at which a job is told to write its checkpoint.
    pub(crate) signal_s: u32,
    /// Further options of `sbatch`, each with its dashes.
    pub(crate) extra: Vec<String>,
}

/// What the two jobs of a trial ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shapes {
    /// Training.
    pub(crate) train: Shape,
    /// All probes of a trained model, one after another.
    pub(crate) probe: Shape,
}

/// The section, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    /// Trials of one array that may run at once (`%N`); none: as many as fit.
    pub(crate) max_parallel: Option<u32>,
    /// Tasks of one array; none: the cluster's MaxArraySize.
    pub(crate) max_array_size: Option<u32>,
    /// Seconds between two questions to Slurm, at least.
    pub(crate) poll_s: f64,
    train: Value,
    probe: Value,
}

fn shape_defaults() -> Value {
    json!({
        "partition": null, "account": null, "qos": null, "time": null, "nodes": 1, "ntasks_per_node": 1, "gpus_per_node": null,
        "cpus_per_task": null, "mem": null, "signal_s": 300, "extra": [],
    })
}

impl Section {
    /// Reads the section; `null` is one in which nothing is written.
    ///
    /// # Errors
    /// An unknown key (the nearest is named), or a value of the wrong kind.
    pub(crate) fn read(written: &Value) -> Result<Self> {
        let mut known = object(&shape_defaults());
        known.insert("probe".to_owned(), json!({}));
        known.extend(object(&json!({"max_parallel": null, "max_array_size": null, "poll_s": 15.0})));
        let mut all = object(&layer::layer(&Value::Object(known), written.clone(), "slurm")?);
        let mut take = |key: &str| all.remove(key).unwrap_or_default();
        let (probe, parallel, size, poll) =
            (take("probe"), take("max_parallel"), take("max_array_size"), take("poll_s"));
        let section = Self {
            max_parallel: count("max_parallel", &parallel)?,
            max_array_size: count("max_array_size", &size)?,
            poll_s: poll
                .as_f64()
                .filter(|s| (0.0..=3600.0).contains(s))
                .with_context(|| format!("`slurm.poll_s`: 0 to 3600 seconds are expected, not {poll}"))?,
            train: Value::Object(all),
            probe,
        };
        section.shapes(&BTreeMap::new())?;
        Ok(section)
    }

    /// What the jobs of an arm ask for: `delta` is the arm's own, without the leading `slurm.`.
    ///
    /// # Errors
    /// An unknown key, or a value of the wrong kind.
    pub(crate) fn shapes(&self, delta: &BTreeMap<String, Value>) -> Result<Shapes> {
        let (mut train, mut probe) = (Map::new(), Map::new());
        for (key, value) in delta {
            ensure!(
                !OF_THE_SWEEP.contains(&key.as_str()),
                "`slurm.{key}` is the same for all arms: write it in the section `slurm`"
            );
            match key.strip_prefix("probe.") {
                Some(key) => probe.insert(key.to_owned(), value.clone()),
                None => train.insert(key.clone(), value.clone()),
            };
        }
        let train = layer::layer(&self.train, Value::Object(train), "slurm")?;
        let mut alone = object(&train);
        alone.insert("nodes".to_owned(), json!(1));
        alone.insert("ntasks_per_node".to_owned(), json!(1));
        if train["gpus_per_node"].as_u64().is_some_and(|gpus| gpus > 1) {
            alone.insert("gpus_per_node".to_owned(), json!(1));
        }
        let common = layer::layer(&Value::Object(alone), self.probe.clone(), "slurm.probe")?;
        let probe = layer::layer(&common, Value::Object(probe), "slurm.probe")?;
        let shapes = Shapes { train: shape(train).context("`slurm`")?, probe: shape(probe).context("`slurm.probe`")? };
        let tasks = shapes.probe.nodes * shapes.probe.ntasks_per_node;
        ensure!(tasks == 1, "`slurm.probe`: a probe is one task, not {tasks}: leave out nodes and ntasks_per_node");
        Ok(shapes)
    }
}

impl Shape {
    /// Tasks of the job.
    pub(crate) fn tasks(&self) -> u32 {
        self.nodes * self.ntasks_per_node
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn count(key: &str, value: &Value) -> Result<Option<u32>> {
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    number.map(Some).with_context(|| format!("`slurm.{key}`: a number from 1 is expected, not {value}"))
}

fn shape(value: Value) -> Result<Shape> {
    let mut value = object(&value);
    // `time: 60` and `mem: 4000` are numbers to YAML and words to Slurm.
    for key in ["partition", "account", "qos", "time", "mem"] {
        if let Some(number) = value.get(key).filter(|v| v.is_number()).map(Value::to_string) {
            value.insert(key.to_owned(), Value::String(number));
        }
    }
    let shape: Shape = serde_json::from_value(Value::Object(value)).context("a value is of the wrong kind")?;
    ensure!(shape.nodes > 0 && shape.ntasks_per_node > 0, "`nodes` and `ntasks_per_node` count from 1");
    let words = [&shape.partition, &shape.account, &shape.qos, &shape.time, &shape.mem];
    for word in words.into_iter().flatten() {
        let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:,+@/".contains(c));
        ensure!(plain, "{word:?} cannot stand in a job script: letters, digits and -_.:,+@/ are expected");
    }
    if let Some(bad) = shape.extra.iter().find(|option| !option.starts_with("--") || option.contains('\n')) {
        bail!("`extra`: {bad:?} is no option of sbatch: write it with its dashes, `--constraint=a100`");
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<Section> {
        Section::read(&layer::parse_yaml(text, "slurm").unwrap())
    }

    fn arm(key: &str, value: Value) -> BTreeMap<String, Value> {
        BTreeMap::from([(key.to_owned(), value)])
    }

    #[test]
    fn a_probe_asks_for_what_training_asks_for_on_one_gpu() {
        let text =
            "{partition: gpu, time: 24:00:00, nodes: 2, ntasks_per_node: 8, gpus_per_node: 8, probe: {time: 90}}";
        let shapes = section(text).unwrap().shapes(&BTreeMap::new()).unwrap();
        assert_eq!((shapes.train.tasks(), shapes.train.time.as_deref()), (16, Some("24:00:00")));
        let probe = shapes.probe;
        assert_eq!((probe.tasks(), probe.gpus_per_node, probe.time.as_deref()), (1, Some(1), Some("90")));
        assert_eq!(probe.partition.as_deref(), Some("gpu"));
    }

    #[test]
    fn an_arm_may_ask_for_another_shape() {
        let section = section("{nodes: 1, mem: 4000}").unwrap();
        let shapes = section.shapes(&arm("nodes", json!(4))).unwrap();
        assert_eq!((shapes.train.nodes, shapes.probe.nodes, shapes.train.mem.as_deref()), (4, 1, Some("4000")));
        assert_eq!(section.shapes(&arm("probe.mem", json!("9G"))).unwrap().probe.mem.as_deref(), Some("9G"));
        let error = section.shapes(&arm("max_parallel", json!(4))).unwrap_err().to_string();
        assert!(error.contains("is the same for all arms"), "{error}");
    }

    #[test]
    fn mistakes_name_the_key() {
        let message = |text: &str| format!("{:#}", section(text).unwrap_err());
        assert_eq!(message("{partitin: gpu}"), "slurm: unknown key `partitin`; did you mean `partition`?");
        assert_eq!(message("{probe: {tim: 3}}"), "slurm.probe: unknown key `tim`; did you mean `time`?");
        assert!(message("{nodes: many}").contains("`slurm`: a value is of the wrong kind"));
        assert!(message("{extra: [constraint=a100]}").contains("no option of sbatch"));
        assert!(message("{partition: 'a b'}").contains("cannot stand in a job script"));
        assert!(message("{max_parallel: 0}").contains("a number from 1"));
        assert!(message("{probe: {nodes: 2}}").contains("a probe is one task"));
    }
}
