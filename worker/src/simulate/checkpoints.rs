//! What ranks write of checkpoints, what a failure leaves of that, and how another number of ranks goes on from it.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use run_folder::{CheckpointRecord, Parts, PieceValue, Retention, Run, RunError, RunRecord};
use run_spec::config::ResolvedConfig;
use run_spec::ids::{Attempt, Digest, Rank};
use std::collections::BTreeSet;

use crate::version;

/// Bytes of the state that stands in for each rank's part.
const BYTES_OF_A_RANK: usize = 8 << 10;

/// Checks that the parts of a checkpoint of this size are the whole, and says how long they are.
pub(super) fn ranges(config: &ResolvedConfig, world: usize) -> Result<String> {
    let bytes = crate::check_command::checkpoint_bytes(config);
    let parts = Parts::of(bytes, world);
    let mut end = 0;
    let mut lengths = Vec::with_capacity(world);
    for rank in 0..world {
        let range = parts.range(rank);
        ensure!(range.start == end, "rank {rank} begins at {} and not at {end}: a bug of the parts", range.start);
        (end, _) = (range.end, lengths.push(range.end - range.start));
    }
    ensure!(end == bytes, "the parts are {end} bytes of {bytes}: a bug of the parts");
    let mib = |bytes: Option<&u64>| bytes.copied().unwrap_or(0) as f64 / f64::from(1 << 20);
    let (least, most) = (mib(lengths.iter().min()), mib(lengths.iter().max()));
    Ok(format!("{:.0} MiB in {world} parts of {least:.1} to {most:.1} MiB", mib(Some(&bytes))))
}

/// Writes a checkpoint on `world` ranks, loses a rank in the next one, and goes on with `then` ranks.
pub(super) fn failure(config: &ResolvedConfig, world: usize, then: usize) -> Result<String> {
    let run = Run::at(&format!("memory://simulated-{}", std::process::id()))?;
    let run = Run::of(run.store().child(&format!("{world}-{then}")));
    let record = RunRecord::new(config, Digest::of(b"no shards"), 1, version::CODE);
    run.begin(&record)?;
    let state = |step: u8| -> Bytes { (0..world.max(2) * BYTES_OF_A_RANK).map(|i| (i / 7) as u8 ^ step).collect() };
    let first = run.claim_attempt(version::CODE)?;
    publish(&run, first, 10, &state(10), world)?;
    // A rank is lost when half of them have written: no record names their parts.
    write(&run, first, 20, &state(20), world, world.div_ceil(2))?;
    let second = run.claim_attempt(version::CODE)?;
    ensure!(
        matches!(run.still_ours(first), Err(RunError::TakenOver { .. })),
        "the first attempt has not noticed the second: a bug of the attempts"
    );
    let mut read = Vec::new();
    let loaded = run.load_newest(|_, at, piece| {
        if at == 0 {
            read.clear();
        }
        read.extend_from_slice(piece);
        Ok::<_, RunError>(())
    })?;
    let loaded = loaded.context("no checkpoint was found, though one was published: a bug of the run folder")?;
    ensure!(loaded.record.step.get() == 10 && read == state(10), "another state was read than was written");
    publish(&run, second, 20, &state(20), then)?;
    let keys = run.store().list("checkpoints")?;
    let left = keys.iter().filter(|key| key.contains(&format!("20-a{first:04}"))).count();
    ensure!(left == 0, "{left} parts of the attempt that died are left");
    Ok(format!(
        "{world} ranks write a checkpoint and lose a rank during the next one; {then} ranks continue from step 10 with the same digest; \
         {} objects remain in the store",
        keys.len()
    ))
}

/// Writes the parts of the first `writing` of `world` ranks, and gives what they say of them.
fn write(
    run: &Run,
    attempt: Attempt,
    step: u64,
    state: &Bytes,
    world: usize,
    writing: usize,
) -> Result<(CheckpointRecord, Vec<PieceValue>)> {
    let mut record = CheckpointRecord::without_bytes(attempt, step.into());
    let (parts, mut values) = (Parts::of(state.len() as u64, world), Vec::new());
    for rank in 0..writing {
        let range = parts.range(rank);
        let bytes = state.slice(range.start as usize..range.end as usize);
        values.extend(parts.values(range.start, &bytes));
        if !bytes.is_empty() {
            run.still_ours(attempt)?;
            record.parts.push(run.write_part(record.checkpoint_key(), Rank::new(rank as u32), bytes)?);
        }
    }
    Ok((record, values))
}

/// Writes all parts and publishes them, as rank 0 does.
fn publish(run: &Run, attempt: Attempt, step: u64, state: &Bytes, world: usize) -> Result<()> {
    let (mut record, values) = write(run, attempt, step, state, world, world)?;
    record.key = record.checkpoint_key().bytes();
    record.bytes = record.parts.iter().map(|part| part.bytes).sum();
    let only = record.parts.first().map(|part| part.digest);
    let digest = Parts::of(record.bytes, world).digest(&values).or(only);
    record.digest = digest.context("a checkpoint without parts: a bug of the parts")?;
    ensure!(record.digest == Digest::of(state), "the digest of the parts is not that of the whole: a bug of the parts");
    let passed_over = BTreeSet::new();
    run.publish_record(&record, Retention { keep: 2, passed_over: &passed_over, best: false, every: None })?;
    Ok(())
}
