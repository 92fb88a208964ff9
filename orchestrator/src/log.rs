//! The end of a log: where a run is, and what it said last.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How lines of the supervisor begin; older versions called it the guard.
const SUPERVISOR: [&str; 2] = ["supervisor: ", "guard: "];

/// The last `limit` bytes of a log, from the beginning of a line.
pub(crate) fn tail(log: &Path, limit: u64) -> String {
    let read = || -> std::io::Result<(Vec<u8>, bool)> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(limit);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok((bytes, start > 0))
    };
    let Ok((bytes, cut)) = read() else { return String::new() };
    let text = String::from_utf8_lossy(&bytes);
    match text.split_once('\n') {
        Some((_, rest)) if cut => rest.to_owned(),
        _ => text.into_owned(),
    }
}

/// What a log says last: for a failed trial, its reason; for a running one, where it is.
pub(crate) fn last_words(log: &Path) -> String {
    let text = tail(log, 8192);
    let lines = || text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    // What ended the worker has words of its own, later and of less worth; alone, they must do.
    let about = |line: &&str| SUPERVISOR.iter().chain(&["srun: ", "slurmstepd: "]).any(|who| line.starts_with(who));
    let line = lines()
        .find(|line| !about(line))
        .or_else(|| lines().find(|line| !SUPERVISOR.iter().any(|who| line.starts_with(who))));
    let plain = plain(line.unwrap_or("no output"));
    sentence(plain.trim()).chars().take(1000).collect()
}

/// A log line without what stands before its sentence: `2026-11-29T19:52:56.123456Z ERROR `, `Error: `.
fn sentence(line: &str) -> &str {
    let is_time =
        |word: &str| word.ends_with('Z') && word.contains('T') && word.starts_with(|c: char| c.is_ascii_digit());
    let line = match line.split_once(' ') {
        Some((first, rest)) if is_time(first) => rest.trim_start(),
        _ => line,
    };
    ["ERROR ", "WARN ", "INFO ", "Error: "].iter().find_map(|level| line.strip_prefix(level)).unwrap_or(line)
}

/// Text without terminal colour sequences (`ESC [ … letter`).
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_last_line_without_colour() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(
            &log,
            format!("{}\n\u{1b}[31mError: no shards\u{1b}[0m\n\nguard: the worker ended\n", "x".repeat(20_000)),
        )
        .unwrap();
        assert_eq!(last_words(&log), "no shards");
        let line =
            "\u{1b}[2m2026-11-29T19:52:56.123456Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m the disk is full: free space\n";
        std::fs::write(&log, line).unwrap();
        assert_eq!(last_words(&log), "the disk is full: free space", "the reason, not its time stamp");
        assert_eq!(plain(line), "2026-11-29T19:52:56.123456Z ERROR the disk is full: free space\n");
        std::fs::write(&log, "srun: error: n1: task 0: Exited with exit code 2\n").unwrap();
        assert_eq!(last_words(&log), "srun: error: n1: task 0: Exited with exit code 2");
        std::fs::write(&log, "Error: no shards\nsrun: error: n1: task 0: Exited with exit code 2\n").unwrap();
        assert_eq!(last_words(&log), "no shards");
        assert_eq!(
            tail(&log, 60),
            "srun: error: n1: task 0: Exited with exit code 2\n",
            "from the beginning of a line"
        );
        assert_eq!(last_words(&dir.path().join("none")), "no output");
    }
}
