//! A real Slurm of four virtual nodes that a test starts and stops.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{root, skipped};

/// Longer than anything here takes; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// A running cluster; stopped when it drops.
#[derive(Debug)]
pub struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts one; with network namespaces where the test is root. `accounting` makes `sacct` answer. `None`, and a word,
    /// where Slurm is not installed.
    ///
    /// # Panics
    /// It does not start, or `REDDINO_REQUIRE` names `slurm` and it is not installed.
    pub fn start(test: &str, accounting: bool) -> Option<Self> {
        let installed = |program: &str| {
            ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin"]
                .iter()
                .any(|f| Path::new(f).join(program).exists())
        };
        let needed = ["slurmctld", "slurmd", "munged"].iter().chain(if accounting {
            &["slurmdbd", "mariadbd"][..]
        } else {
            &[]
        });
        if let Some(missing) = needed.into_iter().find(|program| !installed(program)) {
            skipped(test, "slurm", &format!("{missing}, and it is not installed: run scripts/setup-slurm.sh"));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("slurm").tempdir().expect("a temporary folder");
        let am_root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
        let flag = |on: bool| if on { "1" } else { "0" };
        let status = Command::new(root().join("tests/slurm/start.sh"))
            .arg(folder.path())
            .envs([("NETNS", flag(am_root)), ("ACCOUNTING", flag(accounting))])
            .status()
            .expect("start.sh runs");
        assert!(status.success(), "the cluster does not start");
        Some(Self { folder })
    }

    /// A Slurm command for this cluster, in the workspace's root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.folder.path().join("etc/slurm.conf")).current_dir(root());
        for name in ["SQUEUE_FORMAT", "SACCT_FORMAT", "SLURM_TIME_FORMAT"] {
            command.env_remove(name);
        }
        command
    }

    /// What a Slurm command prints.
    ///
    /// # Panics
    /// It fails.
    pub fn ask(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().expect("the command runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A field of `scontrol show job`, such as `JobState`.
    pub fn job(&self, id: &str, field: &str) -> String {
        let text = self.ask("scontrol", &["show", "job", "-o", id]);
        let found = text.split_whitespace().find_map(|pair| pair.strip_prefix(&format!("{field}=")));
        found.unwrap_or_default().to_owned()
    }

    /// Waits until `ready` gives something.
    ///
    /// # Panics
    /// It takes too long; `what` says what was waited for, and the job's log is shown.
    pub fn wait<T>(&self, what: &str, log: &Path, mut ready: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = ready() {
                return found;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{what} did not happen\n{}\n{}",
                self.ask("squeue", &["-a"]),
                String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default())
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the end of a job and gives its state.
    pub fn end_of(&self, id: &str, log: &Path) -> String {
        self.wait("the end of the job", log, || {
            let state = self.job(id, "JobState");
            // A requeued job is COMPLETING, then PENDING: neither is an end.
            let ended = ["COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"];
            (ended.contains(&state.as_str())).then_some(state)
        })
    }

    /// The process of `program` that job `id` runs as task `task` of a step; srun itself is the process that is no task.
    pub fn process(&self, id: &str, program: &str, task: Option<usize>) -> Option<u32> {
        let conf = format!("SLURM_CONF={}", self.folder.path().join("etc/slurm.conf").display());
        let job = format!("SLURM_JOB_ID={id}");
        let task = task.map(|task| format!("SLURM_PROCID={task}"));
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers.find(|process| {
            let read = |file: &str| std::fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
            let environment = read("environ");
            let has = |variable: &str| environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes());
            read("comm").trim_ascii() == program.as_bytes()
                && has(&job)
                && has(&conf)
                && task.as_ref().is_none_or(|task| has(task))
        })
    }

    /// The beginning of the names of its network namespaces; none where nodes share the network of the machine.
    pub fn network(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.path().join("run/networks")).ok()?;
        Some(text.split_whitespace().next()?.to_owned())
    }

    /// The process of a daemon that start.sh has started.
    pub fn daemon(&self, name: &str) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("run/processes")).ok()?;
        let mut lines = text.lines().rev().filter_map(|line| line.split_once(' '));
        lines.find_map(|(process, daemon)| (daemon == name).then(|| process.parse().ok()).flatten())
    }

    /// Starts the controller again after it was killed, with the state that it had.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_controller(&self) {
        let folder = self.folder.path();
        let log = std::fs::File::create(folder.join("log/slurmctld-again.out")).expect("a log");
        let mut command = self.command("sh");
        let controller = command
            .args(["-c", "PATH=$PATH:/usr/sbin exec setsid slurmctld -D"])
            .stdout(Stdio::from(log))
            .stderr(Stdio::null())
            .spawn();
        let line = format!("{} slurmctld\n", controller.expect("it starts").id());
        let path = folder.join("run/processes");
        let processes = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, processes + &line).expect("noted for stop.sh");
        let began = Instant::now();
        let answers = || self.command("scontrol").arg("ping").output().is_ok_and(|output| output.status.success());
        while !answers() {
            assert!(began.elapsed() < PATIENCE, "the controller does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Kills a node at once, with all it runs.
    ///
    /// # Panics
    /// The script fails.
    pub fn kill_node(&self, node: &str) {
        let script = root().join("tests/slurm/kill-node.sh");
        let status = Command::new(script).arg(self.folder.path()).arg(node).status().expect("kill-node.sh runs");
        assert!(status.success());
    }

    /// The folder of the cluster, with its configuration and logs.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let script = root().join("tests/slurm/stop.sh");
        // The folder goes next; a daemon that is left over would show as a failing test run, not as a wrong result.
        let _ = Command::new(script).arg(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
