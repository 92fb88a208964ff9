//! The baselines of a plan: features that no training of the sweep made. Each is scored once, however many trials it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use results::measures::Evaluation;
use run_spec::config::{ArmConfig, Deltas, ResolvedConfig};
use run_spec::ids::{Digest, Seed, digest_json};
use serde_json::{Value, json};

use super::{Facts, arm_config, read_base, read_config, with_evaluations};
use crate::command;
use crate::records::{Arm, Baseline, EvalSet, Plan, ReleasedWeights, ShardRef, Trial};
use crate::sweep_file::{ReleasedModel, SweepFile};

/// What makes a plan's baselines beside the plan itself.
pub(super) struct Sources<'a> {
    /// The sweep file, which names released weights.
    pub(super) file: &'a SweepFile,
    /// What the outside world says.
    pub(super) facts: &'a Facts,
    /// The code, as digests name it.
    pub(super) label: &'a str,
}

/// What a baseline belongs to: a trial, or a seed of a sweep without arms.
struct Owner {
    config: ArmConfig,
    seed: Seed,
    /// What the trial trains on, and its label; `None` in a sweep without arms.
    trial: Option<(ShardRef, String)>,
}

impl Owner {
    fn of(trial: &Trial<'_>) -> Self {
        let Arm { config, shards, .. } = trial.arm;
        Self { config: config.clone(), seed: trial.seed, trial: Some((shards.clone(), trial.label())) }
    }

    fn label(&self) -> Option<String> {
        self.trial.as_ref().map(|(_, label)| label.clone())
    }
}

/// A colour histogram and, where asked for, shape features per evaluation set; random weights per evaluation set, model and seed of the weights; each released model per
/// evaluation set.
pub(super) fn baselines(plan: &Plan, sources: &Sources<'_>) -> Result<Vec<Baseline>> {
    let owners = owners(plan, sources.file)?;
    let mut found = made(plan, &owners, sources.label);
    for model in sources.file.released()? {
        let config = released_config(sources.file, &model)?;
        for eval in &plan.evals {
            found.push(released(plan, &owners, sources, (&model, &config, eval))?);
        }
    }
    found.sort_by(|a, b| (&a.arm.name, a.seed).cmp(&(&b.arm.name, b.seed)));
    Ok(found)
}

fn owners(plan: &Plan, file: &SweepFile) -> Result<Vec<Owner>> {
    if !plan.arms.is_empty() {
        return Ok(plan.trials().iter().map(Owner::of).collect());
    }
    let config = arm_config(&read_base(file)?, &file.common_deltas()?)?;
    Ok(plan.seeds.iter().map(|seed| Owner { config: config.clone(), seed: *seed, trial: None }).collect())
}

/// Those that need no file: the colour histogram, shape features and random weights.
fn made(plan: &Plan, owners: &[Owner], label: &str) -> Vec<Baseline> {
    let models: BTreeSet<Digest> = owners.iter().map(|owner| owner.config.untrained().digest()).collect();
    let mut found: Vec<Baseline> = Vec::new();
    for (owner, eval) in owners.iter().flat_map(|owner| plan.evals.iter().map(move |eval| (owner, eval))) {
        let given = |option: &str| plan.probe_options.get(option) == Some(&json!(true));
        let wanted =
            |features: &&str| if *features == "shape" { given("shape") } else { !given(&format!("no_{features}")) };
        for features in ["histogram", "random", "shape"].into_iter().filter(wanted) {
            let (config, seed, name) = match features {
                "random" => {
                    let config = owner.config.untrained();
                    let model = if models.len() > 1 { format!("-{}", config.digest().short()) } else { String::new() };
                    let seed = owner.config.init_seed().unwrap_or(owner.seed);
                    (config, seed, format!("random{model}@{}", eval.name))
                }
                _ => (ArmConfig::empty(), Seed::new(0), format!("{features}@{}", eval.name)),
            };
            if let Some(known) = found.iter_mut().find(|known| known.arm.name == name && known.seed == seed) {
                known.trials.extend(owner.label());
                continue;
            }
            let digest = digest_json(&json!({"features": features, "config": config, "code": label}));
            found.push(Baseline {
                arm: arm((name, config), owner, eval, (digest, None)),
                seed,
                features: features.to_owned(),
                weights: None,
                eval: eval.name.clone(),
                probes: baseline_probes(eval, &plan.probe_options, &plan.evaluations),
                trials: owner.label().into_iter().collect(),
            });
        }
    }
    found
}

/// The place of a baseline among the trials, from its digest and that of its file of weights.
fn arm(
    (name, config): (String, ArmConfig),
    owner: &Owner,
    eval: &EvalSet,
    (trial, init_weights): (Digest, Option<Digest>),
) -> Arm {
    let shards = owner.trial.as_ref().map_or(&eval.shards, |(shards, _)| shards).clone();
    Arm { name, delta: Deltas::default(), config: config.placed_as(&owner.config), shards, init_weights, trial }
}

/// Weights that others have trained, on one evaluation set. They count by the content of their file.
fn released(
    plan: &Plan,
    owners: &[Owner],
    sources: &Sources<'_>,
    (model, config, eval): (&ReleasedModel, &ArmConfig, &EvalSet),
) -> Result<Baseline> {
    let ReleasedModel { name, weights, layout, size, .. } = model;
    let digest = sources.facts.init_weights.get(weights);
    let digest = *digest.with_context(|| format!("the weights {weights} were not read"))?;
    let trial = digest_json(&json!({
        "features": name, "weights": digest, "layout": layout, "size": size, "config": config, "code": sources.label,
    }));
    let owner = owners.first().context("a plan has at least one seed")?;
    Ok(Baseline {
        arm: arm((format!("{name}@{}", eval.name), config.clone()), owner, eval, (trial, Some(digest))),
        seed: Seed::new(0),
        features: name.clone(),
        weights: Some(ReleasedWeights { uri: weights.clone(), layout: layout.clone(), size: *size }),
        eval: eval.name.clone(),
        probes: baseline_probes(eval, &plan.probe_options, &plan.evaluations),
        trials: owners.iter().filter_map(Owner::label).collect(),
    })
}

/// The keys of a released model's configuration that decide about it; none where its file tells all.
fn released_config(file: &SweepFile, model: &ReleasedModel) -> Result<ArmConfig> {
    let Some(path) = &model.config else { return Ok(ArmConfig::empty()) };
    let config = ResolvedConfig::from_layers(read_config(file, path, "baselines")?, &[]);
    Ok(config.with_context(|| format!("baseline `{}`", model.name))?.record().without_seed().untrained())
}

/// How a baseline is scored: the pixels, the split, and those options that its scores depend on.
fn baseline_probes(eval: &EvalSet, options: &BTreeMap<String, Value>, evaluations: &[Evaluation]) -> Digest {
    let without = [&command::ABOUT_A_RUN[..], &command::BASELINES[..], &["bootstrap", "batch"]].concat();
    let options: BTreeMap<_, _> = options.iter().filter(|(name, _)| !without.contains(&name.as_str())).collect();
    let measured = json!({
        "shards": eval.shards.digest, "split": eval.split, "split_digest": eval.split_digest, "options": options,
    });
    digest_json(&with_evaluations(measured, evaluations))
}
