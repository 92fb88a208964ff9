//! The test double of NCCL (`double.cpp`): builds it, opens it as the library, and gives each rank streams of its own.
#![allow(unsafe_code, reason = "the double's own calls; each names what makes it valid")]

use collective::{
    Buffer, Collective, CollectiveError, ControlChannel, Op, Pending, Stream, Threads,
    nccl::{Event, Joining, Library, Nccl, Streams},
};
use std::{
    ffi::{CStr, CString, c_char, c_int, c_long, c_void},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Barrier, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};
use tch::Device;

/// Compiles the double, once for this run of the tests.
fn compiled() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nccl-double");
        std::fs::create_dir_all(&folder).unwrap();
        // Written out, so that the tests of other crates can use the double too.
        let (source, file) = (folder.join("double.cpp"), folder.join("libnccl.so.2"));
        std::fs::write(&source, include_str!("double.cpp")).unwrap();
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        let output = Command::new(compiler)
            .args(["-std=c++17", "-O1", "-Wall", "-Werror", "-pthread", "-shared", "-fPIC"])
            .arg(&source)
            .arg("-o")
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    })
}

/// The double's own calls.
#[derive(Debug)]
struct Calls {
    stream: unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void,
    record: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    hold: unsafe extern "C" fn(*mut c_void, *mut c_void),
    reached: unsafe extern "C" fn(*mut c_void) -> c_int,
    forget: unsafe extern "C" fn(*mut c_void),
    set: unsafe extern "C" fn(*const c_char, c_long),
    reset: unsafe extern "C" fn(),
    log: unsafe extern "C" fn() -> *const c_char,
}

fn calls() -> &'static Calls {
    static CALLS: OnceLock<Calls> = OnceLock::new();
    CALLS.get_or_init(|| {
        // SAFETY: our own file, whose initialisers only make empty tables; it is leaked, so never closed.
        let library: &'static libloading::Library =
            Box::leak(Box::new(unsafe { libloading::Library::new(compiled()) }.unwrap()));
        // SAFETY: the types are those of double.cpp.
        unsafe {
            Calls {
                stream: *library.get(b"double_stream").unwrap(),
                record: *library.get(b"double_record").unwrap(),
                hold: *library.get(b"double_hold").unwrap(),
                reached: *library.get(b"double_reached").unwrap(),
                forget: *library.get(b"double_forget").unwrap(),
                set: *library.get(b"double_set").unwrap(),
                reset: *library.get(b"double_reset").unwrap(),
                log: *library.get(b"double_log").unwrap(),
            }
        }
    })
}

/// The double in one test's hands: its faults are for all ranks of the process.
pub(crate) struct Double {
    _turn: MutexGuard<'static, ()>,
}

impl Double {
    /// Without faults, and with an empty log.
    pub(crate) fn take() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: no arguments.
        unsafe { (calls().reset)() };
        Self { _turn: turn }
    }

    /// Asks for a fault.
    pub(crate) fn set(&self, name: &str, value: i64) -> &Self {
        let name = CString::new(name).unwrap();
        // SAFETY: a text that lives through the call.
        unsafe { (calls().set)(name.as_ptr(), value) };
        self
    }

    /// What was called, line by line.
    pub(crate) fn log(&self) -> Vec<String> {
        // SAFETY: a text that is copied before the next call, which only this holder of the turn can make.
        let text = unsafe { CStr::from_ptr((calls().log)()) }.to_str().unwrap().to_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// Runs `f` on each rank of a world of `size`, all of which join. The control channel is in process too.
    pub(crate) fn on_ranks(&self, size: usize, deadline: Duration, f: impl Fn(Nccl, Arc<HostStreams>) + Sync) {
        self.joining(size, deadline, |joined, streams| f(joined.unwrap(), streams));
    }

    /// The same where joining may fail.
    pub(crate) fn joining(
        &self,
        size: usize,
        deadline: Duration,
        f: impl Fn(Result<Nccl, CollectiveError>, Arc<HostStreams>) + Sync,
    ) {
        let threads = Threads::world_of(size).into_iter();
        self.joining_on(threads.map(|rank| move || Box::new(rank) as Box<dyn ControlChannel>).collect(), deadline, f);
    }

    /// The same with control channels of another kind, which all ranks make at the same time.
    pub(crate) fn joining_on<L: FnOnce() -> Box<dyn ControlChannel> + Send>(
        &self,
        channels: Vec<L>,
        deadline: Duration,
        f: impl Fn(Result<Nccl, CollectiveError>, Arc<HostStreams>) + Sync,
    ) {
        // A rank that gives up as soon as it has joined would meet others that are still joining.
        let all_back = Barrier::new(channels.len());
        let (f, all_back) = (&f, &all_back);
        thread::scope(|scope| {
            for channel in channels {
                scope.spawn(move || {
                    let streams = Arc::new(HostStreams::new());
                    let library = Library::open_file(compiled()).unwrap();
                    let joining = Joining {
                        library,
                        streams: Arc::clone(&streams) as _,
                        control: channel(),
                        deadline: deadline.into(),
                    };
                    let joined = Nccl::join(joining);
                    all_back.wait();
                    f(joined, streams);
                });
            }
        });
    }
}

