//! From a sweep file and this machine to what all batches share; and the scripts that a dry run shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use run_spec::config::Deltas;
use store::Store;

use crate::backend::Ticket;
use crate::records::{Baseline, Plan, Trial};
use crate::slurm::client::Client;
use crate::slurm::job_batch::{Job, TaskSetting};
use crate::slurm::section::Shapes;
use crate::slurm::submit;
use crate::slurm::watch::{SlurmSettings, batch_of};
use crate::sweep_file::SweepFile;

/// What Slurm takes where nobody has said otherwise; for dry runs on machines without it.
const DEFAULT_MAX_ARRAY_SIZE: u32 = 1001;

/// What a person chose for this invocation.
#[derive(Debug)]
pub(crate) struct Choices<'a> {
    /// Path of the worker program.
    pub(crate) worker: PathBuf,
    /// Folder for logs and configs.
    pub(crate) work: &'a Path,
    /// Trials of one array that may run at once, over the file's.
    pub(crate) max_parallel: Option<u32>,
    /// Whether orchestrators on other machines count as dead.
    pub(crate) take_over: bool,
}

/// What all batches share. `client` is asked for MaxArraySize, unless the file says it.
pub(crate) fn settings(
    file: &SweepFile,
    (store, plan): (&Store, &Plan),
    client: Option<&Client>,
    choices: Choices<'_>,
) -> Result<SlurmSettings> {
    let section = file.slurm()?;
    let absolute = |path: &Path| std::path::absolute(path).with_context(|| format!("find {}", path.display()));
    let max_array_size = match (section.max_array_size, client) {
        (Some(size), _) => size,
        (None, Some(client)) => client.max_array_size()?,
        (None, None) => DEFAULT_MAX_ARRAY_SIZE,
    };
    let uri = store.uri();
    let shapes = file.shapes()?;
    Ok(SlurmSettings {
        baseline_shapes: baseline_shapes(plan, &shapes, &section.shapes(&Deltas::default())?),
        shapes,
        max_array_size,
        poll: Duration::from_secs_f64(section.poll_s),
        tasks: TaskSetting {
            max_parallel: choices.max_parallel.or(section.max_parallel),
            time_limit_s: file.time_limit_s,
            store: if uri.contains("://") { uri.to_owned() } else { absolute(Path::new(uri))?.display().to_string() },
            program: std::env::current_exe().context("find the path of this program")?,
            worker: absolute(&choices.worker)?,
            work: absolute(choices.work)?,
            folder: std::env::current_dir().context("find the working folder")?,
        },
        take_over: choices.take_over,
    })
}

/// A baseline asks for what the probe of the first arm that it belongs to asks for, in both of its jobs; without arms for what the
/// sweep's probes do.
fn baseline_shapes(plan: &Plan, shapes: &BTreeMap<String, Shapes>, common: &Shapes) -> BTreeMap<String, Shapes> {
    let of = |baseline: &Baseline| {
        let mut arms = plan.arms.iter().filter(|arm| {
            let label = |seed| format!("{}/seed-{seed}", arm.name);
            plan.seeds.iter().any(|seed| baseline.trials.contains(&label(seed)))
        });
        let shapes = if plan.arms.is_empty() { common } else { shapes.get(&arms.next()?.name)? };
        let probe = shapes.probe.clone();
        Some((baseline.arm.name.clone(), Shapes { train: probe.clone(), probe }))
    };
    plan.baselines.iter().filter_map(of).collect()
}

/// The scripts of the first batch of each shape that `trials` ask for, as they would be submitted.
pub(crate) fn scripts(plan: &Plan, trials: &[Trial<'_>], settings: &SlurmSettings) -> Vec<String> {
    let mut groups: Vec<(&Shapes, Vec<Ticket<'_>>)> = Vec::new();
    for trial in trials {
        let Some(shapes) = settings.shapes_of(trial) else { continue };
        let ticket = Ticket { trial: *trial, attempt: 1.into() };
        match groups.iter_mut().find(|(known, _)| *known == shapes) {
            Some((_, group)) => group.push(ticket),
            None => groups.push((shapes, vec![ticket])),
        }
    }
    let text = |(shapes, mut group): (&Shapes, Vec<Ticket<'_>>)| {
        let all = group.len();
        group.truncate(settings.max_array_size as usize);
        let batch = batch_of(plan, &group, shapes, settings);
        let indexes: Vec<u32> = (0..).take(group.len()).collect();
        let scripts = [(Job::Train, None), (Job::Probe, Some("NUMBER_OF_THE_FIRST"))];
        let scripts = scripts.map(|(job, after)| submit::text(&batch, job, &indexes, after)).join("\n");
        format!("\n# {} of {all} trials, with the same resources\n{scripts}", group.len())
    };
    groups.into_iter().map(text).collect()
}
