//! The sweep file: what a person writes to compare arms over seeds.
//!
//! Reading it opens nothing but the file itself. A key that does not exist is refused and the nearest known one is named;
//! `base` is relative to the sweep file (both belong to the repository), `store` and shard URIs to the working folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use results::measures::{Evaluation, Primary};
use results::stats::verdict::Rules;
use run_spec::config::{Delta, Deltas};
use run_spec::ids::Seed;
use run_spec::layer::{self, ConfigError};
use run_spec::typed;
use run_spec::yaml::{FileKind, Places, Yaml};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::command;
use crate::leakage::Leakage;
use crate::slurm::section::{Section, Shapes};

mod arms;
mod grid;
mod released;
mod schema;

pub(crate) use arms::ArmSpec;
pub(crate) use released::ReleasedModel;

/// Arms of one sweep, and combinations of one grid.
const MOST_ARMS: u64 = 1_000;
/// Trials of one sweep.
const MOST_TRIALS: u64 = 10_000;
/// The widest region of practical equivalence, a fraction.
const WIDEST_EQUIVALENCE: f64 = 0.5;
/// Seconds that may be written for a limit: thirty years.
const LONGEST_S: u64 = 1_000_000_000;

/// A sweep as written, with its defaults filled in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepFile {
    /// Where it was read from, for messages and for `base`.
    #[serde(skip)]
    pub(crate) path: PathBuf,
    /// The lines of its keys, for messages.
    #[serde(skip)]
    places: Places,
    /// Name of the sweep; its records are under `sweeps/NAME/` in the store.
    pub(crate) name: String,
    /// The train config that every arm starts from, relative to the sweep file.
    pub(crate) base: String,
    /// URI of the store; a path is relative to the working folder.
    pub(crate) store: String,
    /// The shard sets.
    pub(crate) shards: Shards,
    /// Changes common to all arms: dotted key → value.
    #[schemars(schema_with = "schema::set")]
    pub(crate) set: Value,
    /// The arm that the others are compared with.
    pub(crate) reference: String,
    /// The arms by name, each with its changes.
    #[schemars(schema_with = "schema::arms")]
    pub(crate) arms: Value,
    /// Optional grid: dotted key → list of values. Each combination is one more arm.
    #[schemars(schema_with = "schema::grid")]
    pub(crate) grid: Value,
    /// Names of the arms of the grid, such as `lr{optim.lr}`; default: `key=value,key=value`.
    pub(crate) grid_names: Option<String>,
    /// Released weights that are scored beside the arms, or alone if there are no arms.
    #[schemars(schema_with = "schema::baselines")]
    pub(crate) baselines: Vec<Value>,
    /// Globs over arm names to leave out.
    pub(crate) exclude: Vec<String>,
    /// Seeds that all arms share.
    #[schemars(with = "Vec<u64>", length(min = 1))]
    pub(crate) seeds: Vec<Seed>,
    /// Number of trials that may run at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) slots: usize,
    /// Seconds that one attempt may take, training and probes together.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) time_limit_s: Option<u64>,
    /// Threads of one trial; written into `train.threads`.
    #[schemars(range(max = 4096))]
    pub(crate) threads: Option<u32>,
    /// Whether the tables may be quoted as evidence; if false, they begin by saying that they are a smoke test (a trial run of the software).
    pub(crate) evidence: bool,
    /// What to do if a training set holds copies of evaluation images, or if nobody has looked for them yet (`shard-builder leaks`).
    /// Default: `refuse`, or `warn` if `evidence` is false.
    pub(crate) leakage: Option<Leakage>,
    /// How the trained model is measured.
    pub(crate) probe: Probe,
    /// Further evaluations of every trial, by name; they take longer.
    #[schemars(schema_with = "schema::evaluations")]
    pub(crate) evaluations: Vec<Evaluation>,
    /// The probe and metric on which verdicts are based; an evaluation set may name its own.
    #[schemars(schema_with = "schema::primary")]
    pub(crate) primary: Primary,
    /// Differences up to this fraction do not matter (± region of practical equivalence): 0.01 is one percentage point.
    #[schemars(schema_with = "schema::equivalence")]
    pub(crate) equivalence: f64,
    /// Resources of a trial on a Slurm cluster.
    #[serde(rename = "slurm")]
    #[schemars(schema_with = "schema::slurm")]
    slurm_written: Value,
}

/// The shard sets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// A sweep of baselines alone trains on nothing.
#[schemars(extend("required" = ["eval"]))]
pub(crate) struct Shards {
    /// URI of the shard set that arms train on, unless an arm names another under `shards.train`; a path is relative to the
    /// working folder.
    pub(crate) train: String,
    /// Labelled shard sets that every trained model is probed on.
    #[schemars(schema_with = "schema::eval")]
    pub(crate) eval: Vec<Value>,
}

