//! The real NCCL. Without a GPU it opens, tells its release, makes a unique id and refuses the rest in a sentence; with
//! GPUs it keeps the contract. `REDDINO_NCCL` names the library where it is not in the loader's path.

use collective::{
    CollectiveError, Stream, Threads, contract,
    nccl::{CudaStreams, Event, Joining, Library, Nccl, NcclError, OVERRIDE, Streams, Version},
};
use std::{
    path::Path,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};
use tch::Device;

const PATIENCE: Duration = Duration::from_secs(120);

/// Says that `test` is skipped, unless `REDDINO_REQUIRE` names `what`.
fn skipped(test: &str, what: &str, needs: &str) {
    let required = std::env::var("REDDINO_REQUIRE").unwrap_or_default();
    let named = required.split(',').any(|name| name.trim() == what);
    assert!(!named, "{test} needs {needs}, and REDDINO_REQUIRE names {what}");
    #[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
    {
        eprintln!("SKIPPED: {test} needs {needs}");
    }
}

/// The library, or a word that the test is skipped.
fn real(test: &str) -> Option<Arc<Library>> {
    match Library::open(std::env::var_os(OVERRIDE).as_deref().map(Path::new)) {
        Ok(library) => Some(library),
        Err(error @ NcclError::Missing { .. }) => {
            skipped(test, "nccl", &format!("NCCL: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn it_tells_its_release_and_makes_a_unique_id_without_a_gpu() {
    let Some(library) = real("it_tells_its_release_and_makes_a_unique_id_without_a_gpu") else { return };
    assert!(library.version().unwrap() >= Version(21800), "{}", library.version().unwrap());
    let (one, other) = (library.unique_id().unwrap(), library.unique_id().unwrap());
    assert_ne!(one, other, "each communicator gets a name of its own");
}

/// Streams of no device: joining is refused before any of them is used.
#[derive(Debug)]
struct NoStreams;

impl Streams for NoStreams {
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn enter(&self) -> Result<(), CollectiveError> {
        Ok(())
    }
    fn current(&self) -> Result<Stream, CollectiveError> {
        unreachable!("nothing is queued where nothing was joined")
    }
    fn side(&self) -> Result<Stream, CollectiveError> {
        unreachable!("nothing is queued where nothing was joined")
    }
    fn record(&self, _: &Stream) -> Result<Arc<dyn Event>, CollectiveError> {
        unreachable!("nothing is queued where nothing was joined")
    }
}

#[test]
fn without_a_driver_joining_is_refused_in_a_sentence_with_a_remedy() {
    let test = "without_a_driver_joining_is_refused_in_a_sentence_with_a_remedy";
    let Some(library) = real(test) else { return };
    if std::path::Path::new("/dev/nvidiactl").exists() {
        return skipped(test, "no-gpu", "a machine without a GPU driver");
    }
    let control = Box::new(Threads::world_of(1).swap_remove(0));
    let joining = Joining { library, streams: Arc::new(NoStreams), control, deadline: PATIENCE.into() };
    let error = Nccl::join(joining).unwrap_err().to_string();
    assert!(error.contains("ncclCommInitRankConfig: unhandled cuda error"), "{error}");
    assert!(error.contains("`nvidia-smi`") && error.contains("NCCL_DEBUG=INFO"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn nccl_keeps_the_contract_on_the_gpus_of_this_machine() {
    let test = "nccl_keeps_the_contract_on_the_gpus_of_this_machine";
    let gpus = if torch_shim::device::open_cuda().unwrap() { tch::Cuda::device_count() } else { 0 };
    if gpus < 1 {
        return skipped(test, "gpu", "a GPU");
    }
    let Some(library) = real(test) else { return };
    let world = |f: &(dyn Fn(Nccl, Device) + Sync)| {
        let all_joined = &Barrier::new(gpus as usize);
        thread::scope(|scope| {
            for (gpu, line) in Threads::world_of(gpus as usize).into_iter().enumerate() {
                let library = Arc::clone(&library);
                scope.spawn(move || {
                    let streams = Arc::new(CudaStreams::of(gpu));
                    let joining = Joining { library, streams, control: Box::new(line), deadline: PATIENCE.into() };
                    let nccl = Nccl::join(joining).unwrap();
                    all_joined.wait();
                    f(nccl, Device::Cuda(gpu));
                });
            }
        });
    };
    world(&|nccl, device| contract::check_on(&nccl, device).unwrap());
    world(&|nccl, _| contract::check(&nccl).unwrap());
    world(&|nccl, _| contract::check_abort_of_queued(&nccl));
}
