//! NCCL itself, opened at run time: nothing links to it, and a machine without it builds and tests everything else.
//!
//! Where LibTorch's CUDA build is in the process, so is the `libnccl.so.2` that it was built with, and opening that name
//! finds it. Else the loader's own path is searched, then the place where the PyPI wheels put it beside LibTorch.

use super::sys::{Code, SUCCESS, Table, UniqueId};
use std::{
    ffi::{CStr, c_char},
    fmt,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    ptr::null_mut,
    sync::Arc,
};

/// Names a file to open in place of the search: for an odd place, and for tests.
pub const OVERRIDE: &str = "REDDINO_NCCL";
const NAME: &str = "libnccl.so.2";
/// From LibTorch's folder to NCCL's, as the wheels lie in `site-packages` and in `.libtorch/`.
const BESIDE_LIBTORCH: &str = "../../nvidia/nccl/lib/libnccl.so.2";
/// The first release with all calls and with a non-blocking communicator that can be finalised.
const OLDEST: Version = Version(21800);

/// Why NCCL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NcclError {
    /// The library is not found on this machine.
    #[error(
        "libnccl.so.2 is not found (looked in the loader's path and at {}); install it with the CUDA build (`make setup CUDA=1`, or the wheel nvidia-nccl-cu13), \
         or name the file in {OVERRIDE}", beside.as_ref().map_or_else(|| "no place beside LibTorch".to_owned(), |path| path.display().to_string())
    )]
    Missing {
        /// Where it would lie beside LibTorch.
        beside: Option<PathBuf>,
    },
    /// A file is there and does not open.
    #[error("{} does not open as NCCL ({message}); install NCCL for this machine, or name another file in {OVERRIDE}", path.display())]
    Open {
        /// The file that was opened.
        path: PathBuf,
        /// What the dynamic loader said.
        message: String,
    },
    /// A library without a call that NCCL has.
    #[error("{} has no {symbol}, so it is not NCCL {OLDEST} or later; install that, or name another file in {OVERRIDE}", path.display())]
    Symbol {
        /// The file that lacks the call.
        path: PathBuf,
        /// The C function that is missing.
        symbol: &'static str,
    },
    /// A release from before non-blocking communicators.
    #[error("{} is NCCL {found}, but {OLDEST} or later is needed; install that, or name another file in {OVERRIDE}", path.display())]
    TooOld {
        /// The file that is too old.
        path: PathBuf,
        /// The release that it says it is.
        found: Version,
    },
    /// A call returned an error code.
    #[error("{call}: {result}{}; {}", detail(last_error), remedy(*code))]
    Refused {
        /// The C function that failed.
        call: &'static str,
        /// Its `ncclResult_t`, as a number.
        code: i32,
        /// What NCCL calls it.
        result: String,
        /// What `ncclGetLastError` adds; may be empty.
        last_error: String,
    },
}

fn detail(last_error: &str) -> String {
    if last_error.is_empty() { String::new() } else { format!(" ({last_error})") }
}

/// What to do about a result, by its number.
fn remedy(code: Code) -> &'static str {
    match code {
        1 => {
            "check with `nvidia-smi` that this node has a GPU and a driver new enough for the CUDA build, and run again with NCCL_DEBUG=INFO for \
            NCCL's own log"
        }
        2 => {
            "check the network between the nodes (NCCL_SOCKET_IFNAME chooses the interface) and free shared memory, and run again with \
            NCCL_DEBUG=INFO for NCCL's own log"
        }
        5 => {
            "check that every rank has a GPU of its own (`srun --gpus-per-task=1` or one task per GPU), and run again with NCCL_DEBUG=INFO for \
            NCCL's own log"
        }
        6 => "another rank or a link to it is lost: its own log says why; NCCL_DEBUG=INFO adds NCCL's view of it",
        _ => "run again with NCCL_DEBUG=INFO for NCCL's own log",
    }
}

/// A release of NCCL, as `ncclGetVersion` counts: 22809 is 2.28.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub i32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.0;
        write!(f, "{}.{}.{}", code / 10_000, code / 100 % 100, code % 100)
    }
}

/// The library in this process. It stays open to the end, since NCCL keeps threads of its own.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    pub(super) calls: Table,
    _open: ManuallyDrop<libloading::Library>,
}

impl Library {
    /// Opens NCCL, and checks that it has every call and is new enough. No GPU is needed.
    ///
    /// * `chosen` the file that the user names (in [`OVERRIDE`]); none or an empty name searches for it.
    ///
    /// # Errors
    /// It is not found, does not open, or is too old.
    pub fn open(chosen: Option<&Path>) -> Result<Arc<Self>, NcclError> {
        Self::search(chosen, torch_shim::device::library_folder())
    }

