//! The matrix of a sweep in words: for the dry run and for `status`.

use std::collections::BTreeMap;

use anyhow::Result;
use store::Store;

use crate::evidence;
use crate::identity::Life;
use crate::records::{Arm, Cause, Plan};
use crate::standing::Standing;
use crate::trial_filter::Globs;
use crate::trial_state::State;
use terminal::{columns, counted, duration};

/// What is known of all trials of a plan.
#[derive(Debug)]
pub(crate) struct Matrix {
    rows: Vec<Vec<String>>,
    finished_s: Vec<f64>,
    counts: Counts,
}

/// How many trials are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Trials that are finished, with rows that can be used.
    pub(crate) finished: usize,
    /// Trials that failed by themselves.
    pub(crate) failed: usize,
    /// With a damaged record.
    pub(crate) damaged: usize,
    /// Trials whose newest attempt runs somewhere.
    pub(crate) running: usize,
    /// Trials in any other state: not begun, cut off or set aside.
    pub(crate) open: usize,
}

impl Counts {
    /// Counts one more trial.
    pub(crate) fn add(&mut self, standing: Standing) {
        let count = match standing {
            Standing::Finished => &mut self.finished,
            Standing::Failed => &mut self.failed,
            Standing::Damaged => &mut self.damaged,
            Standing::Running => &mut self.running,
            Standing::Open => &mut self.open,
        };
        *count += 1;
    }
}

/// Reads the state of each chosen trial. `store` is absent where the digests are not known: then nothing is.
/// `places`: where trials are that Slurm runs, in words, by their label.
pub(crate) fn matrix(
    store: Option<&Store>,
    plan: &Plan,
    filter: &Globs,
    places: &BTreeMap<String, String>,
) -> Result<Matrix> {
    let mut rows = vec![["arm", "seed", "trial", "status", "changes"].map(str::to_owned).to_vec()];
    let (mut finished_s, mut counts) = (Vec::new(), Counts::default());
    let reference = plan.arms.first();
    let chosen = plan.trials().into_iter().filter(|trial| filter.chooses(&trial.arm.name, trial.seed)).collect();
    for trial in plan.with_baselines(chosen) {
        let state = store.map(|store| evidence::state(store, plan, &trial)).transpose()?.map(|checked| checked.state);
        let words = match (&state, store) {
            // Keys are long enough without the address of the store.
            (Some(state), Some(store)) => {
                status(state, places.get(&trial.label())).replace(&format!("{}/", store.uri()), "")
            }
            _ => "unknown".to_owned(),
        };
        counts.add(state.as_ref().map_or(Standing::Open, Standing::of));
        if let (Some(State::Finished { record, .. }), None) = (&state, trial.baseline) {
            finished_s.push(record.stages.iter().map(|stage| stage.seconds).sum());
        }
        let digest = if store.is_some() { trial.arm.trial.short() } else { "?".to_owned() };
        let changes = match (trial.baseline, reference) {
            (None, Some(reference)) => delta(trial.arm, reference),
            _ => "(baseline)".to_owned(),
        };
        rows.push(vec![trial.arm.name.clone(), trial.seed.to_string(), digest, words, changes]);
    }
    Ok(Matrix { rows, finished_s, counts })
}

fn status(state: &State, place: Option<&String>) -> String {
    match state {
        State::Missing => "not run yet".to_owned(),
        State::SetAside { attempt } => format!("set aside (attempt {attempt}): to be done again"),
        State::Damaged { attempt, what } => format!("damaged (attempt {attempt}): {what}"),
        State::Finished { record, .. } => {
            format!("done in {}", duration(record.stages.iter().map(|stage| stage.seconds).sum()))
        }
        State::Failed { attempt, record } if record.cause.blames_the_trial() => {
            format!("failed (attempt {attempt}): {}", shortened(&record.message))
        }
        State::Failed { attempt, record } if record.cause == Cause::Changed => {
            format!("did not run (attempt {attempt}): {}", shortened(&record.message))
        }
        State::Failed { attempt, record } if record.cause == Cause::Store => {
            format!("cut off (attempt {attempt}): {}", shortened(&record.message))
        }
        State::Failed { attempt, .. } => format!("cut off (attempt {attempt})"),
        State::Claimed { attempt, life: Life::Dead, .. } => format!("cut off (attempt {attempt})"),
        State::Claimed { attempt, claim, .. } if claim.batch.is_some() => {
            format!("attempt {attempt}, {}", place.map_or("on Slurm", String::as_str))
        }
        State::Claimed { attempt, claim, .. } => {
            format!("running (attempt {attempt}, {} process {})", claim.holder.host, claim.holder.pid)
        }
    }
}

/// The beginning of a sentence, to its last whole word.
fn shortened(sentence: &str) -> String {
    const LIMIT: usize = 400;
    if sentence.chars().count() <= LIMIT {
        return sentence.to_owned();
    }
    let cut: String = sentence.chars().take(LIMIT).collect();
    format!("{} …", cut.rsplit_once(' ').map_or(cut.as_str(), |(whole, _)| whole))
}

impl Matrix {
    /// The matrix and, below it, how much is done and how long the rest may take on `slots` slots.
    pub(crate) fn text(&self, slots: usize) -> String {
        let Counts { finished, failed, damaged, running, open } = self.counts;
        let total = counted(self.rows.len() - 1, "trial");
        let mut out = columns(&self.rows, &[]);
        out.push_str(&format!("\n\n{total}: {finished} done, {failed} failed, {running} running, {open} to run"));
        if damaged > 0 {
            out.push_str(&format!("; {damaged} damaged: `orchestrator verify STORE --repair` sets them aside"));
        }
        if let Some(typical) = median(&self.finished_s)
            && open > 0
        {
            let rounds = open.div_ceil(slots) as f64;
            out.push_str(&format!(
                "; about {} left on {}, estimated from {}",
                duration(rounds * typical),
                counted(slots, "slot"),
                counted(finished, "finished trial")
            ));
        }
        out
    }

    /// How many trials are in which state.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// What makes an arm differ from the reference, as `key=value` words.
pub(crate) fn delta(arm: &Arm, reference: &Arm) -> String {
    let mut words = Vec::new();
    if !arm.delta.is_empty() {
        words.push(arm.delta.to_string());
    }
    if arm.shards.digest != reference.shards.digest {
        words.push(format!("shards.train={}", arm.shards.uri));
    }
    if words.is_empty() { "(reference)".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_counts_rounds_of_slots() {
        let counts = Counts { finished: 3, open: 3, ..Counts::default() };
        let matrix = Matrix { rows: vec![vec!["arm".into()]; 7], finished_s: vec![90.0, 10.0, 60.0], counts };
        assert!(matrix.text(2).ends_with(
            "6 trials: 3 done, 0 failed, 0 running, 3 to run; about 2m00s left on 2 slots, estimated from 3 finished trials"
        ));
    }
}
