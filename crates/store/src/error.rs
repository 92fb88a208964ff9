//! What can go wrong, by what the caller can do about it. Each sentence names the subject and the remedy.
//!
//! The text of a lower layer is kept as `detail`, shortened and with every credential of the environment removed; the
//! layer's own error is not chained, because its `Debug` form may hold what the text no longer does.

use crate::outcome::{Outcome, chain, io_kind};
use crate::record::RecordError;
use std::error::Error;
use std::io::ErrorKind;

/// A failed store call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The key does not exist in the store.
    #[error("{uri} does not exist; check the address")]
    NotFound {
        /// Address of the key.
        uri: String,
    },
    /// The key was created before; its content is unchanged.
    #[error("{uri} already exists, and files are never overwritten; choose another name, or delete it")]
    AlreadyExists {
        /// Address of the key.
        uri: String,
    },
    /// The key exists with other bytes than those offered to [`ensure`](crate::Store::ensure).
    #[error(
        "{uri} already exists with different content, and files are never overwritten; choose another name or another folder"
    )]
    Differs {
        /// Address of the key.
        uri: String,
    },
    /// Credentials missing, wrong, or without the right.
    #[error("{uri} may not be accessed ({detail}); check {}", remedies(uri).0)]
    Denied {
        /// Address of the key or store.
        uri: String,
        /// What the lower layer said.
        detail: String,
    },
    /// The disk or quota is full; nothing was created.
    #[error("{uri} could not be written because the disk or quota is full; free space and try again")]
    Full {
        /// Address of the key.
        uri: String,
    },
    /// A range that does not lie inside the object.
    #[error("{uri} has no bytes {start}..{end} (it holds {size}); the object is shorter than its reader expects")]
    Range {
        /// Address of the key.
        uri: String,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// Bytes in the object.
        size: u64,
    },
    /// Network, server or disk trouble that outlasted the retries.
    #[error(
        "{uri} could not be {operation} in {attempts} attempt{} ({detail}); check {}, and try again",
        if *attempts == 1 { "" } else { "s" },
        remedies(uri).1
    )]
    Unavailable {
        /// Address of the key or store.
        uri: String,
        /// What was to be done with it: read, looked up, created, listed, deleted.
        operation: &'static str,
        /// Requests sent for it.
        attempts: u32,
        /// What the lower layer said.
        detail: String,
    },
    /// Every reading gave other bytes than were created.
    #[error(
        "{uri} was damaged in {reads} reads (length or digest differs from what was written); check the server and the network, or restore it from a copy"
    )]
    Damaged {
        /// Address of the key.
        uri: String,
        /// How often it was read.
        reads: u32,
    },
    /// A JSON record whose bytes are not those that were written, or are of another version.
    #[error("{uri} is damaged: {reason}; restore it from a copy, or set it aside")]
    Record {
        /// Address of the record.
        uri: String,
        /// What is wrong with it.
        reason: RecordError,
    },
    /// Not a store address.
    #[error(
        "{uri:?} is not a store address ({why}); use a path, file:///path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or memory://name"
    )]
    BadUri {
        /// The address, without credentials.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
    /// A path that begins as an address does, such as `s3:/bucket`.
    #[error(
        "{uri} looks like an address, but is only the path of a folder: write {meant}, or ./{uri} if you mean a folder of that name"
    )]
    Misspelt {
        /// What was written, without credentials.
        uri: String,
        /// The address that was probably meant, without credentials.
        meant: String,
    },
    /// The address of a folder where a file's was expected.
    #[error("{uri}: a file is expected, not a folder")]
    NotAFile {
        /// The address, without credentials.
        uri: String,
    },
    /// A variable of the environment that should name the server does not contain an address.
    #[error("{uri} cannot be reached: {variable} {why}")]
    BadVariable {
        /// Address of the store.
        uri: String,
        /// Name of the variable.
        variable: String,
        /// What is wrong with it, and the remedy.
        why: String,
    },
    /// A text that cannot be a key.
    #[error("{key:?} is not a key ({why}); use parts of A-Z a-z 0-9 . _ - = + @ , separated by single slashes")]
    BadKey {
        /// The text that was given as a key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A local file to upload could not be read.
    #[error("{path} could not be read ({detail}); check the file and its permissions")]
    Source {
        /// Path of the local file.
        path: String,
        /// What the operating system said.
        detail: String,
    },
}

