use serde::Serialize;

use crate::Report;

/// What the command `version` answers: the version alone for people, and an object for programs.
#[derive(Debug, Serialize)]
pub struct Version {
    /// Version of the program with the commit it was built from.
    pub version: &'static str,
}

impl Report for Version {
    fn text(&self) -> String {
        self.version.to_owned()
    }
}
