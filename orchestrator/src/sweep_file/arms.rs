//! The arms of a sweep: those that are written, and those of the grid.

use anyhow::Result;
use run_spec::config::Deltas;
use run_spec::layer::{ConfigError, nearest, suggestion};
use serde_json::{Map, Value};

use super::grid::{self, Axis};
use super::{DEFAULT_REFERENCE, MOST_ARMS, MOST_TRIALS, SweepFile};
use crate::trial_filter::Globs;

/// One arm: its name and its deltas in the order in which they are laid over the base.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArmSpec {
    /// Name in tables, keys and file names.
    pub(crate) name: String,
    /// What this arm alone changes.
    pub(crate) delta: Deltas,
    /// URI of another shard set to train on.
    pub(crate) train_shards: Option<String>,
    /// What its jobs ask of Slurm and others do not, without the leading `slurm.`.
    pub(crate) slurm: Deltas,
    /// The section of the file that it comes from: `arms.NAME`, or `grid`.
    pub(crate) place: String,
}

impl SweepFile {
    /// What all arms change.
    pub(crate) fn common(&self) -> Result<Deltas> {
        let common = Deltas::read(&self.set).and_then(|flat| refuse_seed(&flat).map(|()| flat));
        Ok(common.map_err(|error| error.below("set").at(&self.places))?)
    }

    /// All arms, the reference first, the others by name.
    pub(crate) fn arm_specs(&self) -> Result<Vec<ArmSpec>> {
        let arms = section(&self.arms).map_err(|error| error.below("arms").at(&self.places))?;
        let axes = self.axes()?;
        self.refuse_too_many(arms.len() as u64, &axes)?;
        let mut specs = Vec::new();
        for (name, delta) in &arms {
            specs.push(self.arm_spec(name, Deltas::read(delta), format!("arms.{name}"))?);
        }
        for (name, delta) in self.demand(grid::named(&axes, self.grid_names.as_deref()), "grid_names")? {
            specs.push(self.arm_spec(&name, Deltas::of(delta), "grid".to_owned())?);
        }
        specs.sort_by(|a, b| (a.name != self.reference, &a.name).cmp(&(b.name != self.reference, &b.name)));
        self.refuse_twins(&specs)?;
        self.exclude_from(specs)
    }

    /// Whether neither arms nor a grid are written: the sweep trains nothing.
    pub(super) fn has_no_arms(&self) -> bool {
        let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
        empty(&self.arms) && empty(&self.grid)
    }

    /// The grid as written, nothing built yet.
    fn axes(&self) -> Result<Vec<Axis>> {
        let written = Deltas::read(&self.grid).map_err(|error| error.below("grid").at(&self.places))?;
        written
            .iter()
            .map(|(key, values)| match values {
                Value::Array(values) if !values.is_empty() => Ok(Axis { key: key.to_owned(), values: values.clone() }),
                _ => Err(self.refused(&format!("grid.{key}"), "a list of values is expected: `[0, 8]`")),
            })
            .collect()
    }

    fn refuse_too_many(&self, written: u64, axes: &[Axis]) -> Result<()> {
        let combinations = grid::count(axes);
        if combinations > MOST_ARMS {
            let sizes: Vec<String> = axes.iter().map(|axis| axis.values.len().to_string()).collect();
            let message = format!(
                "it makes {} = {combinations} arms, and a sweep has at most {MOST_ARMS}: write fewer values, or several sweeps",
                sizes.join(" × ")
            );
            return Err(self.refused("grid", message));
        }
        let arms = written + combinations;
        if arms == 0 && self.baselines.is_empty() {
            let message = "there are none: write at least the reference, `arms: {reference: }`, or `baselines`";
            return Err(self.refused("arms", message));
        }
        if arms > MOST_ARMS {
            let message = format!("there are {arms} arms, and a sweep has at most {MOST_ARMS}: write several sweeps");
            return Err(self.refused("arms", message));
        }
        Ok(())
    }

    /// Only a written arm can have the name of an arm of the grid: names of the grid's arms are made different from each other.
    fn refuse_twins(&self, specs: &[ArmSpec]) -> Result<()> {
        let Some(pair) = specs.windows(2).find(|pair| pair[0].name == pair[1].name) else { return Ok(()) };
        let message = format!("the grid makes an arm that is called `{}` too: rename this one", pair[0].name);
        Err(self.refused(&format!("arms.{}", pair[0].name), message))
    }

