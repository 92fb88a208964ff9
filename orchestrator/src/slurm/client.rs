//! Slurm's own commands, run as a person would, but with nothing in the environment that changes what they print.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::slurm::parse::{self, Task, Tasks};

/// A command that has not answered after this is ended: Slurm's own patience is shorter.
const PATIENCE: Duration = Duration::from_secs(180);
/// Tasks that one `sacct` is asked for.
const ACCOUNT_BATCH: usize = 500;

/// Why Slurm did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It did not answer, or is too full just now: what was asked may have been done all the same.
    Silent(String),
    /// It said no, and will say no again.
    Refused(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Silent(description) | Self::Refused(description)) = self;
        f.write_str(description)
    }
}

impl Trouble {
    /// Reads what a command said as it failed.
    fn of(program: &str, said: &str) -> Self {
        const PASSING: [&str; 12] = [
            "timed out",
            "Unable to contact",
            "connect failure",
            "Connection refused",
            "Connection reset",
            "temporarily unable",
            "temporarily unavailable",
            "Zero Bytes were transmitted",
            "Slurm backup controller in standby",
            "submit limit",
            "SubmitJobsPerUser",
            "MaxSubmitJob",
        ];
        let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
        let description = last.strip_prefix(&format!("{program}: ")).unwrap_or(last);
        let description = format!("{program}: {}", description.strip_prefix("error: ").unwrap_or(description));
        let passing = said.trim().is_empty() || PASSING.iter().any(|part| said.contains(part));
        if passing { Self::Silent(description) } else { Self::Refused(description) }
    }
}

/// Slurm, as this machine knows it.
#[derive(Debug, Clone)]
pub(crate) struct Client;

impl Client {
    /// Looks for Slurm's commands.
    ///
    /// # Errors
    /// One of them is not on `PATH`.
    pub(crate) fn find() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        for program in ["sbatch", "squeue", "scontrol", "scancel"] {
            if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
                bail!(
                    "there is no `{program}` on PATH: run this on a login node of a Slurm cluster, or use --backend local"
                );
            }
        }
        Ok(Self)
    }

    /// Most tasks of one array.
    ///
    /// # Errors
    /// Slurm does not answer.
    pub(crate) fn max_array_size(&self) -> Result<u32> {
        let text = ask("scontrol", &["show", "config"]).map_err(|trouble| anyhow::anyhow!("{trouble}"))?;
        parse::max_array_size(&text).context("scontrol show config names no MaxArraySize")
    }

    /// All array tasks of this user that Slurm still knows, in one question.
    ///
    /// # Errors
    /// Slurm does not answer.
    pub(crate) fn queue(&self) -> Result<Tasks, Trouble> {
        ask("squeue", &["-h", "-r", "--me", "-t", "all", "-o", parse::QUEUE_FORMAT]).map(|text| parse::queue(&text))
    }

    /// What the accounts say of `tasks`, which have left the queue; nothing where there are no accounts.
    pub(crate) fn accounts(&self, tasks: &[Task]) -> Tasks {
        let mut found = Tasks::new();
        for batch in tasks.chunks(ACCOUNT_BATCH) {
            let list = batch.iter().map(Task::to_string).collect::<Vec<_>>().join(",");
            match ask("sacct", &["-X", "-n", "-P", "-j", &list, "-o", parse::ACCOUNT_FORMAT]) {
                Ok(text) => found.extend(parse::accounts(&text)),
                Err(trouble) => tracing::debug!(%trouble, "no accounts"),
            }
        }
        found
    }

    /// The array called `name`, in whatever state.
    ///
    /// # Errors
    /// Slurm does not answer. A cluster without accounting gives `None`, not an error.
    pub(crate) fn look_up(&self, name: &str) -> Result<Option<u64>, Trouble> {
        let queue = ask("squeue", &["-h", "--me", "-t", "all", "--name", name, "-o", "%F"])?;
        if let Some(array) = parse::arrays(&queue).first() {
            return Ok(Some(*array));
        }
        match ask("sacct", &["-X", "-n", "-P", "-S", "now-30days", "--name", name, "-o", "JobID"]) {
            Ok(text) => Ok(parse::arrays(&text).first().copied()),
            Err(trouble) => {
                tracing::debug!(%trouble, "no accounts");
                Ok(None)
            }
        }
    }

    /// Submits a script.
    ///
    /// # Errors
    /// As Slurm says. After [`Trouble::Silent`] it may have been submitted: look it up by name.
    pub(crate) fn submit(&self, script: &Path) -> Result<u64, Trouble> {
        let text = ask("sbatch", &["--parsable", &script.display().to_string()])?;
        parse::submitted(&text).ok_or_else(|| Trouble::Silent(format!("sbatch: no job number in {:?}", text.trim())))
    }

    /// Cancels arrays; with `waiting`, only their tasks that have not begun.
    ///
    /// # Errors
    /// Slurm does not answer.
    pub(crate) fn cancel(&self, arrays: &[u64], waiting: bool) -> Result<(), Trouble> {
        if arrays.is_empty() {
            return Ok(());
        }
        let numbers: Vec<String> = arrays.iter().map(u64::to_string).collect();
        let mut args = vec!["--quiet"];
        args.extend(waiting.then_some("--state=PENDING"));
        args.extend(numbers.iter().map(String::as_str));
        ask("scancel", &args).map(drop)
    }

    /// Puts a running task back into the queue.
    ///
    /// # Errors
    /// As Slurm says.
    pub(crate) fn requeue(&self, task: Task) -> Result<(), Trouble> {
        ask("scontrol", &["requeue", &task.to_string()]).map(drop)
    }

    /// Slurm's word for the state of a task; none where Slurm does not answer.
    pub(crate) fn state_word(&self, task: Task) -> Option<String> {
        let text = ask("squeue", &["-h", "-t", "all", "-j", &task.to_string(), "-o", "%T"]).ok()?;
        Some(text.trim().to_owned())
    }
}

