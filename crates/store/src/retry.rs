//! When a call to the backend is begun again, beyond what the client retries by itself.
//!
//! The client repeats refused connections, cut connections and 5xx answers (see `open`). It gives up at once where it
//! cannot know whether the server has acted, or where the answer ends early: here it is known that every call may be
//! repeated, since reads change nothing, deletes are for good, and creates are marked (see `create`).

use crate::outcome::Outcome;
use std::time::Duration;

/// How often a call is begun when its answer is lost or damaged.
pub(crate) const BEGINNINGS: u32 = 3;
/// How often a request is sent within one call, by the client.
pub(crate) const REQUESTS: u32 = 7;

/// Begins `call` again while its answer is lost, `BEGINNINGS` times at most.
pub(crate) fn begin_again<T>(mut call: impl FnMut() -> object_store::Result<T>) -> object_store::Result<T> {
    for beginning in 1..BEGINNINGS {
        match call() {
            Err(error) if answer_was_lost(&error) => {
                tracing::debug!(beginning, "a response of the store was lost: sending the request again");
                pause(beginning);
            }
            other => return other,
        }
    }
    call()
}

/// Whether the connection broke, and the client has not spent all its retries on that.
pub(crate) fn answer_was_lost(error: &object_store::Error) -> bool {
    let outcome = Outcome::of(error);
    outcome.broken && outcome.requests() < REQUESTS
}

/// Waits before beginning number `done + 1`: 0.1 s, 0.2 s, 0.4 s, ...
pub(crate) fn pause(done: u32) {
    std::thread::sleep(Duration::from_millis(50 << done.min(6)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::client::{HttpError, HttpErrorKind};

    fn lost() -> object_store::Error {
        let source = HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("cut"));
        object_store::Error::Generic { store: "S3", source: Box::new(source) }
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_and_in_the_end_told() {
        let mut calls = 0;
        let result = begin_again(|| {
            calls += 1;
            if calls < 3 { Err(lost()) } else { Ok(calls) }
        });
        assert_eq!(result.unwrap(), 3);
        let mut calls = 0;
        begin_again(|| {
            calls += 1;
            Err::<(), _>(lost())
        })
        .unwrap_err();
        assert_eq!(calls, BEGINNINGS);
    }

    #[test]
    fn what_the_client_has_retried_enough_is_not_begun_again() {
        let text = "Error performing GET http://x in 9s, after 6 retries, max_retries: 6, retry_timeout: 90s  - cut";
        let source = HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other(text));
        let error = object_store::Error::Generic { store: "S3", source: Box::new(source) };
        assert!(!answer_was_lost(&error));
        assert!(answer_was_lost(&lost()));
    }
}