/// Streams of the double. The thread that computes on the CPU stands for the current stream.
#[derive(Debug)]
pub(crate) struct HostStreams {
    current: Stream,
    side: Stream,
}

impl HostStreams {
    fn new() -> Self {
        let stream = |name: &str, host| {
            let name = CString::new(name).unwrap();
            // SAFETY: a text that the call copies.
            Stream::foreign(unsafe { (calls().stream)(name.as_ptr(), host) })
        };
        Self { current: stream("current", 1), side: stream("side", 0) }
    }
}

impl Streams for HostStreams {
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn enter(&self) -> Result<(), CollectiveError> {
        Ok(())
    }
    fn current(&self) -> Result<Stream, CollectiveError> {
        Ok(self.current)
    }
    fn side(&self) -> Result<Stream, CollectiveError> {
        Ok(self.side)
    }
    fn record(&self, stream: &Stream) -> Result<Arc<dyn Event>, CollectiveError> {
        // SAFETY: a stream of the double, which never frees one.
        Ok(Arc::new(HostEvent(unsafe { (calls().record)(stream.handle()) })))
    }
}

#[derive(Debug)]
struct HostEvent(*mut c_void);

// SAFETY: the double's events are used under its lock.
unsafe impl Send for HostEvent {}
// SAFETY: as above.
unsafe impl Sync for HostEvent {}

impl Event for HostEvent {
    fn block(&self, stream: &Stream) -> Result<(), CollectiveError> {
        // SAFETY: an event and a stream of the double.
        unsafe { (calls().hold)(self.0, stream.handle()) };
        Ok(())
    }
    fn is_reached(&self) -> Result<bool, CollectiveError> {
        // SAFETY: an event of the double.
        Ok(unsafe { (calls().reached)(self.0) } != 0)
    }
}

impl Drop for HostEvent {
    fn drop(&mut self) {
        // SAFETY: an event of the double, which nobody uses after this.
        unsafe { (calls().forget)(self.0) };
    }
}

/// Gives every buffer as one on the device, but for those that are the host's on every device: the double's device memory is host
/// memory.
#[derive(Debug)]
pub(crate) struct OnDevice<C> {
    pub(crate) inner: C,
    current: Stream,
}

impl<C: Collective> OnDevice<C> {
    pub(crate) fn of(inner: C, streams: &HostStreams) -> Self {
        Self { inner, current: streams.current }
    }

    fn place<'a>(&self, buffer: &Buffer<'a>) -> Buffer<'a> {
        let stream = (!buffer.is_of_host()).then_some(self.current);
        // SAFETY: the memory of a buffer that is borrowed for 'a, in a world where host memory is device memory.
        unsafe { Buffer::from_raw(buffer.ptr(), buffer.count(), buffer.dtype(), stream) }
    }
}

impl<C: Collective> Collective for OnDevice<C> {
    fn rank(&self) -> usize {
        self.inner.rank()
    }
    fn world(&self) -> usize {
        self.inner.world()
    }
    fn all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<(), CollectiveError> {
        self.inner.all_reduce(self.place(&buffer), op)
    }
    unsafe fn start_all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<Pending, CollectiveError> {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.inner.start_all_reduce(self.place(&buffer), op) }
    }
    fn broadcast(&self, buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError> {
        self.inner.broadcast(self.place(&buffer), root)
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        self.inner.barrier()
    }
    fn abort(&self, reason: &str) {
        self.inner.abort(reason);
    }
}
