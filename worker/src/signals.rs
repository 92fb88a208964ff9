//! A wish to stop (Ctrl-C, a time limit, a scheduler's USR1): the step in hand is finished and a checkpoint written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

/// Exit code of a run that was asked to stop and can go on: what Slurm scripts requeue on.
pub(crate) const STOPPED: u8 = 85;

/// True once a signal asked to stop. A second Ctrl-C ends the process at once.
#[derive(Debug, Clone)]
pub(crate) struct StopWish(Arc<AtomicBool>);

impl StopWish {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            if signal == SIGINT {
                signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())
                    .context("listen for signals")?;
            }
            signal_hook::flag::register(signal, flag.clone()).context("listen for signals")?;
        }
        Ok(Self(flag))
    }

    /// Whether somebody asked.
    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
