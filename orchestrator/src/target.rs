//! What a command is about: a sweep by its file or its name, and arms and trials of it by theirs.

use std::path::Path;

use anyhow::{Result, bail};
use run_spec::layer::{nearest, suggestion};
use store::Store;

use crate::cli::{SweepChoice, TargetArgs};
use crate::plans;
use crate::prepare::{self, Found};
use crate::records::{Arm, Baseline, Plan, Trial};
use crate::sweep_file::SweepFile;

/// The store, and the plan of a sweep file or the newest plan of a sweep name.
pub(crate) fn sweep(args: &TargetArgs) -> Result<(Store, Plan)> {
    let path = Path::new(&args.target);
    if !path.is_file() {
        plans::check_name(&args.target)?;
        let store = args.place.open_store("./store")?;
        let plan = plans::newest(&store, &args.target)?;
        return Ok((store, plan));
    }
    let mut file = SweepFile::read(path)?;
    prepare::place_shards(&mut file, &args.place.shards)?;
    let store = args.place.open_store(&file.store)?;
    let plan = plans::of_file(&store, &file, || Found::of(&file, args.place.worker.as_deref())?.facts())?;
    Ok((store, plan))
}

/// The sweep that `choice` names; where it names none, the one sweep of the store that has arms or trials of all `names`.
pub(crate) fn sweep_with(choice: &SweepChoice, names: &[&str]) -> Result<(Store, Plan)> {
    if let Some(args) = choice.target() {
        return sweep(&args);
    }
    let store = choice.place.open_store("./store")?;
    let mut plans = Vec::new();
    for name in plans::names(&store)? {
        plans.extend(plans::newest(&store, &name).ok());
    }
    let (mut having, others): (Vec<Plan>, Vec<Plan>) =
        plans.into_iter().partition(|plan| names.iter().all(|name| named(plan, name).is_some()));
    let shown = names.join(" and ");
    match (having.pop(), having.is_empty()) {
        (Some(plan), true) => Ok((store, plan)),
        (Some(plan), false) => {
            let sweeps: Vec<&str> = having.iter().chain([&plan]).map(|plan| plan.name.as_str()).collect();
            bail!("the sweeps {} have {shown}: name one of them with --sweep", sweeps.join(", "))
        }
        (None, _) if others.is_empty() => {
            bail!("{} contains no sweep: name its store with --store, or a sweep file with --sweep", store.uri())
        }
        (None, _) => {
            let known: Vec<String> = others.iter().flat_map(names_of).collect();
            let missing = names.iter().find(|name| !known.iter().any(|known| known == *name)).unwrap_or(&names[0]);
            let hint = nearest(missing, known.iter().map(String::as_str)).map(suggestion).unwrap_or_default();
            bail!("no sweep of {} has {shown} (`orchestrator status SWEEP` lists arms and trials){hint}", store.uri())
        }
    }
}

/// An arm, a baseline or a trial, as people name it: `koleo-on`, `random`, `koleo-on/seed-0`, `random@cells/seed-0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Named<'a> {
    /// All seeds of an arm.
    Arm(&'a Arm),
    /// All seeds of a baseline's features, on all evaluation sets or on one: `random`, `random@cells`.
    Baseline {
        /// Name of the features.
        features: &'a str,
        /// Name of the evaluation set; `None` for all of them.
        eval: Option<&'a str>,
    },
    /// One trial or baseline.
    Trial(Trial<'a>),
}

/// The arm, baseline or trial of `plan` that is called `name`.
pub(crate) fn named<'a>(plan: &'a Plan, name: &str) -> Option<Named<'a>> {
    if let Some(arm) = plan.arms.iter().find(|arm| arm.name == name) {
        return Some(Named::Arm(arm));
    }
    if let Some(baseline) = plan.baselines.iter().find(|baseline| baseline.features == name) {
        return Some(Named::Baseline { features: &baseline.features, eval: None });
    }
    if let Some(baseline) = plan.baselines.iter().find(|baseline| baseline.arm.name == name) {
        return Some(Named::Baseline { features: &baseline.features, eval: Some(&baseline.eval) });
    }
    let (arm, seed) = name.rsplit_once("/seed-")?;
    let trial = plan.trial(arm, seed.parse().ok()?)?;
    (trial.baseline.is_some() || plan.seeds.contains(&trial.seed)).then_some(Named::Trial(trial))
}

