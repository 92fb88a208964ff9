//! The command line of what shows a sweep while it runs.

use std::path::PathBuf;

use clap::Args;

use super::{TargetArgs, seconds};

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Seconds between two looks at the store.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) every_s: f64,
}

#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    /// The store.
    #[arg(long, value_name = "URI", default_value = "./store")]
    pub(crate) store: String,
    /// Where it listens; an address that other machines reach needs a token, which is made and printed.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8421")]
    pub(crate) listen: String,
    /// Demand the token of this file, which is made where there is none. On a machine that others use, say it for this machine too.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Seconds between two looks at a sweep.
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) every_s: f64,
}
