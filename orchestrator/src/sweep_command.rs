//! `orchestrator sweep`: from the command line to a plan, a backend, the loop, and the tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use clock::SystemClock;
use results::render;
use results::table::Table;
use run_spec::ids::Digest;
use store::Store;
use terminal::counted;

use crate::attempt::Ground;
use crate::backend::Backend;
use crate::check;
use crate::cli::{BackendName, SweepArgs};
use crate::code::{self, Code};
use crate::command;
use crate::design;
use crate::estimate;
use crate::leakage::{self, Leakage};
use crate::local::Local;
use crate::plan::{self, Facts};
use crate::plans::{self, Run};
use crate::prepare::{self, Found};
use crate::process::Launcher;
use crate::records::{Plan, Trial};
use crate::report_command;
use crate::set_cards;
use crate::show::{self, Counts};
use crate::slurm::client::Client;
use crate::slurm::setup::{self, Choices};
use crate::slurm::watch::Watch;
use crate::sweep::{self, Options, Summary};
use crate::sweep_file::SweepFile;
use crate::tables;
use crate::trial_filter::Globs;
use crate::trial_state::{self, State};

/// Exit status when trials failed or are left.
const INCOMPLETE: u8 = 3;
/// Exit status after SIGINT or SIGTERM.
const INTERRUPTED: u8 = 130;

/// Runs the sweep of a file.
pub(crate) fn run(args: &SweepArgs) -> Result<ExitCode> {
    let mut file = SweepFile::read(&args.file)?;
    prepare::place_shards(&mut file, &args.shards)?;
    if let Some(uri) = &args.store {
        file.store.clone_from(uri);
    }
    if let Some(slots) = args.slots {
        file.slots = usize::from(slots);
    }
    let filter = Globs::of_trials(&args.only, &file)?;
    let store = Store::open(&file.store)?;
    if args.dry_run {
        return dry_run(args, &file, &store, &filter);
    }
    let found = Found::of(&file, args.worker.as_deref())?;
    let worker = found.worker.clone().unwrap_or_default();
    let plan = plans::of_run(&store, &file, found.facts()?, work_or_retry(args))?;
    say_code(&plan);
    let trials = chosen(&plan, &filter);
    anyhow::ensure!(!trials.is_empty(), "--only {} matches no trial", args.only.join(" --only "));
    let mut findings = check::check(&store, &plan, &trials, &worker, Some(&file));
    findings.problems.extend(leaks(file.leakage(), &store, &plan, &trials));
    anyhow::ensure!(findings.problems.is_empty(), "{}", findings.problems.join("; "));
    findings.room().iter().for_each(terminal::note);
    let work = work_of(args.running.work.as_deref(), &store, &plan);
    let grace = Duration::from_secs_f64(args.running.grace_s);
    let mut backend: Box<dyn Backend<'_>> = match args.backend {
        BackendName::Local => {
            let program = std::env::current_exe().context("find the path of this program")?;
            Box::new(here((&store, &plan), Launcher::supervised(&program, worker, grace), work))
        }
        BackendName::Slurm => {
            let client = Client::find()?;
            let settings = setup::settings(&file, (&store, &plan), Some(&client), slurm_choices(args, worker, &work))?;
            Box::new(Watch::new(&store, &plan, client, settings))
        }
    };
    let options = Options {
        retry_failed: args.retry_failed,
        max_failures: args.max_failures.map(usize::from),
        take_over: args.running.take_over,
        grace,
    };
    execute((&store, &plan), &options, backend.as_mut(), trials)
}

/// Runs `trials` of a plan on `backend` to their end, then prints and keeps the tables.
pub(crate) fn execute<'a>(
    (store, plan): (&'a Store, &'a Plan),
    options: &Options,
    backend: &mut dyn Backend<'a>,
    trials: Vec<Trial<'a>>,
) -> Result<ExitCode> {
    plans::record_start(store, plan)?;
    set_cards::keep(store, plan);
    kinds(&trials).iter().for_each(terminal::note);
    let stop = stop_on_signal()?;
    let summary = sweep::run((store, plan), (options, &SystemClock::default()), backend, stop, trials)?;
    finish(store, plan, summary, &backend.farewell())
}

/// This machine, which runs as many trials of a plan at once as its sweep file says.
pub(crate) fn here<'a>((store, plan): (&'a Store, &'a Plan), launcher: Launcher, work: PathBuf) -> Local<'a> {
    let time_limit_s = plan.time_limit_s;
    Local::new(Ground { store, plan, launcher, work, time_limit_s, restarts: 0, log_name: "log.txt" }, plan.slots)
}

/// A flag that the first signal sets. The second ends this program at once; the supervisors then end the workers.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), Arc::clone(&stop))
            .context("listen for signals")?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("listen for signals")?;
    }
    Ok(stop)
}

/// The trials that `--only` chooses, after the baselines that they are compared with.
fn chosen<'a>(plan: &'a Plan, filter: &Globs) -> Vec<Trial<'a>> {
    let of_arms =
        plan.trials().into_iter().filter(|trial| filter.chooses(&trial.arm.name, trial.seed)).collect::<Vec<_>>();
    if of_arms.is_empty() && !plan.arms.is_empty() { Vec::new() } else { plan.with_baselines(of_arms) }
}