    fn search(chosen: Option<&Path>, libtorch: Option<PathBuf>) -> Result<Arc<Self>, NcclError> {
        if let Some(file) = chosen.filter(|file| !file.as_os_str().is_empty()) {
            return Self::open_file(file);
        }
        let by_name = Self::open_file(Path::new(NAME));
        // "No such file" has no number of its own in the loader: a library that lacks something names that other file.
        let Err(NcclError::Open { message, .. }) = &by_name else { return by_name };
        if !message.starts_with(&format!("{NAME}: cannot open shared object file")) {
            return by_name;
        }
        let beside = libtorch.map(|folder| folder.join(BESIDE_LIBTORCH));
        match &beside {
            Some(file) if file.exists() => Self::open_file(file),
            _ => Err(NcclError::Missing { beside }),
        }
    }

    /// Opens one file.
    ///
    /// # Errors
    /// As [`Library::open`].
    pub fn open_file(path: &Path) -> Result<Arc<Self>, NcclError> {
        let path = path.to_owned();
        // SAFETY: NCCL's initialisers only set up its own state; a file that the user names is trusted as any program is.
        let library = unsafe { libloading::Library::new(&path) };
        let library = library.map_err(|error| NcclError::Open { path: path.clone(), message: loader_words(&error) })?;
        let library = ManuallyDrop::new(library);
        // SAFETY: it goes by NCCL's name or was chosen as NCCL, and ManuallyDrop keeps it from being closed.
        let calls = unsafe { Table::of(&library) };
        let calls = calls.map_err(|(symbol, _)| NcclError::Symbol { path: path.clone(), symbol })?;
        let library = Self { path, calls, _open: library };
        let found = library.version()?;
        if found < OLDEST {
            return Err(NcclError::TooOld { path: library.path, found });
        }
        Ok(Arc::new(library))
    }

    /// The file, as it was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its release.
    ///
    /// # Errors
    /// NCCL refuses.
    pub fn version(&self) -> Result<Version, NcclError> {
        let mut code = 0;
        // SAFETY: a number to write to.
        self.check("ncclGetVersion", unsafe { (self.calls.get_version)(&raw mut code) })?;
        Ok(Version(code))
    }

    /// A name for a new communicator, which one rank makes and all share. It opens a port on this host.
    ///
    /// # Errors
    /// NCCL finds no network interface.
    pub fn unique_id(&self) -> Result<UniqueId, NcclError> {
        let mut id = UniqueId([0; 128]);
        // SAFETY: room for the 128 bytes.
        self.check("ncclGetUniqueId", unsafe { (self.calls.get_unique_id)(&raw mut id) })?;
        Ok(id)
    }

    /// Turns a result into an error; what NCCL says about it is asked for in the same thread.
    pub(super) fn check(&self, call: &'static str, code: Code) -> Result<(), NcclError> {
        if code == SUCCESS {
            return Ok(());
        }
        // SAFETY: any number is taken; the text is a constant of the library.
        let result = unsafe { text((self.calls.error_string)(code)) };
        // SAFETY: a null communicator asks for the last error at all; the text is copied before any other call.
        let last_error = unsafe { text((self.calls.last_error)(null_mut())) };
        Err(NcclError::Refused { call, code, result, last_error })
    }
}

/// # Safety
/// `text` is null or a text that lives through the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null (checked above), and a text by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // NCCL's own advice about NCCL_DEBUG is in our remedy already.
    text.split(" (run with NCCL_DEBUG").next().unwrap_or_default().trim().to_owned()
}

/// What `dlopen` said: libloading puts words of its own before it.
fn loader_words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_reads_as_people_write_it() {
        assert_eq!(Version(22809).to_string(), "2.28.9");
        assert!(Version(21_704) < OLDEST);
    }

    #[test]
    fn a_file_that_is_no_nccl_is_refused_with_a_remedy() {
        let none = Library::search(Some(Path::new("/no/such/libnccl.so.2")), None).unwrap_err().to_string();
        assert!(none.contains("/no/such/libnccl.so.2") && none.contains(OVERRIDE), "{none}");
        let other = Library::search(Some(Path::new("libm.so.6")), None).unwrap_err().to_string();
        assert!(other.contains("has no ncclGetVersion"), "{other}");
    }

    #[test]
    fn an_empty_override_is_no_override() {
        // Whatever this machine has, the empty word is not opened as a file.
        if let Err(error) = Library::search(Some(Path::new("")), None) {
            assert!(matches!(error, NcclError::Missing { beside: None }), "{error}");
        }
    }
}
