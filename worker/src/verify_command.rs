//! `worker verify`: is a run what was written, key by key; and what to do where it is not.

use std::process::ExitCode;

use anyhow::{Result, bail};
use run_folder::{Run, Verification, verify};
use serde::Serialize;

use crate::cli::VerifyArgs;
use crate::version::CODE;

/// Checks, sets damaged keys aside where asked to, prints, and gives exit code 1 if damage is left.
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let run = Run::at(&args.run)?;
    if run.store().exists("manifest.json")? && !run.store().exists("run.json")? {
        bail!("{} is a shard set, not a run: check it with `shard-builder verify {}`", args.run, args.run);
    }
    let found = verify(&run)?;
    let record = if args.repair { run.repair(&found, CODE)? } else { None };
    let verified = Verified { schema: 1, run: run.store().uri(), found: &found, set_aside_by: record.as_deref() };
    terminal::report(&verified, args.json)?;
    let left = found.damages.iter().any(|damage| record.is_none() || !damage.can_be_set_aside);
    Ok(if left { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was found (docs/runs.md has its JSON form).
#[derive(Debug, Serialize)]
struct Verified<'a> {
    /// Raised when a field changes its meaning or goes away.
    schema: u32,
    /// Address of the run.
    run: &'a str,
    found: &'a Verification,
    /// Key of the record that sets damaged keys aside.
    set_aside_by: Option<&'a str>,
}

impl terminal::Report for Verified<'_> {
    fn text(&self) -> String {
        lines(self.run, self.found, self.set_aside_by).join("\n")
    }
}

fn lines(run: &str, found: &Verification, record: Option<&str>) -> Vec<String> {
    let mut out = Vec::new();
    for damage in &found.damages {
        let uri = format!("{run}/{}", damage.key);
        match record {
            Some(record) if damage.can_be_set_aside => {
                out.push(format!("{uri}: {}; set aside by {record}", damage.what));
            }
            _ => out.push(format!("{uri}: {}; {}", damage.what, damage.remedy)),
        }
    }
    out.extend(found.set_aside.iter().map(|(key, what)| format!("{key}: set aside before ({what})")));
    out.extend(found.unnamed.iter().map(|key| format!("{key}: no record lists it, so it is ignored")));
    out.extend(
        found.without_digest.iter().map(|key| format!("{key}: can be read, but an older version recorded no digest")),
    );
    out.push(format!("{run}: {}", summary(found)));
    if record.is_some() {
        out.push(
            "the files that were set aside no longer count: `worker train` continues from the newest whole checkpoint"
                .to_owned(),
        );
    }
    out
}

/// How many files were checked, and how many of them are not as they were written: `OK: 11 files checked, none damaged`.
fn summary(found: &Verification) -> String {
    let damaged = found.damages.len();
    let files = terminal::counted(found.whole + damaged, "file");
    let mut text = match damaged {
        0 => format!("OK: {files} checked, none damaged"),
        some => format!("{files} checked, {some} damaged"),
    };
    for (count, what) in [
        (found.set_aside.len(), "set aside before"),
        (found.unnamed.len(), "that no record lists"),
        (found.without_digest.len(), "without a digest"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use run_folder::RunRecord;
    use run_spec::ids::Digest;
    use serde_json::json;

    #[test]
    fn the_summary_names_only_counts_that_are_not_zero() {
        let mut found = Verification { whole: 11, ..Verification::default() };
        assert_eq!(summary(&found), "OK: 11 files checked, none damaged");
        found.unnamed.push("checkpoints/7".to_owned());
        found.set_aside.insert("attempts/0001.json".to_owned(), "torn".to_owned());
        let words = "OK: 11 files checked, none damaged, 1 set aside before, 1 that no record lists";
        assert_eq!(summary(&found), words);
        let (key, what, remedy) = ("run.json".to_owned(), String::new(), String::new());
        found.damages.push(run_folder::Damage { key, what, remedy, can_be_set_aside: false });
        assert!(summary(&found).starts_with("12 files checked, 1 damaged, "), "{}", summary(&found));
    }

    #[test]
    fn damage_is_reported_with_its_remedy_and_repaired_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let uri = folder.path().to_str().unwrap().to_owned();
        let run = Run::at(&uri).unwrap();
        run.begin(&RunRecord::new(json!({}), Digest::of(b"x"), 1, CODE)).unwrap();
        run.claim_attempt(CODE).unwrap();
        let failed = |repair| {
            let code = super::run(&VerifyArgs { run: uri.clone(), repair, json: false }).unwrap();
            format!("{code:?}") != format!("{:?}", ExitCode::SUCCESS)
        };
        assert!(!failed(false));
        std::fs::write(folder.path().join("attempts/0001.json"), "").unwrap();
        assert!(failed(false) && !failed(true) && !failed(false));
        std::fs::write(folder.path().join("run.json"), "{").unwrap();
        assert!(failed(true), "what a run is cannot be set aside");
        let found = verify(&run).unwrap();
        let text = lines(run.store().uri(), &found, None).join("\n");
        assert!(
            text.contains("run.json: it is not a JSON object") && text.contains("restore it from a copy"),
            "{text}"
        );
    }
}
