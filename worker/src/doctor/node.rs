//! The node: its GPUs as `nvidia-smi` lists them, what Slurm gave to this process, room on disk.

use std::path::Path;
use std::process::Command;

use super::finding::Finding;

/// The columns asked of `nvidia-smi`.
const COLUMNS: &str = "index,name,memory.total,memory.used,utilization.gpu,ecc.errors.uncorrected.volatile.total";

/// A GPU as `nvidia-smi` sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    index: u32,
    name: String,
    total_mib: u64,
    used_mib: u64,
    /// Per cent of the last sampling period; absent where it is not told (MIG).
    pub(crate) utilisation: Option<u64>,
    /// Uncorrected memory errors since the driver was loaded; absent without ECC.
    ecc_errors: Option<u64>,
}

/// Reads what `nvidia-smi --query-gpu=COLUMNS --format=csv,noheader,nounits` prints; lines that are none are left out.
fn gpus_of(csv: &str) -> Vec<Gpu> {
    let gpu = |line: &str| {
        let mut fields = line.split(',').map(str::trim);
        Some(Gpu {
            index: fields.next()?.parse().ok()?,
            name: fields.next()?.to_owned(),
            total_mib: fields.next()?.parse().ok()?,
            used_mib: fields.next()?.parse().ok()?,
            utilisation: fields.next()?.parse().ok(),
            ecc_errors: fields.next()?.parse().ok(),
        })
    };
    csv.lines().filter_map(gpu).collect()
}

