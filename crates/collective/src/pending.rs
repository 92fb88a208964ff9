//! A transfer under way.

use crate::CollectiveError;
use std::fmt;

type Finish = Box<dyn FnOnce() -> Result<f64, CollectiveError> + Send>;

/// An all-reduce that [`Collective::start_all_reduce`](crate::Collective::start_all_reduce) began.
pub struct Pending(Finish);

impl Pending {
    /// One that is done already, after `seconds`.
    pub fn done(seconds: f64) -> Self {
        Self::later(move || Ok(seconds))
    }

    /// One whose end `finish` waits for.
    pub fn later(finish: impl FnOnce() -> Result<f64, CollectiveError> + Send + 'static) -> Self {
        Self(Box::new(finish))
    }

    /// Returns when the result may be used: on the host when it is there, on a device when the current stream will find
    /// it there. Gives the seconds that the transfer took, as far as the backend knows.
    ///
    /// # Errors
    /// What `all_reduce` would have refused.
    pub fn finish(self) -> Result<f64, CollectiveError> {
        self.0()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}
