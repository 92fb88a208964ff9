//! The sentences that a reader needs to read the numbers of a table right.

use super::{Line, POWER, SMOKE_TEST, Table};
use crate::render::metric_words;
use crate::stats::estimate::Estimand;

impl Table {
    /// The sentences, the smoke-test warning first.
    pub fn captions(&self) -> Vec<String> {
        let mut captions = Vec::new();
        if !self.evidence {
            captions.push(SMOKE_TEST.to_owned());
        }
        captions.push(
            "Score: the metric of each fold, averaged over the folds of a source, then over sources (where no predictions are kept, over the folds alone), then over seeds; ± is the \
             standard deviation (ddof 1) over seeds. The report also shows the spread over folds."
                .to_owned(),
        );
        if let Some(reference) = &self.reference {
            captions.push(self.estimand(reference));
            captions.extend(self.sources());
            captions.push(self.family_words());
            captions.push(self.verdicts());
        }
        captions
    }

    fn estimand(&self, reference: &str) -> String {
        format!(
            "Difference: of an arm to `{reference}` in mean score, paired by seed. The {:.0} % interval is over {}; \"seeds alone\" is \
             Student's t over {}. It needs three common seeds.",
            100.0 * self.level(),
            Estimand::NewSeedsAndGroups.words(),
            Estimand::NewSeeds.words(),
        )
    }

    fn sources(&self) -> Option<String> {
        let any = self.lines.iter().any(|line| line.difference.as_ref().is_some_and(|d| d.over_sources.is_some()));
        any.then(|| {
            "New sources (another laboratory or camera): the interval treats these sources as a sample of all sources (docs/statistics.md). p is the \
             larger of two tests, the interval's and the exact sign-flip test; the smallest p that so few sources can give stands beside it. These \
             p values are not corrected for multiple testing."
                .to_owned()
        })
    }

    fn family_words(&self) -> String {
        let scored = |dataset: &str| self.lines.iter().any(|line| line.is_primary && line.dataset == dataset);
        let primaries: Vec<String> = self
            .primaries
            .iter()
            .map(|(dataset, primary)| {
                let metric = metric_words(primary.metric.name());
                let missing =
                    if scored(dataset) { "" } else { " (no scores: these trials were probed without this set)" };
                format!("{} {metric} on {dataset}{missing}", primary.probe.name())
            })
            .collect();
        let (arms, sets) = (self.family.arms, self.family.primaries);
        format!(
            "Primary: {}. Family: {} = {}, corrected by Holm. All other numbers{} are descriptive and have no p.",
            primaries.join(", "),
            super::counted(arms, "arm") + " × " + &super::counted(sets, "primary comparison"),
            super::counted(arms * sets, "test"),
            if self.sources().is_some() { " but those over new sources" } else { "" },
        )
    }

    fn verdicts(&self) -> String {
        format!(
            "Verdict: equivalent if the {:.0} % interval lies within ±{} points, else better or worse if p (Holm) is below {}, else \
             undecided; \"+4\" means that four more seeds would decide, if mean and spread stayed the same. Detectable differences \
             are given for a power of {:.0} %.{}",
            100.0 * (1.0 - 2.0 * self.rules.alpha),
            100.0 * self.rules.margin,
            self.rules.alpha,
            100.0 * POWER,
            if self.lines.iter().any(Line::is_baseline) { " Baselines are not arms and get no verdict." } else { "" },
        )
    }
}
