//! The log of the worker: of several ranks, each line begins with the rank and its host.

use crate::environment::Environment;

/// Starts the log on standard error.
pub(crate) fn begin(environment: &Environment) {
    let Environment { launch, host, .. } = environment;
    let label = if launch.world > 1 { format!("rank={} host={host} ", launch.rank) } else { String::new() };
    // The client of the stores logs each request that it sends again; the worker itself logs how long a store is away.
    terminal::begin_log("info,object_store=warn", label);
}
