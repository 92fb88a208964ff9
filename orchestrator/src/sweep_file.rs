//! The sweep file: what a person writes to compare arms over seeds.
//!
//! Reading it opens nothing but the file itself. A key that does not exist is refused and the nearest known one is named;
//! `base` is relative to the sweep file (both belong to the repository), `store` and shard URIs to the working folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use run_spec::layer::{self, nearest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::slurm::section::{Section, Shapes};

/// A sweep as written, with its defaults filled in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepFile {
    /// Where it was read from, for messages and for `base`.
    #[serde(skip)]
    pub(crate) path: PathBuf,
    /// Name of the sweep; its records lie under `sweeps/NAME/` in the store.
    pub(crate) name: String,
    /// The train config that every arm starts from, relative to the sweep file.
    pub(crate) base: String,
    /// URI of the store.
    pub(crate) store: String,
    /// Where the pixels are.
    pub(crate) shards: Shards,
    /// Deltas common to all arms: dotted key → value.
    pub(crate) set: Value,
    /// The arm that the others are compared with.
    pub(crate) reference: String,
    /// Arm → its deltas.
    pub(crate) arms: Value,
    /// Optional grid: dotted key → list of values. Each combination is one more arm.
    pub(crate) grid: Value,
    /// Globs over arm names to leave out.
    pub(crate) exclude: Vec<String>,
    /// Seeds that all arms share.
    pub(crate) seeds: Vec<u64>,
    /// Trials at once.
    pub(crate) slots: usize,
    /// Seconds that one attempt may take, training and probes together.
    pub(crate) time_limit_s: Option<u64>,
    /// Threads of one trial; written into `train.threads`.
    pub(crate) threads: Option<u32>,
    /// False: the tables say that they are a smoke test and no evidence.
    pub(crate) evidence: bool,
    /// How the trained model is measured.
    pub(crate) probe: Probe,
    /// What a trial asks of a Slurm cluster, as written; [`SweepFile::slurm`] reads it.
    #[serde(rename = "slurm")]
    slurm_written: Value,
}

/// Where the pixels are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shards {
    /// URI of the shard set that arms train on, unless an arm names another under `shards.train`.
    pub(crate) train: String,
    /// Labelled shard sets that every trained model is probed on.
    pub(crate) eval: Vec<Value>,
}

/// A labelled shard set.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Eval {
    /// Short name.
    pub(crate) name: String,
    /// Its URI.
    pub(crate) uri: String,
    /// Name of the split (`splits/NAME.parquet`); empty: the sweep's `probe.split`.
    pub(crate) split: String,
    /// The arms train on images of this set too; its rows are marked so.
    pub(crate) transductive: bool,
}

/// How the trained model is measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// The split of evaluation sets that name none.
    pub(crate) split: Option<String>,
    /// Further options of `worker probe`: name → value, given as `--name value`.
    pub(crate) options: BTreeMap<String, Value>,
}

/// One arm: its name and its deltas in the order in which they are laid over the base.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArmSpec {
    /// Name in tables, keys and file names.
    pub(crate) name: String,
    /// Dotted key → value, of this arm alone.
    pub(crate) delta: BTreeMap<String, Value>,
    /// URI of another shard set to train on.
    pub(crate) train_shards: Option<String>,
    /// What its jobs ask of Slurm and others do not, without the leading `slurm.`.
    pub(crate) slurm: BTreeMap<String, Value>,
}

fn defaults() -> Value {
    json!({
        "name": "", "base": "", "store": "./store", "shards": {"train": "", "eval": []}, "set": {}, "reference": "reference",
        "arms": {}, "grid": {}, "exclude": [], "seeds": [0], "slots": 1, "time_limit_s": null, "threads": null, "evidence": true,
        "probe": {"split": null, "options": {}}, "slurm": null,
    })
}

