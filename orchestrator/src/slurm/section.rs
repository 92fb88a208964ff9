//! The section `slurm` of a sweep file: what one trial asks of the cluster. Pure.
//!
//! What is not written is left to the site's defaults. An arm may ask for something else (`slurm.nodes: 2`); none of it is in
//! any digest, since a trial is the same experiment wherever it runs.

use run_spec::config::Deltas;
use run_spec::layer::{ConfigError, layer};
use run_spec::typed;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::time;

/// Slurm may send a signal so much earlier than asked.
const SLURM_RESOLUTION_S: u64 = 60;

type Result<T> = std::result::Result<T, ConfigError>;

/// Keys that hold for the whole sweep and not for one arm.
pub(crate) const OF_THE_SWEEP: [&str; 3] = ["max_parallel", "max_array_size", "poll_s"];

/// What one job asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    /// Partition that the job is submitted to (`--partition`).
    #[schemars(schema_with = "word")]
    pub(crate) partition: Option<String>,
    /// Account that the job is charged to (`--account`).
    #[schemars(schema_with = "word")]
    pub(crate) account: Option<String>,
    /// Quality of service of the job (`--qos`).
    #[schemars(schema_with = "word")]
    pub(crate) qos: Option<String>,
    /// Time limit as Slurm writes it (`24:00:00`, or minutes).
    #[schemars(schema_with = "word")]
    pub(crate) time: Option<String>,
    /// Number of nodes of the job.
    pub(crate) nodes: u32,
    /// Tasks on each node: one per GPU.
    pub(crate) ntasks_per_node: u32,
    /// GPUs on each node.
    pub(crate) gpus_per_node: Option<u32>,
    /// CPUs of each task.
    pub(crate) cpus_per_task: Option<u32>,
    /// Memory of each node, as Slurm writes it (`60G`).
    #[schemars(schema_with = "word")]
    pub(crate) mem: Option<String>,
    /// Seconds before the time limit at which a job is asked to write its checkpoint.
    pub(crate) signal_s: u32,
    /// Further options of `sbatch`, each with its dashes.
    pub(crate) extra: Vec<String>,
}

/// What the two jobs of a trial ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shapes {
    /// What the training job asks for.
    pub(crate) train: Shape,
    /// All probes of a trained model, one after another.
    pub(crate) probe: Shape,
}

/// The section `slurm` of a sweep file, read and checked.
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

/// A word of Slurm's; YAML may take it for a number.
fn word(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer", "null"] })
}

/// The JSON schema of the section.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut job = settings.into_generator().into_root_schema_for::<Shape>().to_value()["properties"].take();
    for (key, default) in object(&shape_defaults()) {
        job[key]["default"] = default;
    }
    let section = |properties: &Value, description: &str| json!({"type": "object", "description": description, "properties": properties, "additionalProperties": false});
    let count = |description: &str| json!({"type": ["integer", "null"], "minimum": 1, "description": description});
    let mut all = job.clone();
    all["probe"] = section(&job, "Resources of the jobs for probes, if they differ from training");
    all["max_parallel"] = count("Trials of one array that may run at once; null: as many as fit");
    all["max_array_size"] =
        count("Largest number of tasks of one array; null: as many as the cluster's MaxArraySize allows");
    all["poll_s"] = json!({
        "type": "number", "minimum": 0, "maximum": 3600, "default": 15.0, "description": "Minimum seconds between two queries to Slurm",
    });
    section(&all, "Resources of a trial on a Slurm cluster; the site's defaults apply to keys that are left out")
}

impl Section {
    /// Reads the section; `null` is one in which nothing is written.
    ///
    /// # Errors
    /// An unknown key (the nearest is named), a value of the wrong kind or outside its range; keys begin with `slurm.`.
    pub(crate) fn read(written: &Value) -> Result<Self> {
        Self::read_alone(written).map_err(|error| error.below("slurm"))
    }

    fn read_alone(written: &Value) -> Result<Self> {
        let mut known = object(&shape_defaults());
        known.insert("probe".to_owned(), json!({}));
        known.extend(object(&json!({"max_parallel": null, "max_array_size": null, "poll_s": 15.0})));
        let mut all = object(&layer(&Value::Object(known), written.clone(), "")?);
        let mut take = |key: &str| all.remove(key).unwrap_or_default();
        let (probe, parallel, size, poll) =
            (take("probe"), take("max_parallel"), take("max_array_size"), take("poll_s"));
        let poll_s = poll.as_f64().filter(|s| (0.0..=3600.0).contains(s));
        let section = Self {
            max_parallel: count("max_parallel", &parallel)?,
            max_array_size: count("max_array_size", &size)?,
            poll_s: poll_s.ok_or_else(|| bad("poll_s", "seconds from 0 to 3600 are expected"))?,
            train: Value::Object(all),
            probe,
        };
        section.shapes_alone(&Deltas::default())?;
        Ok(section)
    }

    /// What the jobs of an arm ask for: `delta` is the arm's own, without the leading `slurm.`.
    ///
    /// # Errors
    /// As [`Section::read`].
    pub(crate) fn shapes(&self, delta: &Deltas) -> Result<Shapes> {
        self.shapes_alone(delta).map_err(|error| error.below("slurm"))
    }