/// The trial of `plan` that is called `name`.
///
/// # Errors
/// A name of no trial; the message names the nearest.
pub(crate) fn trial<'a>(plan: &'a Plan, name: &str) -> Result<Trial<'a>> {
    match named(plan, name) {
        Some(Named::Trial(trial)) => Ok(trial),
        Some(Named::Arm(_)) => {
            bail!("{name} is an arm of {} trials: name one, such as {name}/seed-{}", plan.seeds.len(), plan.seeds[0])
        }
        Some(Named::Baseline { .. }) => bail!(
            "{name} is a baseline with several trials: name one, such as {}",
            baseline_trials(plan, name).next().map(|trial| trial.label()).unwrap_or_default()
        ),
        None => {
            let known = names_of(plan);
            let hint = nearest(name, known.iter().map(String::as_str)).map(suggestion).unwrap_or_default();
            bail!("sweep {} has no trial {name}{hint}; `orchestrator status {}` lists them", plan.name, plan.name)
        }
    }
}

/// The trials of a baseline, named by its features or by features and evaluation set.
pub(crate) fn baseline_trials<'a>(plan: &'a Plan, name: &'a str) -> impl Iterator<Item = Trial<'a>> {
    let named = move |baseline: &&Baseline| baseline.features == name || baseline.arm.name == name;
    plan.baselines.iter().filter(named).map(Trial::from)
}

/// The names of all arms, trials and baselines.
fn names_of(plan: &Plan) -> Vec<String> {
    let trials = plan.with_baselines(plan.trials()).into_iter().map(|trial| trial.label());
    let baselines = plan.baselines.iter().map(|baseline| baseline.features.clone());
    plan.arms.iter().map(|arm| arm.name.clone()).chain(baselines).chain(trials).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::SweepPlace;
    use crate::command::tests::plan;

    fn choice(store: &str) -> SweepChoice {
        let place = SweepPlace { store: Some(store.to_owned()), shards: Vec::new(), worker: None };
        SweepChoice { sweep: None, place }
    }

    #[test]
    fn arms_and_trials_are_found_by_name_and_others_are_refused_with_the_nearest() {
        let plan = plan();
        assert!(matches!(named(&plan, "b"), Some(Named::Arm(arm)) if arm.name == "b"));
        assert!(matches!(named(&plan, "b/seed-4"), Some(Named::Trial(trial)) if trial.label() == "b/seed-4"));
        assert_eq!((named(&plan, "b/seed-5"), named(&plan, "c")), (None, None), "seed 5 is not planned");
        let refused = trial(&plan, "referense/seed-4").unwrap_err().to_string();
        assert!(refused.contains("did you mean `reference/seed-4`?"), "{refused}");
        assert!(trial(&plan, "b").unwrap_err().to_string().contains("such as b/seed-4"));
    }

    #[test]
    fn a_trial_tells_its_sweep_unless_two_have_it() {
        let uri = "memory://sweep-of-a-trial";
        let store = Store::open(uri).unwrap();
        let refused = sweep_with(&choice(uri), &["b/seed-4"]).unwrap_err().to_string();
        assert!(refused.contains("contains no sweep"), "{refused}");
        store.create_record("sweeps/s/plans/1.json", &plan()).unwrap();
        assert_eq!(sweep_with(&choice(uri), &["b/seed-4", "reference/seed-4"]).unwrap().1, plan());
        let refused = sweep_with(&choice(uri), &["b/seed-44"]).unwrap_err().to_string();
        assert!(refused.contains("did you mean `b/seed-4`?"), "{refused}");
        store.create_record("sweeps/t/plans/1.json", &Plan { name: "t".into(), ..plan() }).unwrap();
        let refused = sweep_with(&choice(uri), &["b/seed-4"]).unwrap_err().to_string();
        assert!(refused.contains("the sweeps s, t have b/seed-4: name one of them with --sweep"), "{refused}");
    }
}
