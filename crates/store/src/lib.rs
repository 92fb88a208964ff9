//! Create-only records on a directory or object storage.
//!
//! A [`Store`] is a URI plus blocking calls: `create`, `get`, `get_range`, `list`. A key, once created, never changes,
//! because a plain directory has no compare-and-swap and Slurm can leave an old process alive after it has requeued the
//! job: whoever creates a key first wins, everyone else gets [`StoreError::AlreadyExists`]. Nothing here overwrites.
//!
//! On object storage every create is marked, so that one whose answer is lost is known as one's own when it is tried again,
//! and carries a digest, so that damage on the way shows and is read again. All retries end.
//!
//! Credentials come from the environment alone (`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`,
//! `AZURE_STORAGE_ACCOUNT_KEY`, ...: docs/storage.md) and
//! never reach a message. One shared runtime drives all requests; callers stay ordinary threads.
//!
//! ```
//! let store = store::Store::open("memory://example")?;
//! store.create("runs/a/claim.json", "{}".into())?;
//! assert!(matches!(store.create("runs/a/claim.json", "{}".into()), Err(store::StoreError::AlreadyExists { .. })));
//! assert_eq!(store.list("runs")?, ["runs/a/claim.json"]);
//! # Ok::<(), store::StoreError>(())
//! ```

mod cloud;
pub mod contract;
mod create;
mod endpoint;
mod error;
mod faulty;
mod key;
mod local;
mod mark;
mod open;
mod outcome;
mod patience;
mod read;
pub mod record;
mod retry;
mod runtime;
mod store;
mod strangers;
mod uri;

pub use error::StoreError;
pub use faulty::Fault;
pub use patience::Waiting;
pub use record::RecordError;
pub use store::Store;
pub use strangers::Stranger;
