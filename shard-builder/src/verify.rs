//! `verify`: proves a shard set, or says what is wrong with it.

use anyhow::{Context, Result, bail};
use shards::{MANIFEST_KEY, ShardSet, VerifyOptions, verify as prove};
use store::Store;

use crate::cli::VerifyArgs;
use crate::recut::recut;
use terminal::{counted, megabytes, table, thousands};

/// Verifies a set and returns what to print.
///
/// # Errors
/// Any fault: the first hundred are listed.
pub(crate) fn verify(args: &VerifyArgs) -> Result<String> {
    let mut text = verify_set(&args.uri)?;
    if args.recut.sources.is_some() {
        let store = Store::open(&args.uri)?;
        let set = ShardSet::open(&store).with_context(|| format!("cannot open the shard set {}", args.uri))?;
        let same = recut(&set, &args.recut).with_context(|| format!("cannot cut rows of {} again", args.uri))?;
        text.extend(same.map(|same| format!("\n{same}")));
    }
    Ok(text)
}

/// Verifies the set at `uri`, and returns what to print.
///
/// # Errors
/// As [`verify`].
pub(crate) fn verify_set(uri: &str) -> Result<String> {
    let store = Store::open(uri)?;
    refuse_runs_and_sweeps(&store, uri)?;
    let report = prove(&store, VerifyOptions::default()).with_context(|| format!("cannot verify {uri}"))?;
    if !report.is_good() {
        let faults: Vec<String> = report.faults.iter().map(|fault| format!("  {fault}")).collect();
        let plural = if report.fault_count == 1 { "" } else { "s" };
        bail!("{uri} is damaged or incomplete: {} fault{plural}\n{}", thousands(report.fault_count), faults.join("\n"));
    }
    let rows: Vec<Vec<String>> = report
        .sources
        .iter()
        .map(|source| {
            let licences = source.licences.join(", ");
            vec![
                source.name.clone(),
                licences,
                thousands(source.images),
                thousands(source.rows),
                megabytes(source.bytes),
            ]
        })
        .collect();
    let mut text = table(&["source", "licence", "images", "rows", "size"], &["images", "rows", "size"], &rows);
    for split in &report.splits {
        let folds: Vec<String> = split.rows.iter().map(|&rows| thousands(rows)).collect();
        text.push_str(&format!("\nsplit {}: no group is in two folds; rows by fold {}", split.name, folds.join(" + ")));
        if split.shared_pixels > 0 {
            let shared = thousands(split.shared_pixels);
            text.push_str(&format!("; {shared} pixel digests occur in several folds (blank patches, or copies)"));
        }
    }
    text.push_str(&format!(
        "\n\nOK: {} in {}, {} decoded, {}, {}, set {}",
        counted(report.rows, "row"),
        counted(report.shards, "shard"),
        counted(report.images_decoded, "picture"),
        counted(report.groups, "group"),
        megabytes(report.bytes),
        report.digest.short()
    ));
    text.push_str(&match report.fingerprints {
        Some(images) => format!("\nfingerprints of {}", counted(images, "image")),
        None => "\nno fingerprints: build this set again to find near-copies of its images in other sets".to_owned(),
    });
    Ok(text)
}

/// Names the command that verifies what lies at `uri`, if that is a run or the store of a sweep.
fn refuse_runs_and_sweeps(store: &Store, uri: &str) -> Result<()> {
    if store.exists(MANIFEST_KEY)? {
        return Ok(());
    }
    if store.exists("run.json")? {
        bail!("{uri} is a run, not a shard set: check it with `worker verify {uri}`");
    }
    if !store.list("sweeps")?.is_empty() {
        bail!("{uri} is the store of a sweep, not a shard set: check it with `orchestrator verify {uri}`");
    }
    Ok(())
}
