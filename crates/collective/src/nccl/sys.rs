//! NCCL's C interface, as `nccl.h` of 2.28.9 has it: the numbers, the two structs, and the calls that are used here.
//! Nothing is linked; [`super::Library`] fills the table when it opens the library.

use crate::Dtype;
use std::ffi::{c_char, c_int, c_uint, c_void};

/// NCCL's `ncclComm_t`, a communicator.
pub(super) type Comm = *mut c_void;
/// CUDA's `cudaStream_t`, a queue of device work.
pub(super) type CudaStream = *mut c_void;
/// NCCL's `ncclResult_t`, the outcome of a call.
pub(super) type Code = c_int;

/// NCCL's `ncclSuccess`: the call went well.
pub(super) const SUCCESS: Code = 0;
/// `ncclInProgress`: a non-blocking call that has not ended and has not failed.
pub(super) const IN_PROGRESS: Code = 7;

/// `ncclUniqueId`: what the ranks of one communicator share. It is passed by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct UniqueId(pub [u8; 128]);

/// `ncclConfig_t` as of 2.28. The library goes by `size` and `version`, so older and later releases read what they know.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Config {
    size: usize,
    magic: c_uint,
    version: c_uint,
    blocking: c_int,
    cga_cluster_size: c_int,
    min_ctas: c_int,
    max_ctas: c_int,
    net_name: *const c_char,
    split_share: c_int,
    traffic_class: c_int,
    comm_name: *const c_char,
    collnet_enable: c_int,
    cta_policy: c_int,
    shrink_share: c_int,
    nvls_ctas: c_int,
    n_channels_per_net_peer: c_int,
    nvlink_centric_sched: c_int,
}

impl Config {
    /// What `NCCL_CONFIG_INITIALIZER` gives, except that calls do not block.
    pub(super) const fn non_blocking() -> Self {
        const UNDEFINED: c_int = c_int::MIN;
        Self {
            size: size_of::<Self>(),
            magic: 0xcafe_beef,
            version: 22809,
            blocking: 0,
            cga_cluster_size: UNDEFINED,
            min_ctas: UNDEFINED,
            max_ctas: UNDEFINED,
            net_name: std::ptr::null(),
            split_share: UNDEFINED,
            traffic_class: UNDEFINED,
            comm_name: std::ptr::null(),
            collnet_enable: UNDEFINED,
            cta_policy: UNDEFINED,
            shrink_share: UNDEFINED,
            nvls_ctas: UNDEFINED,
            n_channels_per_net_peer: UNDEFINED,
            nvlink_centric_sched: UNDEFINED,
        }
    }
}

/// `ncclDataType_t` of a dtype.
pub(super) const fn data_type(dtype: Dtype) -> c_int {
    match dtype {
        Dtype::U8 => 1,
        Dtype::I32 => 2,
        Dtype::I64 => 4,
        Dtype::F16 => 6,
        Dtype::F32 => 7,
        Dtype::F64 => 8,
        Dtype::Bf16 => 9,
    }
}

/// `ncclSum`, the only reduction that NCCL is asked for.
pub(super) const SUM: c_int = 0;

/// Declares the table, and the function that fills it symbol by symbol.
macro_rules! table {
    ($($(#[$doc:meta])* $field:ident = $symbol:literal : fn($($arg:ty),*) -> $out:ty;)+) => {
        /// The calls, by the library's own addresses.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Table {
            $($(#[$doc])* pub(super) $field: unsafe extern "C" fn($($arg),*) -> $out,)+
        }

        impl Table {
            /// Looks every symbol up; the first that is missing comes back as its name and the loader's words.
            ///
            /// # Safety
            /// `library` is NCCL (or has its interface) and is never closed.
            pub(super) unsafe fn of(library: &libloading::Library) -> Result<Self, (&'static str, String)> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the type is the one that nccl.h declares for this name, and by the caller's promise the
                        // library outlives the address.
                        let symbol = unsafe { library.get::<unsafe extern "C" fn($($arg),*) -> $out>($symbol.as_bytes()) };
                        *symbol.map_err(|error| ($symbol, error.to_string()))?
                    },)+
                })
            }
        }
    };
}

table! {
    get_version = "ncclGetVersion": fn(*mut c_int) -> Code;
    get_unique_id = "ncclGetUniqueId": fn(*mut UniqueId) -> Code;
    error_string = "ncclGetErrorString": fn(Code) -> *const c_char;
    last_error = "ncclGetLastError": fn(Comm) -> *const c_char;
    init_rank = "ncclCommInitRankConfig": fn(*mut Comm, c_int, UniqueId, c_int, *mut Config) -> Code;
    async_error = "ncclCommGetAsyncError": fn(Comm, *mut Code) -> Code;
    finalize = "ncclCommFinalize": fn(Comm) -> Code;
    destroy = "ncclCommDestroy": fn(Comm) -> Code;
    /// Ends the communicator with all that is in flight; callable from a thread that is not the communicator's.
    abort = "ncclCommAbort": fn(Comm) -> Code;
    group_start = "ncclGroupStart": fn() -> Code;
    group_end = "ncclGroupEnd": fn() -> Code;
    all_reduce = "ncclAllReduce": fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, CudaStream) -> Code;
    all_gather = "ncclAllGather": fn(*const c_void, *mut c_void, usize, c_int, Comm, CudaStream) -> Code;
    broadcast = "ncclBroadcast": fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, CudaStream) -> Code;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structs_have_the_sizes_of_the_header() {
        // sizeof by gcc on nccl.h of 2.28.9 for x86-64 and aarch64.
        assert_eq!((size_of::<UniqueId>(), size_of::<Config>()), (128, 80));
        assert_eq!(std::mem::offset_of!(Config, blocking), 16);
        assert_eq!(std::mem::offset_of!(Config, comm_name), 48);
    }
}
