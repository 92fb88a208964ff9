//! What the environment says about this process: read once at the start, and passed on.

use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use collective::Launch;
use run_folder::failure::ERROR_FILE;

/// The facts that commands need.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Which process this is among those that a launcher started.
    pub(crate) launch: Launch,
    /// Name of this host.
    pub(crate) host: String,
    /// Whether a launcher chose the GPUs that this process sees.
    pub(crate) gpus_are_chosen: bool,
    /// Number of the Slurm job, where this process is of one.
    pub(crate) slurm_job: Option<String>,
    /// Whether this run was started before: by Slurm, which put the job back into the queue, or within the same allocation.
    pub(crate) restarted: bool,
    /// Where whoever started this process wants to find why it failed.
    pub(crate) error_file: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn read() -> Self {
        Self {
            launch: Launch::of(variable),
            host: run_folder::host(),
            gpus_are_chosen: variable("CUDA_VISIBLE_DEVICES").is_some(),
            slurm_job: variable("SLURM_JOB_ID"),
            restarted: ["SLURM_RESTART_COUNT", "REDDINO_RESTARTED"]
                .iter()
                .any(|name| variable(name).is_some_and(|count| count != "0")),
            error_file: std::env::var_os(ERROR_FILE).map(PathBuf::from),
        }
    }
}

/// A variable whose value is text.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What the C libraries read before `main`, where the user did not choose.
///
/// LibTorch's OpenMP threads spin while they wait, which makes small steps many times slower as soon as cores are shared (two
/// trials at once, data loading). And glibc gives large blocks back to the kernel when they are freed: a step on CPUs then
/// spends a tenth of its time having the same pages cleared again. Kept blocks raise the peak by less than a hundredth. cuBLAS gives
/// the same bits each time only with a workspace of fixed blocks (32 MiB, its own choice on the newest GPUs), and
/// `train.deterministic` is refused without.
const LIBRARIES: [(&str, &str); 5] = [
    ("OMP_WAIT_POLICY", "passive"),
    ("MALLOC_MMAP_THRESHOLD_", "4294967296"),
    ("MALLOC_TRIM_THRESHOLD_", "8589934592"),
    ("MALLOC_TOP_PAD_", "67108864"),
    ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
];

/// Starts the program again with [`LIBRARIES`], unless all of them are set. Signals that are held back stay so, which they
/// would not through the standard library.
///
/// # Errors
/// The program cannot be started again.
pub(crate) fn complete() -> std::io::Result<()> {
    let missing: Vec<_> = LIBRARIES.iter().filter(|(name, _)| std::env::var_os(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let program = CString::new(std::env::current_exe()?.as_os_str().as_bytes())?;
    let args: Vec<CString> = std::env::args_os().map(|arg| CString::new(arg.into_vec())).collect::<Result<_, _>>()?;
    let kept = std::env::vars_os().map(|(name, value)| [name.as_bytes(), value.as_bytes()].join(&b'='));
    let added = missing.into_iter().map(|(name, value)| format!("{name}={value}").into_bytes());
    let all: Vec<CString> = kept.chain(added).map(CString::new).collect::<Result<_, _>>()?;
    match nix::unistd::execve(&program, &args, &all) {
        Ok(never) => match never {},
        Err(error) => Err(error.into()),
    }
}
