//! What is known of a sweep while it runs: a picture of all its trials at one moment, for whoever shows it.
//!
//! The picture is pure: [`reader`] fills it from the store, `watch` draws it on a terminal, and `dashboard` on a page.

pub(crate) mod curve;
pub(crate) mod reader;

use run_spec::ids::Attempt;

use crate::show::Counts;
use crate::standing::Standing;
use curve::Curve;

/// Seconds without a written byte after which a trial that runs counts as silent: twice what a checkpoint usually takes.
pub(crate) const SILENT_S: u64 = 30 * 60;

/// A sweep at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    /// Name of the sweep.
    pub(crate) name: String,
    /// Short digest of the plan.
    pub(crate) digest: String,
    /// Trials that run at once.
    pub(crate) slots: usize,
    /// The trials in the order of the plan, baselines first.
    pub(crate) trials: Vec<Shown>,
    /// When the picture was made, seconds since 1970.
    pub(crate) unix_s: u64,
}

/// One trial of a picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// `arm/seed-3`.
    pub(crate) label: String,
    /// Whether it trains nothing.
    pub(crate) is_baseline: bool,
    /// How it stands; `None` where it has not been looked at yet.
    pub(crate) standing: Option<Standing>,
    /// Its newest attempt.
    pub(crate) attempt: Option<Attempt>,
    /// The stage that runs, or ran last: `train`, `probe-cells`.
    pub(crate) stage: String,
    /// Steps that are done.
    pub(crate) step: Option<u64>,
    /// Steps of a whole run.
    pub(crate) steps: u64,
    /// The loss over the steps.
    pub(crate) losses: Curve,
    /// Its score, by the primary comparison of the first evaluation set.
    pub(crate) score: Option<f64>,
    /// What a finished trial took, in seconds.
    pub(crate) took_s: Option<f64>,
    /// When its newest attempt was claimed, seconds since 1970.
    pub(crate) since: Option<u64>,
    /// When anything of it was last written.
    pub(crate) last_write: Option<u64>,
    /// Why it failed, or who runs it.
    pub(crate) words: String,
}

impl Shown {
    /// A trial of which nothing is known yet.
    pub(crate) fn unknown(label: String, is_baseline: bool, steps: u64) -> Self {
        Self {
            label,
            is_baseline,
            standing: None,
            attempt: None,
            stage: String::new(),
            step: None,
            steps,
            losses: Curve::default(),
            score: None,
            took_s: None,
            since: None,
            last_write: None,
            words: String::new(),
        }
    }

    /// For how many seconds a trial that runs has written nothing, where that is longer than it should be.
    pub(crate) fn silent_s(&self, now: u64) -> Option<u64> {
        let last = self.last_write.max(self.since)?;
        let silent = now.saturating_sub(last);
        (self.standing == Some(Standing::Running) && silent >= SILENT_S).then_some(silent)
    }

    /// For how many seconds its attempt has run.
    pub(crate) fn running_s(&self, now: u64) -> Option<f64> {
        let since = self.since.filter(|_| self.standing == Some(Standing::Running))?;
        Some(now.saturating_sub(since) as f64)
    }
}

