//! `worker requeue`: may a run that ended go back into the queue? Restarts are counted in the run's folder, so that a run that
//! dies in the same place again and again, or whose time limit leaves no time to train, comes to an end with a sentence.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use run_folder::failure::{RANK_LOST, STOPPED};
use run_folder::{Run, RunKey};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError, Waiting};

use crate::cli::RequeueArgs;
use crate::environment::Environment;

/// Restarts in a row that may bring the run no further.
const FRUITLESS: usize = 3;
/// How many records of restarts may be missing before those that are there.
const MISSING: usize = 100;
/// Seconds of training that a start under a time limit must have given to count. Without this a limit that is hardly longer
/// than the warning before it would give a step or two each time, and go on so for ever.
const WORTH_A_START_S: f64 = 60.0;

/// One restart, as `restarts/0001.json` keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Restart {
    code: u8,
    near_limit: bool,
    /// Steps of the newest checkpoint at that moment.
    step: u64,
    /// Seconds of training up to that checkpoint.
    seconds: f64,
    /// Starts so far that came as far as to claim the run.
    attempts: usize,
    host: String,
    job: Option<String>,
    unix_s: u64,
    /// Whether the step started again within its allocation, and not by way of the queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    here: bool,
}

impl Restart {
    /// Whether the run came further between `before` and this.
    fn is_further_than(&self, before: &Self) -> bool {
        let worth = !self.near_limit || self.seconds - before.seconds >= WORTH_A_START_S;
        self.step > before.step && worth
    }
}