impl StoreError {
    /// Whether this is [`NotFound`](Self::NotFound).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether this is [`AlreadyExists`](Self::AlreadyExists).
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::AlreadyExists { .. })
    }

    /// What is wrong with what is stored, where that is the error and not a store that cannot be reached.
    pub fn damage(&self) -> Option<String> {
        match self {
            Self::Record { reason, .. } => Some(reason.to_string()),
            Self::Damaged { .. } => Some("its bytes are not those that were written".to_owned()),
            _ => None,
        }
    }

    pub(crate) fn from_object_store(error: object_store::Error, operation: &'static str, uri: String) -> Self {
        use object_store::Error as E;
        match io_kind(&error) {
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => {
                return Self::Full { uri };
            }
            Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                let detail = clean(&error);
                return Self::Denied { uri, detail };
            }
            _ => {}
        }
        match error {
            E::NotFound { .. } => Self::NotFound { uri },
            E::AlreadyExists { .. } => Self::AlreadyExists { uri },
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                let detail = clean(&error);
                Self::Denied { uri, detail }
            }
            E::InvalidPath { .. } => Self::BadKey { key: uri, why: clean(&error) },
            // Listing gives every answer as a general failure.
            other => {
                let (outcome, detail) = (Outcome::of(&other), clean(&other));
                match outcome.status {
                    Some(401 | 403) => Self::Denied { uri, detail },
                    Some(404) => Self::NotFound { uri },
                    _ => Self::Unavailable { uri, operation, attempts: outcome.requests(), detail },
                }
            }
        }
    }

    pub(crate) fn from_io(error: std::io::Error, operation: &'static str, uri: String) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full { uri },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { uri, detail: scrub(&error.to_string()) }
            }
            ErrorKind::AlreadyExists => Self::AlreadyExists { uri },
            ErrorKind::NotFound => Self::NotFound { uri },
            _ => {
                let detail = scrub(&error.to_string());
                Self::Unavailable { uri, operation, attempts: 1, detail }
            }
        }
    }
}

/// Whether a general failure is a plain answer: no right, no such place, no room, no such request. Time does not heal it.
pub(crate) fn is_refusal(error: &object_store::Error) -> bool {
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
    Outcome::of(error).is_wrong_request() || io_kind(error).is_some_and(|kind| full.contains(&kind))
}

/// What gives the right to read and write at `uri`, and what it is reached through.
fn remedies(uri: &str) -> (&'static str, &'static str) {
    match uri.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => {
            ("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment", "the network and AWS_ENDPOINT")
        }
        Some("gs") => (
            "GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS in the environment",
            "the network and GOOGLE_BASE_URL",
        ),
        Some("az") => (
            "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY in the environment",
            "the network and AZURE_STORAGE_ENDPOINT",
        ),
        _ => ("file permissions", "the disk"),
    }
}

/// The deepest message of the chain: the outer ones repeat it with addresses that the caller adds anyway.
pub(crate) fn clean(error: &(dyn Error + 'static)) -> String {
    let innermost = chain(error).last().unwrap_or(error);
    scrub(&without_markup(&innermost.to_string()))
}

/// S3 answers errors in XML: keeps what stands before it, the code and the message.
fn without_markup(text: &str) -> String {
    let within = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(inner, _)| inner)
    };
    let before = text.split("<?xml").next().unwrap_or(text).split("<Error>").next().unwrap_or(text);
    match (within("Code"), within("Message")) {
        (Some(code), Some(message)) => format!("{before} {code}: {message}"),
        (Some(code), None) => format!("{before} {code}"),
        _ => text.to_owned(),
    }
}

