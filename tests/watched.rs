//! A server that tests start and that ends with their process, however it ends.
//!
//! The server is the child of a shell that waits for the end of its input, a pipe from the test process: when that process
//! returns, panics or is killed, the shell kills the server and removes its folder.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than a start takes on a busy machine; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(90);
/// Kills the server when the standard input ends.
const WATCH: &str = r#"folder=$1; shift; "$@" >"$folder/out.txt" 2>&1 & child=$!; exec 2>/dev/null; read -r _; kill -9 $child; wait $child; rm -rf "$folder""#;

/// A running server, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Child,
}

impl Watched {
    /// A folder for a server, which [`start`](Self::start) takes over.
    pub(crate) fn folder(prefix: &str) -> PathBuf {
        tempfile::Builder::new().prefix(prefix).tempdir().expect("a temporary folder").keep()
    }

    /// Starts program and arguments of `command` in `folder` and waits until it is `ready`; its environment is taken too.
    /// `None` where another process took its port.
    pub(crate) fn start(folder: PathBuf, command: &Command, ready: impl Fn() -> bool) -> Option<Self> {
        let watch = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(&folder)
            .arg(command.get_program())
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::piped())
            .current_dir(&folder)
            .spawn()
            .expect("sh starts");
        let server = Self { watch };
        let began = Instant::now();
        while !ready() {
            let output = std::fs::read_to_string(folder.join("out.txt")).unwrap_or_default();
            if output.contains("ddress already in use") || output.contains("EADDRINUSE") {
                return None;
            }
            assert!(began.elapsed() < PATIENCE, "{} does not answer:\n{output}", command.get_program().display());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        // Nothing to do about a shell that cannot be waited for.
        let _ = self.watch.wait();
    }
}

/// Sixteen hexadecimal digits that no other call gives.
pub(crate) fn random() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}
