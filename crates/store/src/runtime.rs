//! One runtime for all stores of the process, and the door from blocking callers into it.

use std::future::Future;
use std::sync::{OnceLock, mpsc};
use tokio::runtime::{Builder, Runtime};

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
    let (send, receive) = mpsc::sync_channel(1);
    let task = runtime().spawn(async move {
        // The receiver only vanishes when the waiting thread has panicked.
        let _ = send.send(future.await);
    });
    match receive.recv() {
        Ok(value) => value,
        Err(_) => {
            let panic = runtime().handle().block_on(task).expect_err("a task that sent nothing has panicked");
            std::panic::resume_unwind(panic.into_panic())
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
}