/// Runs `program` with `args` and returns what it prints.
fn ask(program: &str, args: &[&str]) -> Result<String, Trouble> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (key, _) in std::env::vars_os() {
        let key = key.to_string_lossy();
        // A script's own options, formats of a person, and the job that this program itself may run in. Where the cluster
        // is, and what the site wants of every job (SBATCH_PARTITION, SBATCH_ACCOUNT), stays.
        let formats = ["SQUEUE_", "SACCT_", "SCANCEL_", "SLURM_"].iter().any(|prefix| key.starts_with(prefix));
        let ours = ["SBATCH_JOB_NAME", "SBATCH_ARRAY_INX", "SBATCH_COMMENT", "SBATCH_DEPENDENCY", "SBATCH_OUTPUT"];
        if (formats && !["SLURM_CONF", "SLURM_CLUSTERS"].contains(&key.as_ref())) || ours.contains(&key.as_ref()) {
            command.env_remove(key.as_ref());
        }
    }
    let trouble = |error: std::io::Error| Trouble::Refused(format!("{program}: {error}"));
    let mut child = command.spawn().map_err(trouble)?;
    let reader = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = reader(child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let err = reader(child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(trouble)? {
            break status;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Trouble::Silent(format!("{program}: no answer in {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    if status.success() { Ok(out) } else { Err(Trouble::of(program, &err)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_passes_is_told_from_a_refusal() {
        let silent = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n";
        assert!(matches!(Trouble::of("sbatch", silent), Trouble::Silent(_)));
        let silent = "squeue: error: Unable to contact slurm controller (connect failure)";
        assert!(matches!(Trouble::of("squeue", silent), Trouble::Silent(_)));
        let full = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates \
                    accounting/QOS policy (job submit limit, user's size and/or time limits)";
        assert!(matches!(Trouble::of("sbatch", full), Trouble::Silent(_)));
        let refused = "sbatch: error: invalid partition specified: gpuu\nsbatch: error: Batch job submission failed: \
                       Invalid partition name specified\n";
        let expected = "sbatch: Batch job submission failed: Invalid partition name specified";
        assert_eq!(Trouble::of("sbatch", refused), Trouble::Refused(expected.into()));
    }
}