    fn exclude_from(&self, mut specs: Vec<ArmSpec>) -> Result<Vec<ArmSpec>> {
        if specs.is_empty() {
            return Ok(specs);
        }
        let names: Vec<&str> = specs.iter().map(|arm| arm.name.as_str()).collect();
        if !names.contains(&self.reference.as_str()) {
            if self.reference == DEFAULT_REFERENCE {
                let message =
                    "no arm is called `reference`: write `reference: NAME`, the arm that the others are compared with";
                return Err(self.refused("reference", message));
            }
            let hint = nearest(&self.reference, names.iter().copied()).map(suggestion).unwrap_or_default();
            return Err(self.refused("reference", format!("`{}` is not among the arms{hint}", self.reference)));
        }
        let excluded = Globs::matching(&self.exclude, &names)
            .map_err(|(index, message)| self.refused(&format!("exclude[{index}]"), message))?;
        specs.retain(|arm| !excluded.any(&arm.name));
        if !specs.iter().any(|arm| arm.name == self.reference) {
            let message = format!("it leaves out the reference arm `{}`: name another `reference`", self.reference);
            return Err(self.refused("exclude", message));
        }
        let trials = specs.len() as u64 * self.seeds.len() as u64;
        if trials > MOST_TRIALS {
            let message = format!(
                "{} arms × {} seeds are {trials} trials, and a sweep has at most {MOST_TRIALS}: write several sweeps",
                specs.len(),
                self.seeds.len()
            );
            return Err(self.refused("seeds", message));
        }
        Ok(specs)
    }

    fn arm_spec(&self, name: &str, delta: Result<Deltas, ConfigError>, place: String) -> Result<ArmSpec> {
        let naming = if place == "grid" { "grid_names" } else { place.as_str() };
        self.demand(checked_name(name), naming)?;
        let spec = delta.and_then(|delta| parted(name, delta, &place));
        Ok(spec.map_err(|error| error.below(&place).at(&self.places))?)
    }
}

/// Parts what an arm changes: the config, the pixels, the cluster. Keys of errors are the arm's own.
fn parted(name: &str, mut delta: Deltas, place: &str) -> Result<ArmSpec, ConfigError> {
    refuse_seed(&delta)?;
    let train_shards = match delta.take("shards.train") {
        None => None,
        Some(Value::String(uri)) if !uri.is_empty() => Some(uri),
        Some(_) => return Err(bad("shards.train", "the URI of a shard set is expected")),
    };
    let slurm = delta.take_section("slurm");
    if let Some(key) = delta.keys().find(|key| key.starts_with("shards.") || key.starts_with("probe.")) {
        let message =
            "it is the same for all arms: an arm may change `shards.train`, `slurm` and the keys of the train config";
        return Err(bad(key, message));
    }
    Ok(ArmSpec { name: name.to_owned(), delta, train_shards, slurm, place: place.to_owned() })
}

fn bad(key: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::BadValue { what: String::new(), key: key.to_owned(), message: message.into() }
}

/// Arms that differ in their seeds cannot be compared in pairs.
fn refuse_seed(delta: &Deltas) -> Result<(), ConfigError> {
    match delta.keys().find(|key| ["seed", "init.seed"].contains(key)) {
        Some(key) => Err(bad(key, "seeds belong under `seeds`, so that all arms share them: leave it out here")),
        None => Ok(()),
    }
}

fn section(value: &Value) -> Result<Map<String, Value>, ConfigError> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map.clone()),
        _ => Err(bad("", "a section is expected: names with their values")),
    }
}

/// Whether a name may hold this character.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.+=,".contains(c)
}

/// Most characters that a name may have.
pub(super) const LONGEST_NAME: usize = 100;

/// # Errors
/// Why this cannot name a record.
pub(super) fn checked_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("it is missing: give a short name".to_owned());
    }
    if name.chars().all(is_name_char) && !name.starts_with(['.', '-']) && name.len() <= LONGEST_NAME {
        return Ok(());
    }
    Err(format!(
        "{name:?} cannot name a record: use at most {LONGEST_NAME} letters, digits, `-`, `_`, `.`, `+`, `=` and `,`, beginning with a letter or digit"
    ))
}
