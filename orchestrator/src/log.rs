//! The end of a log: where a run is, and what it said last.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

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

/// A log that is read as it grows, whole lines at a time.
#[derive(Debug)]
pub(crate) struct Growing {
    path: PathBuf,
    /// How much of it has been read.
    read: u64,
    /// The beginning of a line whose end is not there yet.
    begun: Vec<u8>,
}

impl Growing {
    /// The log at `path`, from its beginning; it need not exist yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: 0, begun: Vec::new() }
    }

    /// The log at `path`, from the last `limit` bytes on.
    pub(crate) fn near_end(path: PathBuf, limit: u64) -> Self {
        let read = path.metadata().map_or(0, |meta| meta.len().saturating_sub(limit));
        Self { path, read, begun: Vec::new() }
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The lines that have come since the last call, at most some `limit` bytes of them; `None` where there is nothing new.
    pub(crate) fn lines(&mut self, limit: u64) -> Option<Vec<String>> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.read))?;
            let mut bytes = Vec::new();
            file.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().ok().filter(|bytes| !bytes.is_empty())?;
        self.read += bytes.len() as u64;
        self.begun.extend(bytes);
        let whole = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let rest = self.begun.split_off(whole);
        let text = std::mem::replace(&mut self.begun, rest);
        Some(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
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

/// A log line without what stands before its sentence: `error: `, or `2026-11-29T19:52:56.123456Z ERROR ` of older workers and of panics.
pub(crate) fn sentence(line: &str) -> &str {
    let is_time =
        |word: &str| word.ends_with('Z') && word.contains('T') && word.starts_with(|c: char| c.is_ascii_digit());
    let line = match line.split_once(' ') {
        Some((first, rest)) if is_time(first) => rest.trim_start(),
        _ => line,
    };
    ["error: ", "ERROR ", "WARN ", "INFO "].iter().find_map(|level| line.strip_prefix(level)).unwrap_or(line)
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
    fn a_growing_log_gives_each_line_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Growing::new(path.clone());
        assert_eq!(log.lines(100), None, "there is no file yet");
        std::fs::write(&path, "one\ntw").unwrap();
        assert_eq!(log.lines(100), Some(vec!["one".to_owned()]));
        assert_eq!(log.lines(100), None);
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(log.lines(3), Some(vec!["two".to_owned()]), "no more than asked for at once");
        assert_eq!(log.lines(100), Some(vec!["three".to_owned()]));
        assert_eq!(Growing::near_end(path, 7).lines(100), Some(vec![String::new(), "three".to_owned()]));
    }

    #[test]
    fn last_words_are_the_last_line_without_colour() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(
            &log,
            format!("{}\n\u{1b}[31merror: no shards\u{1b}[0m\n\nguard: the worker ended\n", "x".repeat(20_000)),
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
        std::fs::write(&log, "error: no shards\nsrun: error: n1: task 0: Exited with exit code 2\n").unwrap();
        assert_eq!(last_words(&log), "no shards");
        assert_eq!(
            tail(&log, 60),
            "srun: error: n1: task 0: Exited with exit code 2\n",
            "from the beginning of a line"
        );
        assert_eq!(last_words(&dir.path().join("none")), "no output");
    }
}