/// How many of `trials` train and how many are baselines; `None` if they are all of one kind.
fn kinds(trials: &[Trial<'_>]) -> Option<String> {
    let baselines = trials.iter().filter(|trial| trial.baseline.is_some()).count();
    let trainings = trials.len() - baselines;
    let text = || {
        let [all, trainings, baselines] = [(trials.len(), "trial"), (trainings, "training"), (baselines, "baseline")]
            .map(|(n, noun)| counted(n, noun));
        format!("{all}: {trainings} and {baselines}")
    };
    (baselines > 0 && trainings > 0).then(text)
}

/// Says what the gate against leakage warns of, and returns what it refuses.
pub(crate) fn leaks(leakage: Leakage, store: &Store, plan: &Plan, trials: &[Trial<'_>]) -> Vec<String> {
    let gate = leakage::check(leakage, store, plan, trials);
    gate.warnings.iter().for_each(|warning| terminal::note(format!("Warning: {warning}.")));
    gate.problems
}

fn work_or_retry(args: &SweepArgs) -> Run {
    if args.retry_failed { Run::Retry } else { Run::Work }
}

fn slurm_choices<'a>(args: &SweepArgs, worker: PathBuf, work: &'a Path) -> Choices<'a> {
    Choices { worker, work, max_parallel: args.slots.map(u32::from), take_over: args.running.take_over }
}

/// Where logs and configs of a plan lie; `chosen`: the folder that a person chose for all plans.
pub(crate) fn work_of(chosen: Option<&Path>, store: &Store, plan: &Plan) -> PathBuf {
    let root = chosen.map_or_else(|| work_folder(store), Path::to_path_buf);
    root.join(&plan.name).join(plan.digest.short())
}

/// Keeps and prints the tables, and says how it ended.
fn finish(store: &Store, plan: &Plan, summary: Summary, farewell: &str) -> Result<ExitCode> {
    let counts = show::matrix(Some(store), plan, &Globs::new(&[])?, &BTreeMap::new())?.counts();
    if counts.running == 0 && counts.open == 0 {
        plans::record_end(store, plan)?;
    }
    let mut collected = tables::collect(store, plan)?;
    if !collected.rows.is_empty() {
        let table = tables::table(store, plan, &mut collected)?;
        let report = report_command::files(&report_command::gather(store, plan, &collected, &table)?)?;
        let folder = tables::keep(store, plan, (&table, &collected.rows), report)?;
        terminal::line(render::terminal(&table));
        terminal::line(format!("Tables: {}", store.uri_of(&folder)));
        terminal::line(format!("Report: {}", store.uri_of(&format!("{folder}/{}", report_command::PAGE))));
    }
    let Summary { skipped, finished, failed, left, interrupted } = summary;
    let now = counted(finished, "trial");
    terminal::note(format!("{now} finished now, {skipped} before, {failed} failed, {left} not done"));
    Ok(match (interrupted, failed + left) {
        (true, _) => {
            terminal::note(farewell);
            ExitCode::from(INTERRUPTED)
        }
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(INCOMPLETE),
    })
}