/// A labelled shard set.
#[derive(Debug, Clone, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Eval {
    /// Short name of the evaluation set, unique in the sweep.
    pub(crate) name: String,
    /// URI of the shard set; a path is relative to the working folder.
    pub(crate) uri: String,
    /// Name of the split (`splits/NAME.parquet`); empty: the sweep's `probe.split`.
    pub(crate) split: String,
    /// Whether the arms are allowed to train on images of this set; its rows are then marked as transductive.
    pub(crate) transductive: bool,
    /// The probe and metric on which verdicts on this set are based, if not the sweep's.
    #[schemars(schema_with = "schema::primary")]
    pub(crate) primary: Primary,
    /// A CSV file of scores that papers print on this set, relative to the sweep file; the table shows them, marked as published.
    pub(crate) published: Option<String>,
}

/// How the trained model is measured.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// The split of evaluation sets that name none.
    pub(crate) split: Option<String>,
    /// Further options of `worker probe`: name → value, given as `--name value`.
    pub(crate) options: BTreeMap<String, Value>,
}

/// The arm that the others are compared with unless the file names one.
const DEFAULT_REFERENCE: &str = "reference";

fn defaults() -> Value {
    json!({
        "name": "", "base": "", "store": "./store", "shards": {"train": "", "eval": []}, "set": {}, "reference": DEFAULT_REFERENCE,
        "arms": {}, "grid": {}, "grid_names": null, "baselines": [], "exclude": [], "seeds": [0], "slots": 1, "time_limit_s": null, "threads": null, "evidence": true,
        "leakage": null, "probe": {"split": null, "options": {}}, "evaluations": [], "primary": Primary::default(), "equivalence": Rules::default().margin,
        "slurm": null,
    })
}

