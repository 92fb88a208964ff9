//! The last word of a process that a library ends by `abort()`: the standard library when an allocation fails, C++ when an
//! exception finds nobody to catch it. No Rust code runs after that, so the words are laid down before.

use std::sync::OnceLock;

static WORDS: OnceLock<&'static str> = OnceLock::new();

/// Writes `words` to standard error should the process be aborted; it ends as it would have without. Only the first call
/// counts.
pub fn say_on_abort(words: &'static str) {
    extern "C" fn say(_: libc::c_int) {
        if let Some(words) = WORDS.get() {
            // SAFETY: static memory of the given length. A handler may call `write`, and `get` is an atomic load. What could
            // not be written is lost.
            let _ = unsafe { libc::write(libc::STDERR_FILENO, words.as_ptr().cast(), words.len()) };
        }
    }
    if WORDS.set(words).is_ok() {
        let handler: extern "C" fn(libc::c_int) = say;
        // SAFETY: the handler makes only calls that a handler may make. When it returns, `abort` ends the process.
        unsafe { libc::signal(libc::SIGABRT, handler as libc::sighandler_t) };
    }
}