impl SweepFile {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read sweep file {}", path.display()))?;
        let mut file = Self::parse(&text, &path.display().to_string())?;
        file.path = path.to_owned();
        Ok(file)
    }

    /// Parses the text of a sweep file; `what` names it in messages.
    pub(crate) fn parse(text: &str, what: &str) -> Result<Self> {
        let user = layer::parse_yaml(text, what)?;
        let merged = layer::layer(&defaults(), user, what)?;
        let file: Self = serde_json::from_value(merged).with_context(|| format!("read {what}"))?;
        file.check().with_context(|| what.to_owned())?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        check_name("name", &self.name)?;
        ensure!(
            !self.base.is_empty(),
            "`base` is missing: give the path of a train config, relative to the sweep file"
        );
        ensure!(!self.shards.train.is_empty(), "`shards.train` is missing: give the URI of the shard set to train on");
        ensure!(self.slots > 0, "`slots` is 0: at least one trial must be able to run");
        ensure!(!self.seeds.is_empty(), "`seeds` is empty: give at least one seed");
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        if let Some(twice) = seeds.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("`seeds` holds {} twice", twice[0]);
        }
        self.evals().map(drop)?;
        self.shapes().map(drop)
    }

    /// The section `slurm`.
    pub(crate) fn slurm(&self) -> Result<Section> {
        Section::read(&self.slurm_written)
    }

    /// What the Slurm jobs of each arm ask for, by the arm's name.
    pub(crate) fn shapes(&self) -> Result<BTreeMap<String, Shapes>> {
        let section = self.slurm()?;
        let shapes = |arm: ArmSpec| {
            let shapes = section.shapes(&arm.slurm).with_context(|| format!("arm `{}`", arm.name))?;
            Ok((arm.name, shapes))
        };
        self.arm_specs()?.into_iter().map(shapes).collect()
    }

    /// The evaluation sets, each with its split.
    pub(crate) fn evals(&self) -> Result<Vec<Eval>> {
        ensure!(
            !self.shards.eval.is_empty(),
            "`shards.eval` is empty: a sweep compares arms by at least one labelled shard set"
        );
        let mut evals: Vec<Eval> = Vec::new();
        for (i, entry) in self.shards.eval.iter().enumerate() {
            let place = format!("shards.eval[{i}]");
            let filled = layer::layer(
                &json!({"name": "", "uri": "", "split": "", "transductive": false}),
                entry.clone(),
                &place,
            )?;
            let mut eval: Eval = serde_json::from_value(filled).with_context(|| format!("read {place}"))?;
            check_name(&format!("{place}.name"), &eval.name)?;
            ensure!(!eval.uri.is_empty(), "`{place}.uri` is missing: give the URI of a labelled shard set");
            if eval.split.is_empty() {
                eval.split = self.probe.split.clone().with_context(|| {
                    format!("`{place}.split` is missing, and so is `probe.split`: name a split that `shard-builder split` wrote")
                })?;
            }
            ensure!(
                evals.iter().all(|other| other.name != eval.name),
                "`shards.eval` holds the name {:?} twice",
                eval.name
            );
            evals.push(eval);
        }
        Ok(evals)
    }

    /// The common deltas: dotted key → value.
    pub(crate) fn common(&self) -> Result<BTreeMap<String, Value>> {
        let mut out = BTreeMap::new();
        flatten(&self.set, "", &mut out).context("`set`")?;
        refuse_seed(&out).context("`set`")?;
        Ok(out)
    }

    /// All arms, the reference first, the others by name.
    pub(crate) fn arm_specs(&self) -> Result<Vec<ArmSpec>> {
        let arms = section(&self.arms).context("`arms`: arm names with their deltas are expected")?;
        let mut specs = Vec::new();
        for (name, delta) in &arms {
            specs.push(arm_spec(name, delta).with_context(|| format!("arm `{name}`"))?);
        }
        specs.extend(self.grid_arms()?);
        specs.sort_by(|a, b| (a.name != self.reference, &a.name).cmp(&(b.name != self.reference, &b.name)));
        if let Some(pair) = specs.windows(2).find(|pair| pair[0].name == pair[1].name) {
            bail!("two arms are called `{}`: rename one", pair[0].name);
        }
        let excluded = crate::only::Globs::new(&self.exclude).context("`exclude`")?;
        specs.retain(|arm| !excluded.any(&arm.name));
        let known = specs.iter().map(|arm| arm.name.as_str());
        if !known.clone().any(|name| name == self.reference) {
            let hint =
                nearest(&self.reference, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!("the reference arm `{}` is not among the arms{hint}", self.reference);
        }
        Ok(specs)
    }

    /// One arm per combination of the grid's values, named `key=value,key=value` by the last part of each key.
    fn grid_arms(&self) -> Result<Vec<ArmSpec>> {
        let mut axes = BTreeMap::new();
        flatten(&self.grid, "", &mut axes).context("`grid`")?;
        if axes.is_empty() {
            return Ok(Vec::new());
        }
        let mut combinations: Vec<BTreeMap<String, Value>> = vec![BTreeMap::new()];
        for (key, values) in &axes {
            let values = values.as_array().filter(|list| !list.is_empty());
            let values = values.with_context(|| format!("`grid`: `{key}`: a list of values is expected"))?;
            combinations = combinations
                .into_iter()
                .flat_map(|so_far| {
                    values.iter().map(move |value| {
                        let mut next = so_far.clone();
                        next.insert(key.clone(), value.clone());
                        next
                    })
                })
                .collect();
        }
        combinations.into_iter().map(|delta| arm_spec(&grid_name(&delta), &json!(delta))).collect()
    }
}