impl SweepFile {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = terminal::read_file("sweep file", path)?;
        let mut file = Self::parse(&bytes, &path.display().to_string())?;
        file.path = path.to_owned();
        Ok(file)
    }

    /// Parses the text of a sweep file; `what` names it in messages.
    pub(crate) fn parse(text: &(impl AsRef<[u8]> + ?Sized), what: &str) -> Result<Self> {
        let Yaml { value, places } = Yaml::read(text.as_ref(), what)?;
        FileKind::Sweep.check(&value).map_err(|error| error.at(&places))?;
        let merged = layer::layer(&defaults(), value, "").map_err(|error| error.at(&places))?;
        let mut file: Self = typed::read(&merged, "").map_err(|error| error.at(&places))?;
        file.places = places;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        self.demand(arms::checked_name(&self.name), "name")?;
        let demand =
            |right: bool, key: &str, message: &str| if right { Ok(()) } else { Err(self.refused(key, message)) };
        demand(
            !self.base.is_empty(),
            "base",
            "it is missing: give the path of a train config, relative to the sweep file",
        )?;
        demand(
            !self.shards.train.is_empty() || self.has_no_arms(),
            "shards.train",
            "it is missing: give the URI of the shard set to train on",
        )?;
        demand((1..=10_000).contains(&self.slots), "slots", "a number of trials at once from 1 to 10000 is expected")?;
        let limit = self.time_limit_s.is_none_or(|s| (1..=LONGEST_S).contains(&s));
        demand(limit, "time_limit_s", "seconds from 1 to 1000000000 are expected; leave it out for no limit")?;
        let threads = self.threads.is_none_or(|threads| threads <= 4096);
        demand(threads, "threads", "a number from 0 (all cores) to 4096 is expected")?;
        demand(!self.seeds.is_empty(), "seeds", "it is empty: give at least one seed")?;
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        if let Some(twice) = seeds.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(self.refused("seeds", format!("it holds {} twice: a seed is one trial of an arm", twice[0])));
        }
        let within = self.equivalence > 0.0 && self.equivalence <= WIDEST_EQUIVALENCE;
        demand(
            within,
            "equivalence",
            "a fraction above 0 and up to 0.5 is expected: 0.01 is one point in either direction",
        )?;
        let mut evaluations = self.evaluations.clone();
        evaluations.sort_unstable();
        if let Some(twice) = evaluations.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(self.refused("evaluations", format!("it names {} twice: leave one out", twice[0].name())));
        }
        self.check_options()?;
        self.evals()?;
        self.released()?;
        self.common()?;
        self.shapes().map(drop)
    }

    /// Refuses options of the probe that no worker need be asked about.
    fn check_options(&self) -> Result<()> {
        for (name, value) in &self.probe.options {
            let message = if name.contains('-') {
                format!("write it with underscores: `{}`", name.replace('-', "_"))
            } else if command::OWN.contains(&name.as_str()) {
                "the sweep gives this option itself; leave it out".to_owned()
            } else if command::BASELINES.contains(&name.as_str()) && !value.is_boolean() {
                format!("true or false is expected, not {value}")
            } else if name == "step" && !value.is_u64() {
                format!("a step number is expected, not {value}")
            } else {
                continue;
            };
            return Err(self.refused(&format!("probe.options.{name}"), message));
        }
        Ok(())
    }

    /// File and line of a key, for messages.
    pub(crate) fn place(&self, key: &str) -> String {
        self.places.at(key)
    }

    /// What to do with the sweep if training and evaluation share images.
    pub(crate) fn leakage(&self) -> Leakage {
        self.leakage.unwrap_or(if self.evidence { Leakage::Refuse } else { Leakage::Warn })
    }

    /// The error of a key, with its line.
    fn refused(&self, key: &str, message: impl Into<String>) -> anyhow::Error {
        ConfigError::BadValue { what: String::new(), key: key.to_owned(), message: message.into() }
            .at(&self.places)
            .into()
    }

    fn demand<T>(&self, result: Result<T, String>, key: &str) -> Result<T> {
        result.map_err(|message| self.refused(key, message))
    }

    /// Reads and checks the section `slurm`.
    pub(crate) fn slurm(&self) -> Result<Section> {
        Ok(Section::read(&self.slurm_written).map_err(|error| error.at(&self.places))?)
    }

    /// What the Slurm jobs of each arm ask for, by the arm's name.
    pub(crate) fn shapes(&self) -> Result<BTreeMap<String, Shapes>> {
        let section = self.slurm()?;
        let shapes = |arm: ArmSpec| {
            let shapes = section.shapes(&arm.slurm).map_err(|error| error.below(&arm.place).at(&self.places))?;
            Ok((arm.name, shapes))
        };
        self.arm_specs()?.into_iter().map(shapes).collect()
    }

    /// The evaluation sets, each with its split.
    pub(crate) fn evals(&self) -> Result<Vec<Eval>> {
        let mut evals: Vec<Eval> = Vec::new();
        for (i, entry) in self.shards.eval.iter().enumerate() {
            let eval = self.eval(&format!("shards.eval[{i}]"), entry)?;
            if evals.iter().any(|other| other.name == eval.name) {
                let message = format!("two evaluation sets are called `{}`: rename one", eval.name);
                return Err(self.refused(&format!("shards.eval[{i}].name"), message));
            }
            evals.push(eval);
        }
        if evals.is_empty() {
            return Err(
                self.refused("shards.eval", "it is empty: a sweep compares arms by at least one labelled shard set")
            );
        }
        Ok(evals)
    }

    fn eval(&self, place: &str, entry: &Value) -> Result<Eval> {
        let known = json!({"name": "", "uri": "", "split": "", "transductive": false, "primary": self.primary, "published": null});
        let eval = layer::layer(&known, entry.clone(), "").and_then(|filled| typed::read::<Eval>(&filled, ""));
        let mut eval = eval.map_err(|error| error.below(place).at(&self.places))?;
        self.demand(arms::checked_name(&eval.name), &format!("{place}.name"))?;
        if eval.uri.is_empty() {
            return Err(self.refused(&format!("{place}.uri"), "it is missing: give the URI of a labelled shard set"));
        }
        let probe = eval.primary.probe;
        if let Some(evaluation) = probe.evaluation().filter(|evaluation| !self.evaluations.contains(evaluation)) {
            let (probe, evaluation) = (probe.name(), evaluation.name());
            let message = format!("nothing measures {probe}: add {evaluation} to `evaluations`");
            let key = if entry.get("primary").is_some() { format!("{place}.primary") } else { "primary".to_owned() };
            return Err(self.refused(&key, message));
        }
        if eval.split.is_empty() {
            let split = self.probe.split.clone().filter(|split| !split.is_empty());
            let missing = "it is missing, and so is `probe.split`: name a split that `shard-builder split` wrote";
            eval.split = self.demand(split.ok_or_else(|| missing.to_owned()), &format!("{place}.split"))?;
        }
        Ok(eval)
    }

    /// What is laid over the base config for `arm`, in order: `set`, the arm, `threads`; each with its line.
    pub(crate) fn deltas(&self, common: &Deltas, arm: &ArmSpec) -> Vec<Delta> {
        self.laid_over(common, Some(arm))
    }

    /// What is laid over the base config in a sweep without arms.
    pub(crate) fn common_deltas(&self) -> Result<Vec<Delta>> {
        Ok(self.laid_over(&self.common()?, None))
    }

    fn laid_over(&self, common: &Deltas, arm: Option<&ArmSpec>) -> Vec<Delta> {
        let delta = |place: &str, (key, value): (&str, &Value)| Delta {
            what: self.places.at(&format!("{place}.{key}")),
            key: key.to_owned(),
            value: value.clone(),
        };
        let mut deltas: Vec<Delta> = common.iter().map(|pair| delta("set", pair)).collect();
        deltas.extend(arm.iter().flat_map(|arm| arm.delta.iter().map(|pair| delta(&arm.place, pair))));
        deltas.extend(self.threads.map(|threads| Delta {
            what: self.places.at("threads"),
            key: "train.threads".to_owned(),
            value: json!(threads),
        }));
        deltas
    }
}

#[cfg(test)]
mod tests;