    fn shapes_alone(&self, delta: &Deltas) -> Result<Shapes> {
        let (mut train, mut probe) = (Map::new(), Map::new());
        for (key, value) in delta.iter() {
            if OF_THE_SWEEP.contains(&key) {
                return Err(bad(key, "it is the same for all arms: write it in the section `slurm`"));
            }
            match key.strip_prefix("probe.") {
                Some(key) => probe.insert(key.to_owned(), value.clone()),
                None => train.insert(key.to_owned(), value.clone()),
            };
        }
        let train = layer(&self.train, Value::Object(train), "")?;
        let mut alone = object(&train);
        alone.insert("nodes".to_owned(), json!(1));
        alone.insert("ntasks_per_node".to_owned(), json!(1));
        if train["gpus_per_node"].as_u64().is_some_and(|gpus| gpus > 1) {
            alone.insert("gpus_per_node".to_owned(), json!(1));
        }
        let in_probe = |error: ConfigError| error.below("probe");
        let common = layer(&Value::Object(alone), self.probe.clone(), "").map_err(in_probe)?;
        let probe = layer(&common, Value::Object(probe), "").map_err(in_probe)?;
        let shapes = Shapes { train: shape(train)?, probe: shape(probe).map_err(in_probe)? };
        shapes.train.refuse_no_time_before_the_signal()?;
        // A probe is told nothing before its limit, unless it says how long before.
        if self.probe["signal_s"].is_number() || delta.keys().any(|key| key == "probe.signal_s") {
            shapes.probe.refuse_no_time_before_the_signal().map_err(in_probe)?;
        }
        let tasks = shapes.probe.nodes * shapes.probe.ntasks_per_node;
        if tasks != 1 {
            return Err(bad("probe", format!("a probe is one task, not {tasks}: leave out nodes and ntasks_per_node")));
        }
        Ok(shapes)
    }
}

impl Shape {
    /// Tasks of the job.
    pub(crate) fn tasks(&self) -> u32 {
        self.nodes * self.ntasks_per_node
    }

    /// A task that is signalled to return to the queue as soon as it begins would do so for ever.
    fn refuse_no_time_before_the_signal(&self) -> Result<()> {
        let limit = self.time.as_deref().and_then(time::seconds).flatten();
        let lead = u64::from(self.signal_s) + SLURM_RESOLUTION_S;
        match limit {
            Some(limit) if limit <= lead => {
                let message = format!(
                    "{limit} s leave no time to work: a task writes its checkpoint `slurm.signal_s` = {} s before its limit, and Slurm may say so {SLURM_RESOLUTION_S} s earlier; ask for more than {lead} s (a bare number is minutes), or lower signal_s",
                    self.signal_s
                );
                Err(bad("time", message))
            }
            _ => Ok(()),
        }
    }

    fn refuse_counts(&self) -> Result<()> {
        const MOST: u32 = 100_000;
        let some = |count: Option<u32>| count.unwrap_or(1);
        for (key, least, count) in [
            ("nodes", 1, self.nodes),
            ("ntasks_per_node", 1, self.ntasks_per_node),
            ("gpus_per_node", 0, some(self.gpus_per_node)),
            ("cpus_per_task", 1, some(self.cpus_per_task)),
            ("signal_s", 1, self.signal_s),
        ] {
            // Slurm holds a lead in sixteen bits.
            let most = if key == "signal_s" { u32::from(u16::MAX) } else { MOST };
            if !(least..=most).contains(&count) {
                return Err(bad(key, format!("a whole number from {least} to {most} is expected, not {count}")));
            }
        }
        Ok(())
    }

    fn refuse_words(&self) -> Result<()> {
        for (key, word) in
            [("partition", &self.partition), ("account", &self.account), ("qos", &self.qos), ("mem", &self.mem)]
        {
            let Some(word) = word else { continue };
            let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:,+@/".contains(c));
            if !plain {
                let message =
                    format!("{word:?} cannot stand in a job script: letters, digits and -_.:,+@/ are expected");
                return Err(bad(key, message));
            }
        }
        match &self.time {
            Some(text) if time::seconds(text).is_none() => {
                let message = format!(
                    "{text:?} is not a time limit of Slurm: write minutes, H:M:S or D-H:M:S, such as \"24:00:00\" or \"1-00:00:00\""
                );
                Err(bad("time", message))
            }
            _ => Ok(()),
        }
    }