fn grid_name(delta: &BTreeMap<String, Value>) -> String {
    let parts: Vec<String> = delta
        .iter()
        .map(|(key, value)| {
            let last = key.rsplit('.').next().unwrap_or(key);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let text: String = text.chars().map(|c| if is_name_char(c) { c } else { '_' }).collect();
            format!("{last}={text}")
        })
        .collect();
    parts.join(",")
}

fn arm_spec(name: &str, delta: &Value) -> Result<ArmSpec> {
    check_name("arm", name)?;
    let mut flat = BTreeMap::new();
    flatten(delta, "", &mut flat)?;
    refuse_seed(&flat)?;
    let train_shards = match flat.remove("shards.train") {
        None => None,
        Some(Value::String(uri)) if !uri.is_empty() => Some(uri),
        Some(other) => bail!("`shards.train`: the URI of a shard set is expected, not {other}"),
    };
    let slurm = flat.extract_if(.., |key, _| key.starts_with("slurm.")).collect::<BTreeMap<_, _>>();
    let slurm = slurm.into_iter().map(|(key, value)| (key.replacen("slurm.", "", 1), value)).collect();
    if let Some(key) = flat.keys().find(|key| key.starts_with("shards.") || key.starts_with("probe.")) {
        bail!(
            "`{key}` is the same for all arms; an arm may change `shards.train`, `slurm` and the keys of the train config"
        );
    }
    Ok(ArmSpec { name: name.to_owned(), delta: flat, train_shards, slurm })
}

fn refuse_seed(delta: &BTreeMap<String, Value>) -> Result<()> {
    ensure!(!delta.contains_key("seed"), "`seed` belongs under `seeds`, so that all arms share it");
    Ok(())
}

fn section(value: &Value) -> Result<Map<String, Value>> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map.clone()),
        other => bail!("a section is expected, not {other}"),
    }
}

/// Nested sections become dotted keys, so that `{loss: {n_local: 8}}` and `{loss.n_local: 8}` are one delta.
fn flatten(value: &Value, prefix: &str, out: &mut BTreeMap<String, Value>) -> Result<()> {
    for (key, value) in section(value)? {
        let full = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match &value {
            Value::Object(inner) if !inner.is_empty() => flatten(&value, &full, out)?,
            _ => {
                ensure!(!out.contains_key(&full), "`{full}` is given twice");
                out.insert(full, value);
            }
        }
    }
    Ok(())
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.+=,".contains(c)
}

