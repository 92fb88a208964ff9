//! `orchestrator look`: what the models of a sweep see in images, drawn by its worker side by side and kept in the store, where the report finds it.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use run_spec::ids::Digest;
use run_spec::layer::{nearest, suggestion};
use store::Store;

use crate::cli::LookArgs;
use crate::code;
use crate::looks::{self, Look, SheetRef};
use crate::records::{Plan, Trial};
use crate::target;
use crate::trial_state::{self, State};

/// Draws and keeps the sheets.
pub(crate) fn run(args: &LookArgs) -> Result<ExitCode> {
    let (store, plan) = target::sweep(&args.target)?;
    let worker = code::find_worker(args.target.place.worker.as_deref())?;
    let trials = trials(args, &store, &plan)?;
    let number = looks::numbers(&store, &plan)?.first().map_or(1, |(newest, _)| newest + 1);
    let out = store.uri_of(&looks::folder(&plan, number));
    draw(&worker, &command_line(args, &store, &trials, &out))?;
    let sheets = sheets(&trials, !args.neighbours_of.is_empty()).into_iter().map(|(file, title)| {
        let digest = Digest::of(&store.get(&format!("{}/{file}", looks::folder(&plan, number)))?);
        Ok(SheetRef { file, title, digest })
    });
    let look = Look {
        images: args.images.clone(),
        arms: trials.iter().map(|trial| trial.arm.name.clone()).collect(),
        seed: trials[0].seed,
        sheets: sheets.collect::<Result<_>>()?,
    };
    looks::keep(&store, &plan, number, &look)?;
    terminal::line(&out);
    terminal::note("The report of the sweep shows them from now on.");
    Ok(ExitCode::SUCCESS)
}

/// The trials whose models look: those of one seed, of the arms that are named or of all.
fn trials<'a>(args: &LookArgs, store: &Store, plan: &'a Plan) -> Result<Vec<Trial<'a>>> {
    let known = || plan.arms.iter().map(|arm| arm.name.as_str());
    if let Some(unknown) = args.arm.iter().find(|name| !known().any(|known| known == *name)) {
        let hint = nearest(unknown, known()).map(suggestion).unwrap_or_default();
        bail!("--arm {unknown}: sweep {} has no such arm{hint}", plan.name);
    }
    let seed = args.seed.map_or_else(|| plan.seeds.first().copied(), |seed| Some(seed.into()));
    let seed = seed.filter(|seed| plan.seeds.contains(seed));
    let seed = seed.with_context(|| format!("--seed: sweep {} has no such seed", plan.name))?;
    let is_chosen =
        |trial: &Trial<'_>| trial.seed == seed && (args.arm.is_empty() || args.arm.contains(&trial.arm.name));
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for trial in plan.trials().into_iter().filter(is_chosen) {
        match trial_state::state(store, &trial)? {
            State::Finished { .. } => found.push(trial),
            _ => missing.push(trial.label()),
        }
    }
    if !missing.is_empty() {
        terminal::note(format!("Left out, since they have not finished: {}", missing.join(", ")));
    }
    ensure!(!found.is_empty(), "no trial of seed {seed} has finished");
    Ok(found)
}

/// The arguments of the worker.
fn command_line(args: &LookArgs, store: &Store, trials: &[Trial<'_>], out: &str) -> Vec<String> {
    // The worker takes what stands before the first `=` for the name.
    let run = |trial: &Trial<'_>| format!("{}={}", trial.arm.name.replace('=', " "), store.uri_of(&trial.key().run()));
    let mut words = vec!["look".to_owned()];
    let mut give = |option: &str, value: String| words.extend([option.to_owned(), value]);
    trials.iter().for_each(|trial| give("--run", run(trial)));
    give("--images", args.images.clone());
    give("--out", out.to_owned());
    give("--most", args.most.to_string());
    args.size.iter().for_each(|size| give("--size", size.to_string()));
    args.threads.iter().for_each(|threads| give("--threads", threads.to_string()));
    for (option, images) in [("--show", &args.show), ("--neighbours-of", &args.neighbours_of)] {
        if !images.is_empty() {
            give(option, images.join(","));
        }
    }
    words
}

/// Lets the worker draw; what it says is shown.
fn draw(worker: &Path, words: &[String]) -> Result<()> {
    let status = Command::new(worker).args(words).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("run {} look", worker.display()))?;
    ensure!(status.success(), "`worker look` ended with {status}; its messages are above");
    Ok(())
}

/// The files that the worker leaves, each with what it shows.
fn sheets(trials: &[Trial<'_>], with_neighbours: bool) -> Vec<(String, String)> {
    let mut sheets = vec![("patches.png".to_owned(), "What patches have in common".to_owned())];
    sheets.extend(with_neighbours.then(|| ("neighbours.png".to_owned(), "Nearest neighbours".to_owned())));
    let attention = |(number, trial): (usize, &Trial<'_>)| {
        (format!("attention-{number}.png"), format!("Attention of arm `{}`", trial.arm.name))
    };
    sheets.extend((1..).zip(trials).map(attention));
    sheets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{SweepPlace, TargetArgs};
    use crate::command::tests::plan;

    #[test]
    fn the_worker_is_given_every_arm_by_a_name_without_an_equals_sign() {
        let (store, mut plan) = (Store::open("memory://look-command").unwrap(), plan());
        plan.arms[1].name = "lr=1,wd=2".into();
        let trials = plan.trials();
        let place = SweepPlace { store: None, shards: Vec::new(), worker: None };
        let args = LookArgs {
            target: TargetArgs { target: "s".into(), place },
            images: "./cells".into(),
            arm: Vec::new(),
            seed: None,
            show: vec!["1".into(), "2".into()],
            most: 8,
            neighbours_of: Vec::new(),
            size: None,
            threads: Some(1),
        };
        let words = command_line(&args, &store, &trials[..2], "memory://out");
        assert!(words[4].starts_with("lr 1,wd 2=memory://"), "{words:?}");
        assert_eq!(
            words[5..],
            ["--images", "./cells", "--out", "memory://out", "--most", "8", "--threads", "1", "--show", "1,2"]
        );
        let sheets = sheets(&trials[..2], true);
        let files: Vec<&str> = sheets.iter().map(|(file, _)| file.as_str()).collect();
        assert_eq!(files, ["patches.png", "neighbours.png", "attention-1.png", "attention-2.png"]);
    }
}
