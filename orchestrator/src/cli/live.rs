//! The command line of what shows a sweep while it runs.

use std::path::PathBuf;

use clap::Args;

use super::{TargetArgs, seconds};

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Seconds between two updates.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) every_s: f64,
}

#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    /// The store.
    #[arg(long, value_name = "URI", default_value = "./store")]
    pub(crate) store: String,
    /// Address to listen on; for an address that other machines can reach, a token is created and printed.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8421")]
    pub(crate) listen: String,
    /// Require the token in this file, which is created if it is missing. Use it on shared machines, also for local access.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Seconds between two updates of a sweep.
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) every_s: f64,
}