/// Removes credentials, signatures of addresses and `user:password@` from text, keeps one line of at most 300 characters.
pub(crate) fn scrub(text: &str) -> String {
    let secrets: Vec<String> = std::env::vars()
        .filter(|(k, v)| {
            let k = k.to_ascii_uppercase();
            ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|service| k.starts_with(service))
                && ["KEY", "TOKEN", "SECRET", "PASSWORD", "SAS"].iter().any(|word| k.contains(word))
                && v.len() >= 4
        })
        .map(|(_, v)| v)
        .collect();
    scrub_with(text, &secrets)
}

fn scrub_with(text: &str, secrets: &[String]) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets {
        text = text.replace(secret.as_str(), "***");
    }
    text = without_signatures(&without_userinfo(&text));
    if text.chars().count() > 300 {
        text = text.chars().take(300).chain("...".chars()).collect();
    }
    text
}

/// Replaces `//user:password@` by `//***@` wherever an authority is written.
pub(crate) fn without_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//") {
        let (head, tail) = rest.split_at(at + 2);
        out.push_str(head);
        let end = tail.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(tail.len());
        match tail[..end].rfind('@') {
            Some(sign) => {
                out.push_str("***");
                rest = &tail[sign..];
            }
            None => rest = tail,
        }
    }
    out + rest
}

/// Replaces what follows `sig=` in an address: the signature of a shared-access token of Azure opens the store by itself,
/// and stands in the address percent-encoded, so it is not found by its value.
fn without_signatures(text: &str) -> String {
    let mut parts = text.split("sig=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| "&\"')>".contains(c) || c.is_whitespace()).unwrap_or(part.len());
        out.push_str("sig=***");
        out.push_str(&part[end..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_reach_a_message() {
        let secrets = ["wJalrXUtnFEMI".to_owned(), "AKIAEXAMPLE".to_owned()];
        let text = "<Error>\n<AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId> wJalrXUtnFEMI at http://me:pw@host/b";
        let clean = scrub_with(text, &secrets);
        assert_eq!(clean, "<Error> <AWSAccessKeyId>***</AWSAccessKeyId> *** at http://***@host/b");
    }

    #[test]
    fn what_time_heals_is_told_from_what_it_does_not() {
        let general = |text: &str| object_store::Error::Generic { store: "S3", source: text.to_owned().into() };
        let status = |status: &str| {
            general(&format!("Server returned non-2xx status code: {status}: <Error><Code>No</Code></Error>"))
        };
        for refusal in
            ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "405 Method Not Allowed"]
        {
            assert!(is_refusal(&status(refusal)), "{refusal}");
        }
        for passing in [
            "408 Request Timeout",
            "409 Conflict",
            "429 Too Many Requests",
            "500 Internal Server Error",
            "503 Slow Down",
        ] {
            assert!(!is_refusal(&status(passing)), "{passing}");
        }
        let slow = "Server returned non-2xx status code: 400 Bad Request: <Error><Code>RequestTimeout</Code></Error>";
        assert!(!is_refusal(&general(slow)) && !is_refusal(&general("connection reset")));
    }

    #[test]
    fn a_signature_in_an_address_is_hidden() {
        let text = "GET https://a.blob.core.windows.net/c?sv=2&sig=aB%2Fc%3D&comp=list: 403, again sig=x";
        let expected = "GET https://a.blob.core.windows.net/c?sv=2&sig=***&comp=list: 403, again sig=***";
        assert_eq!(scrub_with(text, &[]), expected);
    }

    #[test]
    fn a_refusal_while_listing_is_a_refusal() {
        let text = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>\
                    SignatureDoesNotMatch</Code><Message>Check your key.</Message></Error>";
        let error = object_store::Error::Generic { store: "S3", source: text.into() };
        let detail = "Server returned non-2xx status code: 403 Forbidden: SignatureDoesNotMatch: Check your key.";
        let expected = StoreError::Denied { uri: "s3://b".into(), detail: detail.into() };
        assert_eq!(StoreError::from_object_store(error, "listed", "s3://b".into()), expected);
    }

    #[test]
    fn a_full_disk_is_recognised_under_the_layers() {
        let io = std::io::Error::from(ErrorKind::StorageFull);
        let error = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(io) };
        let error = StoreError::from_object_store(error, "listed", "/x/k".into());
        assert_eq!(error, StoreError::Full { uri: "/x/k".into() });
    }
}
