//! Where the log of an attempt grows: beside the config that its worker was given, which the records of the attempt name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use store::Store;

use crate::identity::Identity;
use crate::keys::AttemptKey;
use crate::records::Started;

/// Where an attempt's log grows, and a process that writes it; `None` where none has been started.
pub(crate) fn of(store: &Store, key: &AttemptKey, names: &BTreeSet<String>) -> Result<Option<(PathBuf, Identity)>> {
    for name in names.iter().filter(|name| name.starts_with("started-")) {
        if let Ok(started) = store.read_record_if_whole::<Started>(&format!("{key}/{name}"))?
            && let Some(config) = config_of(&started.command)
        {
            return Ok(Some((config.with_extension("log"), started.leader)));
        }
    }
    Ok(None)
}

/// The config that a command line names: `worker train CONFIG …`, `worker baseline … --config CONFIG`. A probe is given none.
fn config_of(command: &[String]) -> Option<&Path> {
    let place = command.iter().position(|word| word == "--config").or(match command.get(1).map(String::as_str) {
        Some("train") => Some(1),
        _ => None,
    })?;
    command.get(place + 1).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_a_command_line_is_found() {
        let of = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            config_of(&words).map(|path| path.with_extension("log").display().to_string())
        };
        assert_eq!(
            of("worker train w/a.b.seed-0.attempt-1.json --shards s"),
            Some("w/a.b.seed-0.attempt-1.log".to_owned())
        );
        assert_eq!(of("worker baseline random --config w/r.json"), Some("w/r.log".to_owned()));
        assert_eq!(of("worker probe --run r"), None);
    }
}
