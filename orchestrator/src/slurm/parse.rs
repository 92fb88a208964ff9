//! What Slurm's commands print, read. Pure, and forgiving: a line that makes no sense says nothing.
//!
//! Text with a format of our own and not `--json`: squeue's JSON ignores every filter, and its shape differs from version
//! to version.

use std::collections::BTreeMap;

/// One task of a job array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Task {
    /// Number of the array.
    pub(crate) array: u64,
    /// Index of the task in the array.
    pub(crate) index: u32,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.array, self.index)
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its script ended with 0.
    Completed,
    /// Its script ended otherwise.
    Failed,
    /// A person or a dependency cancelled it.
    Cancelled,
    /// It ran into its time limit.
    Timeout,
    /// It used more memory than it had asked for.
    OutOfMemory,
    /// Its node died or would not start it, or a more urgent job took its place.
    Evicted,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobState {
    /// The job waits in the queue.
    Waiting,
    /// On its nodes, or on the way there or away.
    Running,
    /// The job has ended, in this way.
    Ended(End),
}

/// What is known of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// State of the task at that time.
    pub(crate) state: JobState,
    /// Slurm's own word for the state, and its reason or exit code where there is one.
    pub(crate) description: String,
}

/// Tasks by array and index.
pub(crate) type Tasks = BTreeMap<Task, Seen>;

/// The first word of a state (`CANCELLED by 123`, `COMPLETED+`) read. A word of a newer Slurm counts as running: such a job
/// is looked at again, and its record is what counts in the end.
pub(crate) fn state(word: &str) -> JobState {
    let word = word.split_whitespace().next().unwrap_or_default().trim_end_matches('+');
    match word {
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => JobState::Waiting,
        "COMPLETED" => JobState::Ended(End::Completed),
        "FAILED" => JobState::Ended(End::Failed),
        "CANCELLED" | "DEADLINE" | "REVOKED" => JobState::Ended(End::Cancelled),
        "TIMEOUT" => JobState::Ended(End::Timeout),
        "OUT_OF_MEMORY" => JobState::Ended(End::OutOfMemory),
        "NODE_FAIL" | "BOOT_FAIL" | "PREEMPTED" => JobState::Ended(End::Evicted),
        _ => JobState::Running,
    }
}

/// Format for `squeue -o`: array, index, state, reason. The last may hold anything.
pub(crate) const QUEUE_FORMAT: &str = "%F|%K|%T|%r";

/// Reads `squeue -h -r -o '%F|%K|%T|%r'`. Jobs that are no arrays have no index and are left out.
pub(crate) fn queue(text: &str) -> Tasks {
    let line = |line: &str| {
        let mut fields = line.splitn(4, '|');
        let array = fields.next()?.trim().parse().ok()?;
        let index = fields.next()?.trim().parse().ok()?;
        let word = fields.next()?.trim();
        let reason = fields.next().map(str::trim).filter(|reason| !["None", ""].contains(reason));
        let description = reason.map_or_else(|| word.to_owned(), |reason| format!("{word} ({reason})"));
        Some((Task { array, index }, Seen { state: state(word), description }))
    };
    text.lines().filter_map(line).collect()
}

/// Format for `sacct -o`.
pub(crate) const ACCOUNT_FORMAT: &str = "JobID,State,ExitCode";

/// Reads `sacct -X -n -P -o JobID,State,ExitCode`.
pub(crate) fn accounts(text: &str) -> Tasks {
    let line = |line: &str| {
        let mut fields = line.split('|');
        let (array, index) = fields.next()?.trim().split_once('_')?;
        let task = Task { array: array.parse().ok()?, index: index.parse().ok()? };
        let word = fields.next()?.trim();
        let code = fields.next().map(str::trim).filter(|code| !code.is_empty() && *code != "0:0");
        let description = code.map_or_else(|| word.to_owned(), |code| format!("{word} (exit {code})"));
        Some((task, Seen { state: state(word), description }))
    };
    text.lines().filter_map(line).collect()
}

/// The array in what `sbatch --parsable` prints: `123`, or `123;cluster`; sites print greetings around it.
pub(crate) fn submitted(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.trim().split(';').next()?.parse().ok())
}

/// The arrays in what `squeue -h -o %F` or `sacct -X -n -P -o JobID` prints, each once.
pub(crate) fn arrays(text: &str) -> Vec<u64> {
    let number = |line: &str| line.trim().split('_').next()?.parse().ok();
    let mut found: Vec<u64> = text.lines().filter_map(number).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// `MaxArraySize` of `scontrol show config`.
pub(crate) fn max_array_size(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"))?;
    line.trim_start().strip_prefix('=')?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_by_their_first_word() {
        for (word, expected) in [
            ("PENDING", JobState::Waiting),
            ("REQUEUE_HOLD", JobState::Waiting),
            ("CONFIGURING", JobState::Running),
            ("COMPLETING", JobState::Running),
            ("A_STATE_OF_TOMORROW", JobState::Running),
            ("COMPLETED", JobState::Ended(End::Completed)),
            ("COMPLETED+", JobState::Ended(End::Completed)),
            ("CANCELLED by 123", JobState::Ended(End::Cancelled)),
            ("TIMEOUT", JobState::Ended(End::Timeout)),
            ("OUT_OF_MEMORY", JobState::Ended(End::OutOfMemory)),
            ("NODE_FAIL", JobState::Ended(End::Evicted)),
            ("PREEMPTED", JobState::Ended(End::Evicted)),
        ] {
            assert_eq!(state(word), expected, "{word}");
        }
    }

    #[test]
    fn a_queue_is_read_line_by_line_and_odd_lines_say_nothing() {
        let text = "12|0|RUNNING|None\n12|3|PENDING|Resources|x\n13|N/A|RUNNING|None\n\nslurm: welcome\n";
        let tasks = queue(text);
        assert_eq!(tasks.len(), 2);
        assert_eq!(
            tasks[&Task { array: 12, index: 0 }],
            Seen { state: JobState::Running, description: "RUNNING".into() }
        );
        assert_eq!(tasks[&Task { array: 12, index: 3 }].description, "PENDING (Resources|x)");
    }

    #[test]
    fn accounts_name_tasks_and_leave_out_ranges() {
        let tasks = accounts("12_0|FAILED|7:0\n12_1|CANCELLED by 0|0:0\n12_[2-5]|PENDING|0:0\n14|COMPLETED|0:0\n");
        assert_eq!(tasks.len(), 2);
        assert_eq!(tasks[&Task { array: 12, index: 0 }].description, "FAILED (exit 7:0)");
        assert_eq!(tasks[&Task { array: 12, index: 1 }].state, JobState::Ended(End::Cancelled));
    }

    #[test]
    fn numbers_are_found_among_greetings() {
        assert_eq!(submitted("12\n"), Some(12));
        assert_eq!(submitted("Welcome to the cluster\n12;alpha\n"), Some(12));
        assert_eq!(submitted("error\n"), None);
        assert_eq!(arrays("12\n12\n13\n"), [12, 13]);
        assert_eq!(arrays("12_1\n12_[2-3]\n"), [12]);
        assert_eq!(max_array_size("A = 1\nMaxArraySize            = 1001\n"), Some(1001));
        assert_eq!(max_array_size("MaxArraySizes = 1"), None);
    }
}
