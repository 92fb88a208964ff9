//! `worker metrics`: the published metrics of a run as TensorBoard events.

use anyhow::{Context, Result, bail};
use run_folder::Run;

use crate::cli::MetricsArgs;
use training::metrics::{event_file, now};

/// Writes one event file. Of a step that several attempts did, the latest counts.
pub(crate) fn metrics(args: &MetricsArgs) -> Result<()> {
    let folder = &args.tensorboard;
    let run = Run::at(&args.run)?;
    // A wrong address is said to be one.
    run.record()?;
    let lines = run.metrics()?;
    if lines.is_empty() {
        bail!("{}: this run has no metrics yet; they are written with its first checkpoint", args.run);
    }
    let there = std::fs::read_dir(folder).into_iter().flatten().flatten();
    if there.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("tfevents")) {
        bail!("{}: there are event files already; give an empty folder in --tensorboard", folder.display());
    }
    let mut events = event_file(folder, 0.into(), 0.into())?;
    for (step, metrics) in &lines {
        // Lines hold no time of day.
        events
            .scalars(now(), step.get(), &metrics.scalars())
            .with_context(|| format!("cannot write into {}", folder.display()))?;
    }
    terminal::line(format!("{}: {}", folder.display(), terminal::counted(lines.len(), "step")));
    Ok(())
}
