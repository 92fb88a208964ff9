//! The code version: crate version and commit at build time, `-dirty` appended where tracked files were changed.

use serde::Serialize;

/// For example `0.1.0+0123456789ab` or `0.1.0+0123456789ab-dirty`.
pub(crate) const CODE: &str = env!("REDDINO_VERSION");

/// What `worker version` answers: people get the version alone, the orchestrator asks for JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Version {
    version: &'static str,
}

impl Default for Version {
    fn default() -> Self {
        Self { version: CODE }
    }
}

impl terminal::Report for Version {
    fn text(&self) -> String {
        self.version.to_owned()
    }
}
