//! All findings of all ranks, as an aligned table or as one JSON document (docs/doctor.md has its schema).

use serde::Serialize;
use terminal::columns;

use super::finding::{Finding, Outcome};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const SCHEMA: u32 = 1;

/// What the doctor says.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    schema: u32,
    code: &'static str,
    /// True unless something failed.
    pub(crate) healthy: bool,
    /// One line per rank: its node and device.
    ranks: Vec<String>,
    findings: Vec<Finding>,
}

impl Report {
    /// * `ranks` each rank's node and device, by rank.
    /// * `findings` each rank's, by rank. Rank 0's are all kept; of the others only what is amiss.
    pub(crate) fn new(ranks: Vec<String>, findings: Vec<Vec<Finding>>) -> Self {
        let mut kept = Vec::new();
        for (rank, findings) in findings.into_iter().enumerate() {
            for mut finding in findings {
                if rank > 0 {
                    if finding.outcome < Outcome::Warn {
                        continue;
                    }
                    finding.detail = format!("rank {rank}: {}", finding.detail);
                }
                kept.push(finding);
            }
        }
        let healthy = kept.iter().all(|finding| finding.outcome != Outcome::Fail);
        Self { schema: SCHEMA, code: crate::version::CODE, healthy, ranks, findings: kept }
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }
}

impl terminal::Report for Report {
    /// The ranks, then a line per finding with its remedy below it, then the sums.
    fn text(&self) -> String {
        let mut lines: Vec<String> =
            self.ranks.iter().enumerate().map(|(rank, words)| format!("rank {rank}: {words}")).collect();
        let mut rows = Vec::new();
        for finding in &self.findings {
            rows.push(vec![finding.check.to_string(), finding.outcome.word().to_owned(), finding.detail.clone()]);
            let remedy = |remedy: &String| vec![String::new(), String::new(), format!("-> {remedy}")];
            rows.extend(finding.remedy.as_ref().map(remedy));
        }
        lines.push(columns(&rows, &[]));
        lines.push(format!(
            "{} ok, {} warnings, {} failed, {} not checked",
            self.count(Outcome::Ok),
            self.count(Outcome::Warn),
            self.count(Outcome::Fail),
            self.count(Outcome::NotChecked)
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terminal::Report as _;

    #[test]
    fn only_a_failure_makes_a_machine_unhealthy() {
        let well = vec![Finding::ok("a", "1"), Finding::warn("b", "2", "do"), Finding::not_checked("c", "3")];
        assert!(Report::new(vec![], vec![well.clone()]).healthy);
        let ill = vec![Finding::fail("a", "1", "do")];
        assert!(!Report::new(vec![], vec![well, ill]).healthy, "a failure on another rank counts");
    }

    #[test]
    fn of_other_ranks_only_what_is_amiss_is_told() {
        let first = vec![Finding::ok("gpu", "here")];
        let second = vec![Finding::ok("gpu", "there"), Finding::fail("disk", "none left", "free some")];
        let text = Report::new(vec!["node1, CPU".into(), "node2, CPU".into()], vec![first, second]).text();
        assert!(!text.contains("there"), "{text}");
        assert!(text.starts_with("rank 0: node1, CPU\nrank 1: node2, CPU\n"), "{text}");
        assert!(text.contains("disk  FAILED  rank 1: none left\n              -> free some\n"), "{text}");
        assert!(text.ends_with("1 ok, 0 warnings, 1 failed, 0 not checked"), "{text}");
    }
}
