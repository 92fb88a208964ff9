//! The MPI calls, non-blocking throughout. Everything here runs on the one thread that started MPI.

use super::jobs::Memory;
use crate::{CollectiveError, Dtype, Op};
use mpi::{
    Threading,
    environment::Universe,
    ffi::{self, MPI_Comm, MPI_Datatype, MPI_Request, MPI_Status},
    topology::{Communicator, SimpleCommunicator},
    traits::AsRaw,
};
use std::{
    ffi::{c_int, c_void},
    mem::MaybeUninit,
    time::{Duration, Instant},
};

/// Asked between polls: a reason to stop waiting, if there is one.
pub(super) type Stop<'a> = dyn FnMut(&mut World) -> Option<String> + 'a;

/// Tag of the messages by which a rank says that it gave up.
const GAVE_UP: c_int = 1;
/// Bytes of the longest reason that is sent to peers.
const LONGEST_WORD: usize = 1000;
/// Elements of one call: MPI counts with a C int.
const LARGEST_COUNT: usize = 1 << 30;

/// The communicators of this process.
pub(super) struct World {
    work: SimpleCommunicator,
    control: SimpleCommunicator,
    /// Finalises MPI when it drops: after the communicators, since fields drop in this order.
    _universe: Universe,
    told: bool,
    /// What callers that wait have lent, copied; in words of 8 bytes, so that every dtype is aligned.
    copy: Vec<u64>,
    /// Where a reduction arrives; kept, since allocating tens of megabytes a step costs more than a copy.
    scratch: Vec<u8>,
}