impl Picture {
    /// How many trials are in which state; those that have not been looked at are none of them.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.trials.iter().filter_map(|trial| trial.standing).for_each(|standing| counts.add(standing));
        counts
    }

    /// How many trials have been looked at.
    pub(crate) fn seen(&self) -> usize {
        self.trials.iter().filter(|trial| trial.standing.is_some()).count()
    }

    /// Seconds until all trials that are open or running have ended, by what finished ones took; before any has, by how
    /// far the running ones have come. `None` where nothing is left or nothing says how long a trial takes.
    pub(crate) fn left_s(&self) -> Option<f64> {
        let typical = self.typical_s()?;
        let trains =
            |standing| self.trials.iter().filter(move |trial| !trial.is_baseline && trial.standing == Some(standing));
        let running: f64 = trains(Standing::Running)
            .map(|trial| (typical - trial.running_s(self.unix_s).unwrap_or(0.0)).max(0.0))
            .sum();
        let open = trains(Standing::Open).count() as f64 * typical;
        let left = (running + open) / self.slots.max(1) as f64;
        (running + open > 0.0).then_some(left)
    }

    /// What a trial takes.
    fn typical_s(&self) -> Option<f64> {
        let finished = self.trials.iter().filter(|trial| !trial.is_baseline).filter_map(|trial| trial.took_s);
        let under_way = self.trials.iter().filter_map(|trial| {
            let share = trial.step? as f64 / trial.steps as f64;
            Some(trial.running_s(self.unix_s)? / share).filter(|seconds| share > 0.01 && seconds.is_finite())
        });
        median(finished.collect()).or_else(|| median(under_way.collect()))
    }

    /// The trials for people: what runs first, then what failed, what is open, and what is finished.
    pub(crate) fn in_order(&self) -> Vec<&Shown> {
        let mut trials: Vec<&Shown> = self.trials.iter().collect();
        trials.sort_by_key(|trial| match trial.standing {
            Some(Standing::Running) => 0,
            Some(Standing::Failed | Standing::Damaged) => 1,
            Some(Standing::Open) => 2,
            Some(Standing::Finished) => 3,
            None => 4,
        });
        trials
    }

    /// Trials that people should look at, with the reason: failures, damage, silence.
    pub(crate) fn worries(&self) -> Vec<(&Shown, String)> {
        let of = |trial: &'_ Shown| match trial.standing {
            Some(Standing::Failed) => Some(format!("failed: {}", trial.words)),
            Some(Standing::Damaged) => Some(format!("damaged: {}", trial.words)),
            _ => trial.silent_s(self.unix_s).map(|silent| {
                format!("has written nothing for {} ({})", terminal::duration(silent as f64), trial.words)
            }),
        };
        self.trials.iter().filter_map(|trial| Some((trial, of(trial)?))).collect()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A trial that stands so, of a run of 100 steps.
    pub(crate) fn trial(label: &str, standing: Standing) -> Shown {
        Shown { standing: Some(standing), ..Shown::unknown(label.to_owned(), false, 100) }
    }

    /// A sweep of `trials` on two slots, at second 10,000.
    pub(crate) fn picture(trials: Vec<Shown>) -> Picture {
        Picture { name: "ablations".into(), digest: "1a2b3c4d".into(), slots: 2, trials, unix_s: 10_000 }
    }

    #[test]
    fn the_time_left_counts_what_runs_and_what_is_open() {
        let done = |took_s| Shown { took_s: Some(took_s), ..trial("done", Standing::Finished) };
        let running = Shown { since: Some(9_900), ..trial("running", Standing::Running) };
        let mut trials = vec![done(90.0), done(300.0), done(400.0), running.clone(), trial("open", Standing::Open)];
        // The median is 300: 200 are left of the running one, 300 of the open one, on two slots.
        assert_eq!(picture(trials.clone()).left_s(), Some(250.0));
        trials.truncate(3);
        assert_eq!(picture(trials).left_s(), None, "nothing is left");
        let quarter = Shown { step: Some(25), ..running };
        assert_eq!(picture(vec![quarter.clone(), quarter]).left_s(), Some(300.0), "a quarter took 100 seconds");
    }

    #[test]
    fn silence_is_of_what_runs_alone_and_anything_written_ends_it() {
        let running = Shown { since: Some(1_000), ..trial("a", Standing::Running) };
        assert_eq!(running.silent_s(10_000), Some(9_000));
        assert_eq!(Shown { last_write: Some(9_000), ..running.clone() }.silent_s(10_000), None);
        assert_eq!(Shown { standing: Some(Standing::Finished), ..running.clone() }.silent_s(10_000), None);
        let failed = Shown { words: "no shards".into(), ..trial("b", Standing::Failed) };
        let picture = picture(vec![running, failed, trial("c", Standing::Open)]);
        let worries: Vec<String> = picture.worries().into_iter().map(|(_, words)| words).collect();
        assert_eq!(worries, ["has written nothing for 2h30m ()", "failed: no shards"]);
    }

    #[test]
    fn what_runs_comes_first_and_the_rest_keeps_its_order() {
        let standings = [Standing::Finished, Standing::Open, Standing::Failed, Standing::Running, Standing::Running];
        let picture = picture(standings.into_iter().enumerate().map(|(n, s)| trial(&n.to_string(), s)).collect());
        assert_eq!(
            picture.in_order().iter().map(|trial| trial.label.as_str()).collect::<Vec<_>>(),
            ["3", "4", "2", "1", "0"]
        );
        assert_eq!((picture.counts().running, picture.seen()), (2, 5));
    }
}
