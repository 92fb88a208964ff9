//! Where tensors live and how many threads they get. The one place where a panic of tensor maths becomes an error.

use std::cell::Cell;

use anyhow::{Result, bail};
use run_spec::config::Device as Wanted;

/// A device, and its name in words for result rows.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// For tensors.
    pub(crate) device: tch::Device,
    /// For people.
    pub(crate) words: String,
}

/// Opens the device a configuration wants, with `threads` for tensors (0: all cores).
pub(crate) fn open(wanted: Wanted, threads: u64) -> Result<Place> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores } else { threads as usize };
    tch::set_num_threads(threads as i32);
    let cuda = match wanted {
        Wanted::Cpu => false,
        Wanted::Auto | Wanted::Cuda => {
            // A missing library is the ordinary case of a CPU machine; `cuda` makes it an error below.
            torch_shim::device::open_cuda().unwrap_or(false) && tch::Cuda::is_available()
        }
    };
    if cuda {
        return Ok(Place { device: tch::Device::Cuda(0), words: "CUDA device 0".to_owned() });
    }
    if wanted == Wanted::Cuda {
        bail!(
            "device: cuda is asked for, but LibTorch finds no CUDA device; run on a GPU node with the CUDA build (`make setup CUDA=1`), or set device: cpu"
        );
    }
    Ok(Place { device: tch::Device::Cpu, words: format!("CPU, {threads} threads") })
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Panics are reported as errors of the program, except those that [`guard`] turns into a sentence.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if GUARDED.get() {
            tracing::debug!(%panic, "panic in tensor maths");
        } else {
            tracing::error!(%panic, "this is a bug of the worker");
        }
    }));
}

/// Runs tensor maths; a panic of the tensor library (a wrong shape, memory that is not there) becomes an error.
pub(crate) fn guard<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = GUARDED.replace(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    GUARDED.set(outer);
    match result {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            let first = text.lines().next().unwrap_or_default();
            if text.contains("out of memory") {
                bail!("{what}: the device has too little memory; lower train.batch_size or --batch ({first})");
            }
            bail!("{what}: {first}")
        }
    }
}