impl World {
    /// Starts MPI; `None` if this process did before.
    pub(super) fn join() -> Option<Self> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)?;
        let world = universe.world();
        let (work, control) = (world.duplicate(), world.duplicate());
        for comm in [&work, &control] {
            // SAFETY: a live communicator, and a constant of the library.
            let _ = unsafe { ffi::MPI_Comm_set_errhandler(comm.as_raw(), ffi::RSMPI_ERRORS_RETURN) };
        }
        Some(Self { work, control, _universe: universe, told: false, copy: Vec::new(), scratch: Vec::new() })
    }

    pub(super) fn rank(&self) -> usize {
        self.work.rank() as usize
    }
    pub(super) fn size(&self) -> usize {
        self.work.size() as usize
    }
    pub(super) fn library(&self) -> String {
        let text = mpi::environment::library_version().unwrap_or_default();
        text.split(',').next().unwrap_or_default().trim_end_matches('\0').trim().to_owned()
    }

    /// Leaves MPI as it is, without finalising.
    pub(super) fn forget(self) {
        std::mem::forget(self);
    }

    /// Does `work` on a copy of `memory`, which takes the result back. After a failure the library may still use what it was
    /// given, in any later call: the copy is leaked then, and the lender's memory was never known to it.
    pub(super) fn on_copy(
        &mut self,
        memory: Memory,
        work: impl FnOnce(&mut Self, Memory) -> Result<(), CollectiveError>,
    ) -> Result<(), CollectiveError> {
        let bytes = memory.count * memory.dtype.size();
        let mut copy = std::mem::take(&mut self.copy);
        copy.resize(copy.len().max(bytes.div_ceil(8)), 0);
        // SAFETY: `bytes` readable bytes that the lender does not touch, and as many of our own.
        unsafe { std::ptr::copy_nonoverlapping(memory.ptr.cast::<u8>(), copy.as_mut_ptr().cast(), bytes) };
        let done = work(self, Memory { ptr: copy.as_mut_ptr().cast(), ..memory });
        if done.is_err() {
            std::mem::forget(copy);
            return done;
        }
        // SAFETY: as above, the other way; the work is done.
        unsafe { std::ptr::copy_nonoverlapping(copy.as_ptr().cast(), memory.ptr.cast::<u8>(), bytes) };
        self.copy = copy;
        Ok(())
    }

    pub(super) fn all_reduce(&mut self, memory: Memory, op: Op, stop: &mut Stop<'_>) -> Result<(), CollectiveError> {
        for part in parts(memory) {
            match (op, part.dtype) {
                (Op::Max, _) => self.max(part, stop)?,
                // MPI 4 has no bfloat16, and sums in f32 are better than sums in it.
                (Op::Sum, Dtype::Bf16) => self.sum_bf16(part, stop)?,
                (Op::Sum, dtype) => {
                    let kind = datatype(dtype, "sum")?;
                    self.sum(part, kind, stop)?;
                }
            }
        }
        Ok(())
    }

    fn sum(&mut self, part: Memory, kind: MPI_Datatype, stop: &mut Stop<'_>) -> Result<(), CollectiveError> {
        let mut landing = std::mem::take(&mut self.scratch);
        let bytes = part.count * part.dtype.size();
        landing.resize(landing.len().max(bytes), 0);
        let done = self.wait("MPI_Iallreduce", stop, |comm, request| {
            // SAFETY: `part` is lent for the job and leaked if that fails, `landing` lives until the request is done or the world
            // is given up (it is leaked then, below); both hold `count` elements of `kind`.
            unsafe {
                let to = landing.as_mut_ptr().cast();
                ffi::MPI_Iallreduce(part.ptr, to, part.count as c_int, kind, ffi::RSMPI_SUM, comm, request)
            }
        });
        if done.is_err() {
            // The library may still write there.
            std::mem::forget(landing);
            return done;
        }
        // SAFETY: `bytes` writable bytes at `part.ptr` that the lender does not touch, and memory of our own.
        unsafe { std::ptr::copy_nonoverlapping(landing.as_ptr(), part.ptr.cast::<u8>(), bytes) };
        self.scratch = landing;
        Ok(())
    }

    fn sum_bf16(&mut self, part: Memory, stop: &mut Stop<'_>) -> Result<(), CollectiveError> {
        // SAFETY: `count` bf16 numbers, aligned, that the lender does not touch.
        let halves = unsafe { std::slice::from_raw_parts_mut(part.ptr.cast::<u16>(), part.count) };
        let mut wide: Vec<f32> = halves.iter().map(|half| f32::from_bits(u32::from(*half) << 16)).collect();
        let widened = Memory { ptr: wide.as_mut_ptr().cast(), count: wide.len(), dtype: Dtype::F32 };
        let kind = datatype(Dtype::F32, "sum")?;
        let done = self.sum(widened, kind, stop);
        if done.is_err() {
            std::mem::forget(wide);
            return done;
        }
        halves.iter_mut().zip(&wide).for_each(|(half, wide)| *half = bf16(*wide));
        Ok(())
    }

    /// MPI leaves open what a maximum does with a NaN, so everyone's numbers are gathered and compared here. Maxima are
    /// taken of a few numbers, never of gradients.
    fn max(&mut self, part: Memory, stop: &mut Stop<'_>) -> Result<(), CollectiveError> {
        datatype_or_bf16(part.dtype, "take the maximum of")?;
        let bytes = part.count * part.dtype.size();
        let mut all = vec![0_u8; bytes * self.size()];
        let done = self.wait("MPI_Iallgather", stop, |comm, request| {
            // SAFETY: as in `sum`; `all` has room for the bytes of every rank.
            unsafe {
                let (kind, to) = (ffi::RSMPI_UINT8_T, all.as_mut_ptr().cast());
                ffi::MPI_Iallgather(part.ptr, bytes as c_int, kind, to, bytes as c_int, kind, comm, request)
            }
        });
        if done.is_err() {
            std::mem::forget(all);
            return done;
        }
        // SAFETY: as in `sum`.
        let mine = unsafe { std::slice::from_raw_parts_mut(part.ptr.cast::<u8>(), bytes) };
        mine.copy_from_slice(&all[..bytes]);
        for theirs in all[bytes..].chunks_exact(bytes) {
            larger(mine, theirs, part.dtype);
        }
        Ok(())
    }

    pub(super) fn broadcast(
        &mut self,
        memory: Memory,
        root: usize,
        stop: &mut Stop<'_>,
    ) -> Result<(), CollectiveError> {
        let bytes = Memory { count: memory.count * memory.dtype.size(), dtype: Dtype::U8, ..memory };
        for part in parts(bytes) {
            self.wait("MPI_Ibcast", stop, |comm, request| {
                // SAFETY: `part` is lent for the job, and lives on if it fails ([`Self::on_copy`]).
                unsafe {
                    let kind = ffi::RSMPI_UINT8_T;
                    ffi::MPI_Ibcast(part.ptr, part.count as c_int, kind, root as c_int, comm, request)
                }
            })?;
        }
        Ok(())
    }

    pub(super) fn barrier(&mut self, stop: &mut Stop<'_>) -> Result<(), CollectiveError> {
        // SAFETY: a live communicator and a request to write to.
        self.wait("MPI_Ibarrier", stop, |comm, request| unsafe { ffi::MPI_Ibarrier(comm, request) })
    }

    /// Starts a request and polls it until it is done or `stop` says so.
    fn wait(
        &mut self,
        call: &str,
        stop: &mut Stop<'_>,
        start: impl FnOnce(MPI_Comm, *mut MPI_Request) -> c_int,
    ) -> Result<(), CollectiveError> {
        // SAFETY: a constant of the library.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        self.check(call, start(self.work.as_raw(), &raw mut request))?;
        loop {
            let mut done = 0;
            // SAFETY: a request that `start` filled, and a flag to write to.
            let code = unsafe { ffi::MPI_Test(&raw mut request, &raw mut done, ffi::RSMPI_STATUS_IGNORE) };
            self.check(call, code)?;
            if done != 0 {
                return Ok(());
            }
            if let Some(reason) = stop(self) {
                return Err(CollectiveError::Aborted { reason });
            }
        }
    }

    fn check(&self, call: &str, code: c_int) -> Result<(), CollectiveError> {
        if code == ffi::MPI_SUCCESS as c_int {
            return Ok(());
        }
        let mut text = vec![0_u8; ffi::MPI_MAX_ERROR_STRING as usize + 1];
        let mut length = 0;
        // SAFETY: room for the longest message, and a length to write to.
        unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast(), &raw mut length) };
        text.truncate(usize::try_from(length).unwrap_or(0));
        let reason = format!("{call} failed on rank {}: {}", self.rank(), String::from_utf8_lossy(&text));
        Err(CollectiveError::Aborted { reason })
    }

    /// Says once to every peer why this rank gave up.
    pub(super) fn tell_peers(&mut self, reason: &str) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let word: Vec<u8> = reason.bytes().take(LONGEST_WORD).collect();
        let mut requests = Vec::new();
        for peer in (0..self.size()).filter(|peer| *peer != self.rank()) {
            // SAFETY: a constant of the library.
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            // SAFETY: `word` outlives the requests: it is leaked below unless all are done.
            let code = unsafe {
                let (kind, comm) = (ffi::RSMPI_UINT8_T, self.control.as_raw());
                let (from, count) = (word.as_ptr().cast::<c_void>(), word.len() as c_int);
                ffi::MPI_Isend(from, count, kind, peer as c_int, GAVE_UP, comm, &raw mut request)
            };
            if code == ffi::MPI_SUCCESS as c_int {
                requests.push(request);
            }
        }
        let until = Instant::now() + Duration::from_secs(2);
        while !requests.is_empty() && Instant::now() < until {
            requests.retain_mut(|request| {
                let mut done = 0;
                // SAFETY: a request of MPI_Isend, and a flag to write to.
                let code = unsafe { ffi::MPI_Test(&raw mut *request, &raw mut done, ffi::RSMPI_STATUS_IGNORE) };
                code == ffi::MPI_SUCCESS as c_int && done == 0
            });
            std::thread::yield_now();
        }
        if !requests.is_empty() {
            std::mem::forget(word);
        }
    }

    /// What a peer said when it gave up, if one did.
    pub(super) fn word_from_peers(&mut self) -> Option<String> {
        let comm = self.control.as_raw();
        let (mut there, mut status) = (0, MaybeUninit::<MPI_Status>::uninit());
        // SAFETY: a flag and a status to write to.
        let code =
            unsafe { ffi::MPI_Iprobe(ffi::RSMPI_ANY_SOURCE, GAVE_UP, comm, &raw mut there, status.as_mut_ptr()) };
        if code != ffi::MPI_SUCCESS as c_int || there == 0 {
            return None;
        }
        // SAFETY: MPI_Iprobe wrote the status when it raised the flag.
        let source = unsafe { status.assume_init() }.MPI_SOURCE;
        let mut word = vec![0_u8; LONGEST_WORD];
        let mut got = MaybeUninit::<MPI_Status>::uninit();
        let mut count = 0;
        // SAFETY: a message from `source` is there (probed), `word` has room for the longest, and the status is written
        // before it is asked for the count.
        let code = unsafe {
            let (kind, to) = (ffi::RSMPI_UINT8_T, word.as_mut_ptr().cast());
            let code = ffi::MPI_Recv(to, LONGEST_WORD as c_int, kind, source, GAVE_UP, comm, got.as_mut_ptr());
            ffi::MPI_Get_count(got.as_ptr(), kind, &raw mut count);
            code
        };
        if code != ffi::MPI_SUCCESS as c_int {
            return Some(format!("rank {source} gave up"));
        }
        word.truncate(usize::try_from(count).unwrap_or(0));
        Some(String::from_utf8_lossy(&word).into_owned())
    }
}