fn check_name(what: &str, name: &str) -> Result<()> {
    ensure!(!name.is_empty(), "`{what}` is missing: give a short name");
    ensure!(
        name.chars().all(is_name_char) && !name.starts_with(['.', '-']) && name.len() <= 100,
        "`{what}`: {name:?} cannot name a record: use at most 100 letters, digits, `-`, `_`, `.`, `+`, `=` and `,`, beginning with a letter or digit"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
name: small
base: ../train/tiny.yaml
shards: {train: ./patches, eval: [{name: cells, uri: ./cells, split: grouped}]}
reference: reference
arms:
  reference:
  koleo-on: {loss.koleo_weight: 0.1}
  locals: {loss: {n_local: 8}, shards.train: ./other}
seeds: [0, 1]
";

    fn message(text: &str) -> String {
        format!("{:#}", SweepFile::parse(text, "s.yaml").unwrap_err())
    }

    #[test]
    fn dotted_and_nested_deltas_are_the_same_and_the_reference_comes_first() {
        let arms = SweepFile::parse(SMALL, "s.yaml").unwrap().arm_specs().unwrap();
        let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["reference", "koleo-on", "locals"]);
        assert_eq!(arms[2].delta, BTreeMap::from([("loss.n_local".to_owned(), json!(8))]));
        assert_eq!(arms[2].train_shards.as_deref(), Some("./other"));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        assert_eq!(message(&SMALL.replace("seeds:", "seed:")), "s.yaml: unknown key `seed`; did you mean `seeds`?");
        let text = message(&SMALL.replace("uri: ./cells", "url: ./cells"));
        assert_eq!(text, "s.yaml: shards.eval[0]: unknown key `url`; did you mean `uri`?");
    }

    #[test]
    fn what_would_make_arms_incomparable_is_refused() {
        assert!(message(&SMALL.replace("loss.koleo_weight: 0.1", "seed: 3")).contains("belongs under `seeds`"));
        assert!(message(&SMALL.replace("loss.koleo_weight: 0.1", "probe.batch: 3")).contains("the same for all arms"));
        assert!(message(&SMALL.replace("[0, 1]", "[1, 1]")).contains("holds 1 twice"));
        let text = message(&SMALL.replace("reference: reference", "reference: koleo-off"));
        assert!(text.contains("did you mean `koleo-on`?"), "{text}");
    }

    #[test]
    fn a_grid_gives_one_arm_per_combination_less_the_excluded() {
        let text =
            format!("{SMALL}grid: {{loss.n_local: [0, 8], optim.lr: [0.001, 0.01]}}\nexclude: ['n_local=8,lr=0.01']\n");
        let arms = SweepFile::parse(&text, "s.yaml").unwrap().arm_specs().unwrap();
        let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(
            names,
            ["reference", "koleo-on", "locals", "n_local=0,lr=0.001", "n_local=0,lr=0.01", "n_local=8,lr=0.001"]
        );
    }

    #[test]
    fn an_arm_may_ask_for_another_shape_and_its_experiment_stays_the_same() {
        let text = SMALL.replace("{loss.koleo_weight: 0.1}", "{loss.koleo_weight: 0.1, slurm: {nodes: 2}}");
        let file = SweepFile::parse(&format!("{text}slurm: {{partition: gpu}}\n"), "s.yaml").unwrap();
        let shapes = file.shapes().unwrap();
        assert_eq!((shapes["koleo-on"].train.nodes, shapes["reference"].train.nodes), (2, 1));
        assert_eq!(file.arm_specs().unwrap()[1].delta.len(), 1);
        let error = message(&SMALL.replace("loss.koleo_weight: 0.1", "slurm.node: 2"));
        assert_eq!(error, "s.yaml: arm `koleo-on`: slurm: unknown key `node`; did you mean `nodes`?");
    }

    #[test]
    fn names_that_cannot_be_keys_are_refused() {
        assert!(message(&SMALL.replace("koleo-on", "'../koleo'")).contains("cannot name a record"));
        assert!(message(&SMALL.replace("name: small\n", "")).contains("`name` is missing"));
    }
}
