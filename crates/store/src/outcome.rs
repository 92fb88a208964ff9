//! What a failed call of the client was: how many requests it sent, what the server answered, and whether the answer was lost.
//!
//! What the client gives as a type is taken from the type: the variants of [`object_store::Error`], the [`HttpError`] of a
//! broken connection, the [`std::io::Error`] of a disk. The error that holds the number of retries, the status and the
//! body of an answer (`object_store::client::retry::RetryError` in version 0.14) is private to the client, and where no variant
//! stands for the status its text is all that is left. [`Outcome::read`] is the only place that reads it.

use object_store::client::HttpError;
use std::error::Error;
use std::io::ErrorKind;

/// A failed call, as far as the client describes it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How often the client sent the request again before it gave up, where it did.
    retries: Option<u32>,
    /// Status of the last answer, where no variant of the error stands for it.
    pub(crate) status: Option<u16>,
    /// Whether the connection broke before the answer was whole.
    pub(crate) broken: bool,
    /// Which of [`CODES`] the server gave as its reason.
    reason: Option<Reason>,
}

/// Reasons of a server that its status does not tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The bytes that came do not have the checksum they were sent with.
    Damaged,
    /// The request came too slowly: a status 400 that passes.
    Slow,
}

/// The codes of S3, Google Cloud Storage and Azure for each reason.
const CODES: [(&str, Reason); 4] = [
    ("BadDigest", Reason::Damaged),
    ("ChecksumMismatch", Reason::Damaged),
    ("ContentSHA256Mismatch", Reason::Damaged),
    ("RequestTimeout", Reason::Slow),
];

impl Outcome {
    pub(crate) fn of(error: &object_store::Error) -> Self {
        let mut outcome = Self { retries: None, status: None, broken: false, reason: None };
        for cause in chain(error) {
            outcome.broken |= cause.is::<HttpError>();
            outcome.read(&cause.to_string());
        }
        outcome
    }

    /// Reads what the client says in its text alone: `..., after 6 retries, ...`, `... status code: 403 Forbidden: BODY`. Each
    /// error of a chain repeats the text of its causes, so what was found once stays.
    fn read(&mut self, text: &str) {
        let between = |before: &str, after: &str| Some(text.split_once(before)?.1.split_once(after)?.0);
        let retries = || between(", after ", " retries")?.parse::<u32>().ok();
        self.retries = self.retries.or_else(retries);
        self.status = self.status.or_else(|| between("status code: ", " ")?.parse().ok());
        let code = || CODES.iter().find(|(code, _)| text.contains(code)).map(|(_, reason)| *reason);
        self.reason = self.reason.or_else(code);
    }

    /// Requests that the client sent before it gave up.
    pub(crate) fn requests(&self) -> u32 {
        self.retries.map_or(1, |retries| retries.saturating_add(1))
    }

    /// Whether the server refused bytes that do not have the checksum they were sent with: they came damaged.
    pub(crate) fn came_damaged(&self) -> bool {
        self.reason == Some(Reason::Damaged)
    }

    /// Whether the answer says that the request itself cannot be served. A request that took too long, a conflict and too many
    /// requests are 4xx too, and pass.
    pub(crate) fn is_wrong_request(&self) -> bool {
        let passes = [408, 409, 425, 429];
        let wrong = self.status.is_some_and(|status| (400..500).contains(&status) && !passes.contains(&status));
        wrong && self.reason != Some(Reason::Slow)
    }
}

/// The kind of the first I/O error in the chain.
pub(crate) fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    chain(error).find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}

/// An error and its causes, the innermost last.
pub(crate) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause: &&'a (dyn Error + 'static)| cause.source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::wait;
    use futures_util::StreamExt;
    use object_store::aws::{AmazonS3, AmazonS3Builder};
    use object_store::client::{HttpClient, HttpConnector, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
    use object_store::path::Path;
    use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
    use std::time::Duration;

    /// A server that gives one answer to every request, or breaks every connection.
    #[derive(Debug, Clone, Copy)]
    enum Server {
        Answers(u16, &'static str),
        Breaks(HttpErrorKind),
    }

    #[async_trait::async_trait]
    impl HttpService for Server {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            match *self {
                Self::Answers(status, body) => {
                    let mut response = HttpResponse::new(body.to_owned().into());
                    *response.status_mut() = status.try_into().unwrap();
                    Ok(response)
                }
                Self::Breaks(kind) => Err(HttpError::new(kind, std::io::Error::other("cut"))),
            }
        }
    }

    impl HttpConnector for Server {
        fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
            Ok(HttpClient::new(*self))
        }
    }

    /// The real client before `server`, with two retries.
    fn client(server: Server) -> AmazonS3 {
        let short = Duration::from_millis(1);
        let backoff = BackoffConfig { init_backoff: short, max_backoff: short, base: 2.0 };
        AmazonS3Builder::new()
            .with_bucket_name("b")
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .with_retry(RetryConfig { backoff, max_retries: 2, retry_timeout: Duration::from_secs(60) })
            .with_http_connector(server)
            .build()
            .unwrap()
    }

    fn listed(server: Server) -> object_store::Error {
        let client = client(server);
        wait(async move { client.list(None).next().await }).unwrap().unwrap_err()
    }

    fn written(server: Server) -> object_store::Error {
        let client = client(server);
        wait(async move { client.put(&Path::from("k"), "bytes".into()).await }).unwrap_err()
    }

    #[test]
    fn the_text_of_the_client_says_how_often_it_asked_and_what_it_was_answered() {
        for (status, requests) in [(400, 1), (401, 1), (403, 1), (404, 1), (405, 1), (429, 3), (500, 3), (503, 3)] {
            let error = listed(Server::Answers(status, "<Error><Code>No</Code></Error>"));
            let outcome = Outcome::of(&error);
            assert_eq!((outcome.requests(), outcome.status), (requests, Some(status)), "{error}");
            assert!(!outcome.broken && outcome.reason.is_none(), "{error}");
        }
    }

    #[test]
    fn a_broken_connection_is_told_from_an_answer() {
        for (kind, requests) in [(HttpErrorKind::Connect, 3), (HttpErrorKind::Decode, 1)] {
            let outcome = Outcome::of(&listed(Server::Breaks(kind)));
            assert_eq!((outcome.requests(), outcome.status, outcome.broken), (requests, None, true));
        }
    }

    #[test]
    fn the_code_of_an_answer_says_what_its_status_does_not() {
        let damaged = "<Error><Code>BadDigest</Code><Message>Not its checksum.</Message></Error>";
        assert!(Outcome::of(&written(Server::Answers(400, damaged))).came_damaged());
        let slow = Outcome::of(&written(Server::Answers(400, "<Error><Code>RequestTimeout</Code></Error>")));
        assert!(!slow.is_wrong_request() && !slow.came_damaged());
        assert!(Outcome::of(&written(Server::Answers(400, "<Error><Code>No</Code></Error>"))).is_wrong_request());
    }

    #[test]
    fn a_status_that_a_body_quotes_is_no_answer() {
        let error = listed(Server::Answers(500, "the server behind said 403 Forbidden"));
        assert_eq!(Outcome::of(&error).status, Some(500));
    }
}