/// The GPUs, or why they cannot be listed.
pub(crate) fn list_gpus() -> Result<Vec<Gpu>, String> {
    let query = format!("--query-gpu={COLUMNS}");
    let output = Command::new("nvidia-smi").args([query.as_str(), "--format=csv,noheader,nounits"]).output();
    match output {
        Ok(output) if output.status.success() => Ok(gpus_of(&String::from_utf8_lossy(&output.stdout))),
        Ok(output) => Err(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("it failed").to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Judges the listed GPUs.
fn gpus_finding(gpus: &[Gpu]) -> Finding {
    let words = |gpu: &Gpu| {
        let Gpu { index, name, total_mib, used_mib, .. } = gpu;
        format!("{index}: {name}, {used_mib} of {total_mib} MiB used")
    };
    let all = gpus.iter().map(words).collect::<Vec<_>>().join("; ");
    if gpus.is_empty() {
        return Finding::fail(
            "gpus",
            "nvidia-smi lists no GPU",
            "ask Slurm for one (`--gpus-per-task=1`), or drain the node",
        );
    }
    if let Some(gpu) = gpus.iter().find(|gpu| gpu.ecc_errors.is_some_and(|errors| errors > 0)) {
        let remedy = "drain the node: memory that lost bits gives wrong numbers; a reset of the GPU clears the count";
        return Finding::fail("gpus", format!("GPU {} has uncorrected memory errors ({all})", gpu.index), remedy);
    }
    if let Some(gpu) = gpus.iter().find(|gpu| 10 * gpu.used_mib > gpu.total_mib) {
        let remedy = "see with `nvidia-smi` who uses it; training beside another process is slow and may lack memory";
        return Finding::warn("gpus", format!("GPU {} is in use ({all})", gpu.index), remedy);
    }
    Finding::ok("gpus", all)
}

/// Lists and judges the GPUs.
pub(crate) fn gpus() -> Finding {
    match list_gpus() {
        Ok(gpus) => gpus_finding(&gpus),
        Err(why) if Path::new("/proc/driver/nvidia/version").exists() => {
            let remedy = "see that nvidia-smi is in PATH and agrees with the driver (after an update: reboot the node)";
            Finding::fail("gpus", format!("nvidia-smi: {why}"), remedy)
        }
        Err(_) => Finding::not_checked("gpus", "no NVIDIA driver and no nvidia-smi"),
    }
}

/// What Slurm gave, from its variables.
pub(crate) fn slurm(env: impl Fn(&str) -> Option<String>) -> Finding {
    let Some(job) = env("SLURM_JOB_ID") else {
        return Finding::not_checked("slurm", "not in a Slurm job (SLURM_JOB_ID is not set)");
    };
    let mut words = vec![format!("job {job}")];
    for (name, what) in [
        ("SLURM_JOB_PARTITION", "partition"),
        ("SLURM_JOB_NUM_NODES", "nodes"),
        ("SLURM_STEP_NUM_TASKS", "tasks"),
        ("SLURM_PROCID", "task"),
        ("SLURM_CPUS_PER_TASK", "CPUs per task"),
        ("SLURM_RESTART_COUNT", "restarts"),
    ] {
        words.extend(env(name).map(|value| format!("{what} {value}")));
    }
    let words = words.join(", ");
    let tasks = env("SLURM_NTASKS").and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    // In the batch script itself there is one process, whatever the job asked for.
    if tasks > 1 && env("SLURM_STEP_NUM_TASKS").is_none() {
        let remedy = "start the worker with `srun --mpi=pmix`, as slurm/ does; this checked one process only";
        return Finding::warn(
            "slurm",
            format!("{words}: the job has {tasks} tasks, but this process is not one of them"),
            remedy,
        );
    }
    if env("SLURM_CPUS_PER_TASK").is_none() {
        let remedy = "set --cpus-per-task, for srun too (SRUN_CPUS_PER_TASK): without it a task may get one core";
        return Finding::warn("slurm", format!("{words}: CPUs per task are not set"), remedy);
    }
    Finding::ok("slurm", words)
}

const GIB: u64 = 1 << 30;

/// Judges `free` bytes at `place`.
fn room(check: &str, place: &str, free: u64, least: u64, wished: u64) -> Finding {
    let detail = format!("{:.1} GiB free at {place}", free as f64 / GIB as f64);
    let remedy = "free space there, or choose another place (--out, TMPDIR)";
    match free {
        free if free < least => Finding::fail(check, detail, remedy),
        free if free < wished => Finding::warn(check, detail, remedy),
        _ => Finding::ok(check, detail),
    }
}

/// Room at `path`, or at the nearest folder above it that exists.
pub(crate) fn disk(check: &str, path: &Path) -> Finding {
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        // What is left to users other than root.
        Ok(stat) => room(check, &there.display().to_string(), stat.f_bavail * stat.f_frsize, GIB, 10 * GIB),
        Err(error) => {
            Finding::warn(check, format!("{}: {error}", there.display()), "check that the path can be reached")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    #[test]
    fn gpus_are_read_from_the_csv() {
        let csv = "0, NVIDIA H100 80GB HBM3, 81559, 4, 0, 0\n1, NVIDIA A100, 40960, 9, [N/A], [N/A]\n\nNo devices\n";
        let gpus = gpus_of(csv);
        assert_eq!(gpus.len(), 2);
        assert_eq!(
            (gpus[0].name.as_str(), gpus[0].total_mib, gpus[0].utilisation),
            ("NVIDIA H100 80GB HBM3", 81559, Some(0))
        );
        assert_eq!((gpus[1].utilisation, gpus[1].ecc_errors), (None, None));
        assert_eq!(gpus_finding(&gpus).outcome, Outcome::Ok);
    }

    #[test]
    fn a_used_gpu_warns_and_a_broken_or_missing_one_fails() {
        let judged = |csv: &str| gpus_finding(&gpus_of(csv)).outcome;
        assert_eq!(judged("0, A100, 40960, 30000, 97, 0"), Outcome::Warn);
        assert_eq!(judged("0, A100, 40960, 1, 0, 2"), Outcome::Fail);
        assert_eq!(judged(""), Outcome::Fail);
    }

    fn in_slurm(variables: &[(&str, &str)]) -> Finding {
        slurm(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn slurm_variables_are_told_and_a_batch_script_is_no_step() {
        assert_eq!(in_slurm(&[]).outcome, Outcome::NotChecked);
        let job = [("SLURM_JOB_ID", "7"), ("SLURM_NTASKS", "4"), ("SLURM_CPUS_PER_TASK", "8")];
        let batch = in_slurm(&job);
        assert_eq!(batch.outcome, Outcome::Warn);
        assert!(batch.remedy.unwrap().contains("srun --mpi=pmix"));
        let step = in_slurm(&[job.as_slice(), &[("SLURM_STEP_NUM_TASKS", "4")]].concat());
        assert_eq!((step.outcome, step.detail.as_str()), (Outcome::Ok, "job 7, tasks 4, CPUs per task 8"));
        assert_eq!(in_slurm(&job[..1]).outcome, Outcome::Warn);
    }

    #[test]
    fn little_room_warns_and_none_fails() {
        let judged = |free| room("disk", "/x", free, GIB, 10 * GIB).outcome;
        assert_eq!([judged(GIB - 1), judged(GIB), judged(10 * GIB)], [Outcome::Fail, Outcome::Warn, Outcome::Ok]);
    }
}
