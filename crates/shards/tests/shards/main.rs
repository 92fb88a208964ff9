//! All tests of the crate from outside, in one program: linking is what takes time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cache;
mod common;
mod format;
mod hostile;
mod place;