/// Decides, and counts the restart if it is granted.
pub(crate) fn requeue(args: &RequeueArgs, environment: &Environment) -> Result<ExitCode> {
    // A job has just used this store, so that its address is right: what is away comes back.
    let waiting = Waiting { limit: Duration::from_secs(args.retry_for), known: true, ..Waiting::default() };
    let run = Run::of(Store::open(&args.out)?.waiting(waiting));
    let (before, attempts) = (restarts(&run)?, run.store().list("attempts")?.len());
    // A node that died may be given to the job once more before Slurm knows: then srun fails, not the run.
    let began = before.last().is_none_or(|last| last.attempts < attempts);
    verify_code(args.code, args.near_limit, began)?;
    if run.finished()?.is_some() {
        bail!("{}: the run is done, and there is nothing to restart", args.out);
    }
    let newest = run.checkpoints()?.pop();
    let mut now = Restart {
        code: args.code,
        near_limit: args.near_limit,
        step: newest.as_ref().map_or(0, |record| record.step.get()),
        seconds: newest.map_or(0.0, |record| record.seconds),
        attempts,
        host: environment.host.clone(),
        job: environment.slurm_job.clone(),
        unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        here: false,
    };
    verify_progress(&now, &before, &args.out)?;
    now.here = args.within.is_some_and(|most| may_start_here(&now, &before, most));
    let key = key_of(before.len() + 1);
    run.store().create_record(&key, &now).with_context(|| format!("cannot count the restart as {key}"))?;
    tracing::info!(
        code = args.code,
        step = now.step,
        restarts = before.len() + 1,
        here = now.here,
        "the run may be restarted"
    );
    if args.within.is_some() {
        terminal::line(if now.here { "here" } else { "queue" });
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the step may start again within its allocation: it came further since the last restart of any kind, and did not so
/// `most` times since the job was last in the queue. A node that fails each time is left by way of the queue.
fn may_start_here(now: &Restart, before: &[Restart], most: usize) -> bool {
    let here = before.iter().rev().take_while(|restart| restart.here && restart.job == now.job).count();
    !now.near_limit && here < most && now.step > before.last().map_or(0, |last| last.step)
}

/// Refuses what a new start would not change; `began` if the run was claimed since its last restart.
fn verify_code(code: u8, near_limit: bool, began: bool) -> Result<()> {
    match code {
        0 => bail!("the run has finished, and there is nothing to restart"),
        STOPPED if !near_limit => bail!(
            "not restarted: the run was asked to stop, but not by the warning before its time limit (it was cancelled or preempted, or the job \
             had no --signal=B:USR1@…). The same command continues it from its checkpoint"
        ),
        STOPPED | RANK_LOST | 129.. => Ok(()),
        _ if !began => Ok(()),
        _ => bail!(
            "the run ended with an error of its own (exit code {code}), which a new start would repeat: its log says what to do"
        ),
    }
}

/// Refuses a restart after too many that brought the run no further.
fn verify_progress(now: &Restart, before: &[Restart], uri: &str) -> Result<()> {
    let later = before.iter().skip(1).chain([now]).rev();
    let fruitless = later.zip(before.iter().rev()).take_while(|(after, before)| !after.is_further_than(before)).count();
    if fruitless < FRUITLESS {
        return Ok(());
    }
    let step = now.step;
    if now.near_limit {
        bail!(
            "{uri}: the time limit came {fruitless} times in a row after less than {WORTH_A_START_S:.0} s of training (step {step}); raise \
             --time, or let the warning come later (--signal=B:USR1@SECONDS), and submit the same command again"
        );
    }
    bail!(
        "{uri}: {fruitless} restarts in a row brought no checkpoint beyond step {step}; the log says what ended each of them (the last with \
         code {}); fix the cause, or lower checkpoint.every_steps if the restarts are too short, and submit the same command again",
        now.code
    )
}

fn key_of(number: usize) -> String {
    RunKey::Restart(u32::try_from(number).unwrap_or(u32::MAX)).to_string()
}

/// The number of the restart that `key` records.
fn number_of(key: &str) -> Option<usize> {
    match key.parse() {
        Ok(RunKey::Restart(number)) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// The restarts so far, oldest first, at the places that their numbers give. One that is damaged or missing counts as one that
/// brought nothing.
fn restarts(run: &Run) -> Result<Vec<Restart>> {
    let keys = run.store().list("restarts")?;
    let there: BTreeSet<usize> = keys.iter().filter_map(|key| number_of(key)).collect();
    let mut found: Vec<Restart> = Vec::new();
    // A number far beyond the others is of no restart that was counted here.
    for number in 1..=there.len() + MISSING {
        let before = || found.last().cloned().unwrap_or_default();
        if there.range(number..=there.len() + MISSING).next().is_none() {
            break;
        }
        let restart = match there.contains(&number).then(|| run.store().read_record(&key_of(number))) {
            None => before(),
            Some(Ok(restart)) => restart,
            Some(Err(error @ StoreError::Record { .. })) => {
                tracing::warn!(%error, "the record of a restart counts as one that brought the run no further");
                before()
            }
            Some(Err(error)) => return Err(error.into()),
        };
        found.push(restart);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64, seconds: f64, near_limit: bool) -> Restart {
        let code = if near_limit { STOPPED } else { RANK_LOST };
        Restart { code, near_limit, step, seconds, attempts: 1, host: String::new(), job: None, unix_s: 0, here: false }
    }

    fn verdict(all: &[Restart]) -> Result<()> {
        let (now, before) = all.split_last().unwrap();
        verify_progress(now, before, "s3://b/run")
    }

    #[test]
    fn three_restarts_without_a_new_checkpoint_are_enough() {
        let crash = |step| at(step, 10.0 * step as f64, false);
        verdict(&[crash(0), crash(0), crash(0)]).unwrap();
        let said = verdict(&[crash(0), crash(0), crash(0), crash(0)]).unwrap_err().to_string();
        assert!(said.contains("3 restarts in a row brought no checkpoint beyond step 0"), "{said}");
        assert!(said.contains("submit the same command again"), "{said}");
        // Each new checkpoint begins the count again.
        verdict(&[crash(0), crash(0), crash(0), crash(5), crash(5), crash(5)]).unwrap();
        verdict(&[crash(0), crash(5), crash(10), crash(15), crash(20), crash(25)]).unwrap();
    }

    #[test]
    fn a_time_limit_that_leaves_no_time_to_train_comes_to_an_end_though_each_start_makes_a_step() {
        let limit = |step, seconds| at(step, seconds, true);
        let said = verdict(&[limit(1, 2.0), limit(2, 4.0), limit(3, 6.0), limit(4, 8.0)]).unwrap_err().to_string();
        assert!(said.contains("less than 60 s of training") && said.contains("--time"), "{said}");
        verdict(&[limit(1, 3600.0), limit(2, 7200.0), limit(3, 10800.0), limit(4, 14400.0)]).unwrap();
    }

    #[test]
    fn a_step_starts_again_where_it_was_as_long_as_it_comes_further_and_not_for_ever() {
        let here = |step| Restart { here: true, ..at(step, 1.0, false) };
        let (crash, queued) = (|step| at(step, 1.0, false), at(9, 1.0, false));
        assert!(may_start_here(&crash(5), &[], 2));
        assert!(!may_start_here(&crash(0), &[], 2), "nothing came of the first start");
        assert!(may_start_here(&crash(6), &[here(5)], 2));
        assert!(!may_start_here(&crash(5), &[here(5)], 2), "nothing came of the last one");
        assert!(!may_start_here(&crash(7), &[here(5), here(6)], 2), "two are enough");
        assert!(may_start_here(&crash(10), &[here(5), here(6), queued], 2), "the queue begins the count again");
        let other = Restart { job: Some("812".to_owned()), ..crash(7) };
        assert!(may_start_here(&other, &[here(5), here(6)], 2), "another job");
        assert!(!may_start_here(&at(5, 1.0, true), &[], 2), "the allocation ends");
        assert!(!may_start_here(&crash(5), &[], 0));
    }

    #[test]
    fn what_a_new_start_would_not_change_is_refused() {
        for (code, near_limit, granted) in [
            (85, true, true),
            (85, false, false),
            (87, false, true),
            (137, false, true),
            (138, true, true),
            (1, true, false),
            (101, false, false),
            (0, false, false),
        ] {
            assert_eq!(verify_code(code, near_limit, true).is_ok(), granted, "{code} {near_limit}");
        }
        verify_code(1, false, false).unwrap();
        assert!(verify_code(85, false, true).unwrap_err().to_string().contains("asked to stop"));
        assert!(verify_code(1, false, true).unwrap_err().to_string().contains("an error of its own (exit code 1)"));
    }

    #[test]
    fn damaged_and_missing_records_leave_their_places_and_stop_nothing() {
        for damage in [Some("{"), None] {
            let run = Run::of(Store::open("memory://restarts").unwrap().child(damage.map_or("missing", |_| "damaged")));
            if let Some(text) = damage {
                run.store().create(&key_of(1), text.into()).unwrap();
            }
            run.store().create_record(&key_of(2), &at(7, 700.0, false)).unwrap();
            let steps: Vec<u64> = restarts(&run).unwrap().iter().map(|restart| restart.step).collect();
            assert_eq!(steps, [0, 7]);
            run.store().create_record(&key_of(2_000_000), &at(9, 900.0, false)).unwrap();
            assert_eq!(restarts(&run).unwrap().len(), 2, "a stray number is none of them");
        }
    }
}
