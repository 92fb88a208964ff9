//! One runtime for all stores of the process, and the door from blocking callers into it.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How often one that waits looks whether it should.
const SLICE: Duration = Duration::from_millis(500);

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(64)
            .thread_name("store")
            .enable_all()
            .build()
            .expect("the operating system grants two threads")
    })
}

/// Runs `future` on the shared runtime and blocks this thread until it ends.
///
/// The future is sent over instead of being polled here, so the call is allowed on any thread, also on one that drives
/// another runtime (it blocks that thread all the same: use `spawn_blocking` there).
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    wait_unless(future, || false).expect("it is never given up")
}

/// As [`wait`], and asks `given_up` twice a second: once it says so the future is dropped, and there is no value.
pub(crate) fn wait_unless<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
    mut given_up: impl FnMut() -> bool,
) -> Option<T> {
    let (send, receive) = mpsc::sync_channel(1);
    let task = runtime().spawn(async move {
        // The receiver only vanishes when the waiting thread has panicked or has given up.
        let _ = send.send(future.await);
    });
    loop {
        match receive.recv_timeout(SLICE) {
            Ok(value) => return Some(value),
            Err(RecvTimeoutError::Timeout) if given_up() => {
                task.abort();
                return None;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let panic = runtime().handle().block_on(task).expect_err("a task that sent nothing has panicked");
                std::panic::resume_unwind(panic.into_panic())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn blocking_calls_work_inside_another_runtime() {
        let outer = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(outer.block_on(async { super::wait(async { 7 }) }), 7);
    }

    #[test]
    fn what_never_answers_can_be_given_up() {
        assert_eq!(super::wait_unless(std::future::pending::<u8>(), || true), None);
        assert_eq!(super::wait_unless(async { 7 }, || true), Some(7));
    }
}
