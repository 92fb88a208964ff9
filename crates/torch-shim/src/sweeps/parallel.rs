//! Work on the threads of LibTorch's own kernels.

use crate::ffi;
use std::{
    ffi::c_void,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Runs `work` once with each of the `items`, on as many threads as LibTorch's kernels may use. Which thread takes which item is left
/// open. A panic in `work` ends the process.
pub(super) fn each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(item) = item.lock().unwrap_or_else(PoisonError::into_inner).take() {
                work(item);
            }
        }
    };
    everywhere(&run);
}

/// Runs `run` on each thread at once, and returns when all have come back.
fn everywhere(run: &(dyn Fn() + Sync)) {
    extern "C" fn enter(run: *mut c_void) {
        // SAFETY: `everywhere` passes the address of a `&(dyn Fn() + Sync)` that outlives the call.
        let run = unsafe { *run.cast::<&(dyn Fn() + Sync)>() };
        run();
    }
    // SAFETY: `enter` reads what the second argument points at as what it is; the call returns after every thread has.
    unsafe { ffi::shim_parallel(enter, (&raw const run).cast_mut().cast()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_taken_once() {
        for threads in [1, 3] {
            tch::set_num_threads(threads);
            let mut counts = vec![0u32; 1000];
            each(counts.iter_mut().collect(), |count| *count += 1);
            assert_eq!(counts, [1; 1000]);
            each(Vec::<u8>::new(), |_| unreachable!("there is none"));
        }
    }
}
