//! Which groups copies joined, read from a set's report: the reason for which a set may have fewer groups than its sources say.

use std::collections::{BTreeMap, BTreeSet};

use datasets::survey::GroupUnion;

use crate::set_report::SetReport;
use terminal::{counted, thousands};

/// Groups by the sources' own rules that copies joined.
#[derive(Debug, Default)]
pub(crate) struct JoinedGroups {
    /// Which groups became one.
    joined: GroupUnion,
    /// All groups that were joined to another.
    groups: BTreeSet<String>,
    /// Pairs of copies in two such groups.
    pairs: u64,
    /// Those among them that neither bytes nor pixels prove.
    near: u64,
}

impl JoinedGroups {
    /// Follows the pairs of the report on copies.
    pub(crate) fn of(report: &SetReport) -> Self {
        let mut joined = Self::default();
        for row in report.records("copies") {
            let text = |column: &str| row.get(column).map_or("", String::as_str);
            joined.add(text("group_a"), text("group_b"), text("how") == "near");
        }
        joined
    }

    fn add(&mut self, a: &str, b: &str, near: bool) {
        if a.is_empty() || b.is_empty() || a == b {
            return;
        }
        self.joined.join(a, b);
        self.groups.extend([a.to_owned(), b.to_owned()]);
        self.pairs += 1;
        self.near += u64::from(near);
    }

    /// How many groups became the one that is now called `group`; 0 for one that copies did not touch.
    pub(crate) fn count_in(&self, group: &str) -> u64 {
        self.sizes().get(self.joined.name(group)).copied().unwrap_or(0)
    }

    /// Whether only likeness joined some of them.
    pub(crate) fn are_near(&self) -> bool {
        self.near > 0
    }

    /// What copies joined, with the table that lists them; nothing where they joined none.
    pub(crate) fn sentence(&self, content: Option<&str>) -> Option<String> {
        (self.pairs > 0).then(|| {
            format!(
                "copies joined {} groups of the sources into {} ({}, listed in report/copies-{}.csv)",
                thousands(self.groups.len() as u64),
                thousands(self.sizes().len() as u64),
                counted(self.pairs, "pair"),
                content.unwrap_or("…")
            )
        })
    }

    /// How many groups became each joined one, by its name.
    fn sizes(&self) -> BTreeMap<&str, u64> {
        let mut sizes = BTreeMap::new();
        for group in &self.groups {
            *sizes.entry(self.joined.name(group)).or_default() += 1;
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_are_joined_through_others_count_once() {
        let mut joined = JoinedGroups::default();
        for (a, b, near) in
            [("p", "q", false), ("x", "y", true), ("q", "r", false), ("r", "p", false), ("z", "z", true)]
        {
            joined.add(a, b, near);
        }
        let sizes = ["p", "r", "x", "z"].map(|group| joined.count_in(group));
        assert_eq!(sizes, [3, 3, 2, 0]);
        let said = joined.sentence(Some("0123")).expect("groups were joined");
        assert!(
            said.contains("joined 5 groups of the sources into 2 (4 pairs") && said.contains("copies-0123.csv"),
            "{said}"
        );
        assert!(joined.are_near());
        assert_eq!(JoinedGroups::default().sentence(None), None);
    }
}