/// Cuts memory into what one call can count.
fn parts(memory: Memory) -> impl Iterator<Item = Memory> {
    let Memory { ptr, count, dtype } = memory;
    (0..count).step_by(LARGEST_COUNT).map(move |start| Memory {
        // SAFETY: `start` lies within the lent elements.
        ptr: unsafe { ptr.cast::<u8>().add(start * dtype.size()) }.cast(),
        count: LARGEST_COUNT.min(count - start),
        dtype,
    })
}

fn datatype(dtype: Dtype, operation: &'static str) -> Result<MPI_Datatype, CollectiveError> {
    // SAFETY: constants of the library.
    unsafe {
        Ok(match dtype {
            Dtype::F32 => ffi::RSMPI_FLOAT,
            Dtype::F64 => ffi::RSMPI_DOUBLE,
            Dtype::I64 => ffi::RSMPI_INT64_T,
            Dtype::I32 => ffi::RSMPI_INT32_T,
            Dtype::U8 => ffi::RSMPI_UINT8_T,
            Dtype::Bf16 | Dtype::F16 => return Err(CollectiveError::Unsupported { backend: "MPI", operation, dtype }),
        })
    }
}

fn datatype_or_bf16(dtype: Dtype, operation: &'static str) -> Result<(), CollectiveError> {
    if dtype == Dtype::Bf16 { Ok(()) } else { datatype(dtype, operation).map(|_| ()) }
}