    fn refuse_options(&self) -> Result<()> {
        for (index, option) in self.extra.iter().enumerate() {
            let key = format!("extra[{index}]");
            if !option.starts_with("--") || option.contains('\n') {
                let message =
                    format!("{option:?} is not an option of sbatch: write it with its dashes, `--constraint=a100`");
                return Err(bad(&key, message));
            }
            // They would undo what is checked here.
            let own = [("--time", "slurm.time"), ("--signal", "slurm.signal_s")];
            let name = option.split('=').next().unwrap_or(option);
            if let Some((_, right)) = own.iter().find(|(own, _)| *own == name) {
                return Err(bad(&key, format!("`{name}` has a key of its own: write `{right}`")));
            }
        }
        Ok(())
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn bad(key: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::BadValue { what: String::new(), key: key.to_owned(), message: message.into() }
}

fn count(key: &str, value: &Value) -> Result<Option<u32>> {
    if value.is_null() {
        return Ok(None);
    }
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    number.map(Some).ok_or_else(|| bad(key, format!("a whole number from 1 is expected, not {value}")))
}

fn shape(value: Value) -> Result<Shape> {
    let mut value = object(&value);
    // `time: 60` and `mem: 4000` are numbers to YAML and words to Slurm.
    for key in ["partition", "account", "qos", "time", "mem"] {
        if let Some(number) = value.get(key).filter(|v| v.is_number()).map(Value::to_string) {
            value.insert(key.to_owned(), Value::String(number));
        }
    }
    let shape: Shape = typed::read(&Value::Object(value), "")?;
    shape.refuse_counts()?;
    shape.refuse_words()?;
    shape.refuse_options()?;
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<Section> {
        Section::read(&run_spec::layer::parse_yaml(text, "slurm").unwrap())
    }

    fn arm(key: &str, value: Value) -> Deltas {
        Deltas::of([(key.to_owned(), value)]).unwrap()
    }

    #[test]
    fn a_probe_asks_for_what_training_asks_for_on_one_gpu() {
        let text =
            "{partition: gpu, time: 24:00:00, nodes: 2, ntasks_per_node: 8, gpus_per_node: 8, probe: {time: 90}}";
        let shapes = section(text).unwrap().shapes(&Deltas::default()).unwrap();
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
        for (text, message) in [
            ("{partitin: gpu}", "unknown key `slurm.partitin`; did you mean `slurm.partition`?"),
            ("{probe: {tim: 3}}", "unknown key `slurm.probe.tim`; did you mean `slurm.probe.time`?"),
            ("{nodes: many}", "`slurm.nodes`: a whole number from 0 to 4294967295 is expected, not the text \"many\""),
            ("{nodes: 0}", "`slurm.nodes`: a whole number from 1 to 100000 is expected, not 0"),
            (
                "{probe: {cpus_per_task: 0}}",
                "`slurm.probe.cpus_per_task`: a whole number from 1 to 100000 is expected, not 0",
            ),
            ("{signal_s: 0}", "`slurm.signal_s`: a whole number from 1 to 65535 is expected, not 0"),
            (
                "{extra: [constraint=a100]}",
                "`slurm.extra[0]`: \"constraint=a100\" is not an option of sbatch: write it with its dashes, `--constraint=a100`",
            ),
            ("{extra: [--time=3]}", "`slurm.extra[0]`: `--time` has a key of its own: write `slurm.time`"),
            (
                "{partition: 'a b'}",
                "`slurm.partition`: \"a b\" cannot stand in a job script: letters, digits and -_.:,+@/ are expected",
            ),
            ("{max_parallel: 0}", "`slurm.max_parallel`: a whole number from 1 is expected, not 0"),
            ("{poll_s: -1}", "`slurm.poll_s`: seconds from 0 to 3600 are expected"),
            ("{probe: {nodes: 2}}", "`slurm.probe`: a probe is one task, not 2: leave out nodes and ntasks_per_node"),
            (
                "{time: 1 day}",
                "`slurm.time`: \"1 day\" is not a time limit of Slurm: write minutes, H:M:S or D-H:M:S, such as \"24:00:00\" or \"1-00:00:00\"",
            ),
            (
                "[gpu]",
                "`slurm`: keys with their values are expected (`key: value`, with account, cpus_per_task, extra, gpus_per_node, max_array_size, …), not a list of 1",
            ),
        ] {
            assert_eq!(section(text).unwrap_err().to_string(), format!(": {message}"), "{text}");
        }
    }

    #[test]
    fn a_limit_shorter_than_the_lead_of_the_signal_is_refused() {
        let told = |text: &str| section(text).map(drop).map_err(|error| error.to_string());
        let short = told("{time: 3}").unwrap_err();
        assert_eq!(
            short,
            ": `slurm.time`: 180 s leave no time to work: a task writes its checkpoint `slurm.signal_s` = 300 s before its limit, and \
             Slurm may say so 60 s earlier; ask for more than 360 s (a bare number is minutes), or lower signal_s"
        );
        assert!(told("{time: 6}").is_err() && told("{time: 7}").is_ok() && told("{time: 3, signal_s: 60}").is_ok());
        assert!(told("{time: 0}").is_ok() && told("{time: UNLIMITED}").is_ok());
        // A probe is told nothing before its limit.
        assert!(told("{time: 60, probe: {time: 3}}").is_ok());
        assert!(
            told("{time: 60, probe: {time: 3, signal_s: 300}}").unwrap_err().starts_with(": `slurm.probe.time`: 180 s")
        );
        let arm = section("{time: 60}").unwrap().shapes(&arm("signal_s", json!(4000))).unwrap_err();
        assert!(arm.to_string().starts_with(": `slurm.time`: 3600 s leave no time"), "{arm}");
    }
}
