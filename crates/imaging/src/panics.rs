//! Panics of decoders: caught and reported as damage, and, once [`quiet_decoders`] was called, not printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// Whether this thread is inside a decoder.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of decoders from being printed; they are caught, and the file is reported as damaged. Other panics are printed as
/// before. A program calls this once, at its start: it replaces the process's panic hook by one that calls the earlier hook.
pub fn quiet_decoders() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !DECODING.get() {
            before(panic);
        }
    }));
}

/// The result of a decoder; `None` where it panicked.
pub(crate) fn catch<T>(decode: impl FnOnce() -> T) -> Option<T> {
    DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    decoded.ok()
}
