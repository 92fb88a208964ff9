//! Counted predictions of one evaluation set: what estimates, verdicts and scores of classes are computed from.

use std::collections::BTreeMap;

use super::line::line_name;
use crate::row::{ResultRow, TEACHER};
use crate::stats::counts::Counts;

/// Predictions on one data set and split, counted for each probe. Empty where none are kept, as of trials that older versions
/// probed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluated {
    /// Names of the classes, in the order of the counts.
    pub classes: Vec<String>,
    /// Counts by the name of the probe. Arms and baselines are called as their lines, [`line_name`]; a baseline of an arm
    /// is counted under the arm's seeds.
    pub counts: BTreeMap<String, Counts>,
}

impl Evaluated {
    /// Counts each baseline of `rows` under its name without the arm too: arms share it unless their rows disagree.
    pub(super) fn share_baselines(&mut self, rows: &[&ResultRow]) {
        for row in rows.iter().filter(|row| row.features != TEACHER) {
            let (of, shared) = (line_name(&row.features, &row.arm), line_name(&row.features, ""));
            if let Some(counts) = self.counts.get_mut(&row.probe)
                && counts.trial(&shared, row.seed.get()).is_none()
            {
                counts.share((&of, row.seed.get()), (&shared, row.seed.get()));
            }
        }
    }
}