/// A dry run needs neither worker nor shards to show the matrix. It ends with an error where the sweep would.
fn dry_run(args: &SweepArgs, file: &SweepFile, store: &Store, filter: &Globs) -> Result<ExitCode> {
    let mut found = Found::of(file, args.worker.as_deref())?;
    let mut problems = std::mem::take(&mut found.problems);
    let (plan, known) = match found.facts.take() {
        Some(facts) => (plans::of_run(store, file, facts, work_or_retry(args))?, true),
        None => (plan::resolve(file, &unknown_facts(file)?)?, false),
    };
    let trials = chosen(&plan, filter);
    if trials.is_empty() {
        problems.push(format!("--only {} matches no trial", args.only.join(" --only ")));
    }
    if known {
        say_code(&plan);
        let findings = check::check(store, &plan, &trials, &found.worker.unwrap_or_default(), Some(file));
        findings.room().iter().for_each(terminal::note);
        problems.extend(findings.problems);
        problems.extend(leaks(file.leakage(), store, &plan, &trials));
    }
    if let Some(gpu) = &args.estimate {
        problems.extend(estimated(args, file, gpu, &trials)?);
    }
    let counts = show_dry_run(args, file, store, (&plan, known), filter)?;
    if args.backend == BackendName::Slurm
        && let Err(error) = Client::find()
    {
        problems.push(format!("{error:#}"));
    }
    for problem in &problems {
        terminal::error(problem);
    }
    // A sweep leaves these as they are, and ends so.
    let left = !args.retry_failed && counts.failed + counts.damaged > 0;
    Ok(match (problems.is_empty(), left) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(INCOMPLETE),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Says what the trials take together; gives what stands in the way of that.
fn estimated(args: &SweepArgs, file: &SweepFile, gpu: &str, trials: &[Trial<'_>]) -> Result<Vec<String>> {
    let shapes = if args.backend == BackendName::Slurm { file.shapes()? } else { BTreeMap::new() };
    let ranks_of = |trial: &Trial<'_>| {
        let shape = shapes.get(&trial.arm.name).map(|shapes| &shapes.train);
        shape.map_or((1, 1), |shape| (shape.nodes, shape.ntasks_per_node))
    };
    let summed =
        code::find_worker(args.worker.as_deref()).and_then(|worker| estimate::sum(&worker, gpu, trials, ranks_of));
    match summed {
        Ok(sum) => {
            terminal::line(sum.text(gpu));
            Ok(sum.too_large().iter().map(|arm| format!("arm `{arm}` does not fit into the memory of {gpu}")).collect())
        }
        Err(error) => Ok(vec![format!("{error:#}")]),
    }
}

/// Any digests do for showing names; arms that train on other shards or start from other weights must differ.
fn unknown_facts(file: &SweepFile) -> Result<Facts> {
    let of = |uri: String| (uri.clone(), Digest::of(uri.as_bytes()));
    Ok(Facts {
        shards: plan::shard_uris(file)?.into_iter().map(of).collect(),
        splits: file.evals()?.into_iter().map(|eval| (eval.name, Digest::of(b"unknown"))).collect(),
        init_weights: plan::weights_uris(file)?
            .into_iter()
            .chain(file.released()?.into_iter().map(|model| model.weights))
            .map(of)
            .collect(),
        code: Code { version: "unknown".to_owned(), binary: None },
        run: 1,
    })
}

/// Prints the matrix, and the commands of the first trial or the job scripts.
fn show_dry_run(
    args: &SweepArgs,
    file: &SweepFile,
    store: &Store,
    (plan, known): (&Plan, bool),
    filter: &Globs,
) -> Result<Counts> {
    let matrix = show::matrix(known.then_some(store), plan, filter, &BTreeMap::new())?;
    let (arms, seeds) = (counted(plan.arms.len(), "arm"), counted(plan.seeds.len(), "seed"));
    terminal::line(format!("Sweep {}: {arms} × {seeds}", plan.name));
    kinds(&chosen(plan, filter)).iter().for_each(terminal::line);
    terminal::line(matrix.text(file.slots));
    terminal::line(design::words(plan));
    let finished = if known { known_table(store, plan)? } else { None };
    design::power(plan, finished.as_ref()).iter().for_each(terminal::line);
    if args.backend == BackendName::Slurm {
        dry_scripts(args, file, store, plan, filter)?;
        return Ok(matrix.counts());
    }
    let mut trials = plan.trials().into_iter().filter(|trial| filter.chooses(&trial.arm.name, trial.seed));
    if let Some(trial) = trials.next().or_else(|| plan.baselines.first().map(Trial::from)).filter(|_| known) {
        terminal::line(format!("\nCommands of {}:", trial.label()));
        for stage in command::stages(plan, &trial, 1.into(), Path::new("CONFIG.json"), |key| store.uri_of(key))? {
            terminal::line(format!("  {}", command::shown("worker", &stage.args)));
        }
    }
    Ok(matrix.counts())
}

/// The table of what has finished; `None` where nothing has.
fn known_table(store: &Store, plan: &Plan) -> Result<Option<Table>> {
    let mut collected = tables::collect(store, plan)?;
    if collected.rows.is_empty() {
        return Ok(None);
    }
    tables::table(store, plan, &mut collected).map(Some)
}

/// The scripts of the first batches; on a machine without Slurm too.
fn dry_scripts(args: &SweepArgs, file: &SweepFile, store: &Store, plan: &Plan, filter: &Globs) -> Result<()> {
    let client = Client::find();
    if let (Err(error), None) = (&client, file.slurm()?.max_array_size) {
        terminal::note(format!("Batches are shown for an array size of 1001, the usual one: {error}"));
    }
    let worker = code::find_worker(args.worker.as_deref()).unwrap_or_else(|_| PathBuf::from("worker"));
    let work = work_of(args.running.work.as_deref(), store, plan);
    let settings = setup::settings(file, (store, plan), client.ok().as_ref(), slurm_choices(args, worker, &work))?;
    let mut open = Vec::new();
    for trial in chosen(plan, filter) {
        if !matches!(trial_state::state(store, &trial)?, State::Finished { .. }) {
            open.push(trial);
        }
    }
    for script in setup::scripts(plan, &open, &settings) {
        terminal::line(&script);
    }
    Ok(())
}

fn say_code(plan: &Plan) {
    if !plan.code.reusable() {
        terminal::note(format!(
            "Worker {} was not built from committed code: its results belong to run {} of this sweep and are not reused.",
            plan.code.version, plan.run
        ));
    }
}

/// Logs and configs of a directory store lie in it, beside the records; those of object storage in the default store.
fn work_folder(store: &Store) -> PathBuf {
    let root = if store.uri().contains("://") { Path::new("store") } else { Path::new(store.uri()) };
    root.join("local")
}