/// f32 to bfloat16, to nearest even; NaN stays NaN.
fn bf16(wide: f32) -> u16 {
    let bits = wide.to_bits();
    if wide.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// Replaces each element of `mine` by the larger of the two; a NaN on either side gives NaN.
fn larger(mine: &mut [u8], theirs: &[u8], dtype: Dtype) {
    macro_rules! each {
        ($number:ty, $pick:expr) => {
            for (a, b) in mine.chunks_exact_mut(size_of::<$number>()).zip(theirs.chunks_exact(size_of::<$number>())) {
                let read = |bytes: &[u8]| <$number>::from_ne_bytes(bytes.try_into().unwrap_or_default());
                let pick: fn($number, $number) -> $number = $pick;
                a.copy_from_slice(&pick(read(a), read(b)).to_ne_bytes());
            }
        };
    }
    match dtype {
        Dtype::F32 => each!(f32, |a, b| if a.is_nan() || a > b { a } else { b }),
        Dtype::F64 => each!(f64, |a, b| if a.is_nan() || a > b { a } else { b }),
        Dtype::I64 => each!(i64, |a, b| a.max(b)),
        Dtype::I32 => each!(i32, |a, b| a.max(b)),
        Dtype::U8 => each!(u8, |a, b| a.max(b)),
        // F16 was refused before.
        Dtype::Bf16 | Dtype::F16 => each!(u16, |a, b| {
            let wide = |half: u16| f32::from_bits(u32::from(half) << 16);
            if wide(a).is_nan() || wide(a) > wide(b) { a } else { b }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even() {
        let back = |half: u16| f32::from_bits(u32::from(half) << 16);
        assert_eq!(back(bf16(1.0)), 1.0);
        assert_eq!(back(bf16(1.0 + 2.0_f32.powi(-8))), 1.0, "a tie goes to the even one");
        assert_eq!(back(bf16(1.0 + 3.0 * 2.0_f32.powi(-8))), 1.0 + 4.0 * 2.0_f32.powi(-8));
        assert!(back(bf16(f32::NAN)).is_nan() && back(bf16(f32::INFINITY)) == f32::INFINITY);
    }

    #[test]
    fn a_maximum_keeps_nan_from_either_side() {
        let max = |a: f64, b: f64| {
            let mut mine = a.to_ne_bytes();
            larger(&mut mine, &b.to_ne_bytes(), Dtype::F64);
            f64::from_ne_bytes(mine)
        };
        assert!(max(f64::NAN, 1.0).is_nan() && max(1.0, f64::NAN).is_nan());
        assert_eq!((max(2.0, 1.0), max(f64::NEG_INFINITY, 3.0)), (2.0, 3.0));
    }
}
