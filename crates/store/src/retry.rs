//! When a call to the backend is begun again, beyond what the client retries by itself.
//!
//! The client repeats refused connections, cut connections and 5xx answers (see `open`). It gives up at once where it
//! cannot know whether the server has acted, or where the answer ends early: here it is known that every call may be
//! repeated, since reads change nothing, deletes are for good, and creates are marked (see `create`).

use object_store::client::HttpError;
use std::error::Error;
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
                tracing::debug!(beginning, "an answer of the store was lost: asking again");
                pause(beginning);
            }
            other => return other,
        }
    }
    call()
}

/// Whether the connection broke, and the client has not spent all its retries on that.
pub(crate) fn answer_was_lost(error: &object_store::Error) -> bool {
    chain(error).any(|e| e.is::<HttpError>()) && requests(error) < REQUESTS
}

/// Whether the server refused bytes that do not have the checksum they were sent with: they came damaged.
pub(crate) fn came_damaged(error: &object_store::Error) -> bool {
    const CODES: [&str; 3] = ["BadDigest", "ChecksumMismatch", "ContentSHA256Mismatch"];
    chain(error).any(|e| CODES.iter().any(|code| e.to_string().contains(code)))
}

/// Requests that the client sent before it gave up, by its own account, which is only in its text.
pub(crate) fn requests(error: &object_store::Error) -> u32 {
    let retries = |text: &str| text.split_once(", after ")?.1.split_once(" retries")?.0.parse::<u32>().ok();
    chain(error).find_map(|e| retries(&e.to_string())).map_or(1, |retries| retries + 1)
}

/// Waits before beginning number `done + 1`: 0.1 s, 0.2 s, 0.4 s, ...
pub(crate) fn pause(done: u32) {
    std::thread::sleep(Duration::from_millis(50 << done.min(6)));
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e: &&'a (dyn Error + 'static)| e.source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::client::HttpErrorKind;

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
        let text = "Error performing GET http://x in 9s, after 6 retries, max_retries: 6, retry_timeout: 90s  - 503";
        let error = object_store::Error::Generic { store: "S3", source: text.into() };
        assert_eq!(requests(&error), REQUESTS);
        assert!(!answer_was_lost(&error));
        assert_eq!(requests(&lost()), 1);
    }
}
