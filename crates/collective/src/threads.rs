//! A world inside one process: each rank is a thread. It exists for tests of what more than one rank does.
//!
//! A call puts the buffer's bytes on a shared table, waits for the others, combines them in rank order (so the bits do
//! not depend on who came first), and waits again before the table is cleared. Host memory only.

use crate::{Buffer, Collective, CollectiveError, ControlChannel, Op};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use tch::{Device, Tensor};

#[derive(Debug, Default)]
struct Table {
    /// What each rank brought to the present call: the call in description, and the bytes.
    brought: Vec<Option<(String, Vec<u8>)>>,
    arrived: usize,
    left: usize,
    aborted: Option<String>,
}

#[derive(Debug)]
struct World {
    table: Mutex<Table>,
    changed: Condvar,
}

/// One rank of an in-process world.
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    world: usize,
    shared: Arc<World>,
}

impl Threads {
    /// A world of `size` ranks, to be moved into a thread each.
    ///
    /// # Panics
    /// `size` is 0.
    pub fn world_of(size: usize) -> Vec<Self> {
        assert!(size > 0, "a world has at least one rank");
        let shared = Arc::new(World {
            table: Mutex::new(Table { brought: vec![None; size], ..Table::default() }),
            changed: Condvar::new(),
        });
        (0..size).map(|rank| Self { rank, world: size, shared: Arc::clone(&shared) }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until `ready`, or until somebody gave up.
    fn wait<'a>(
        &self,
        mut table: MutexGuard<'a, Table>,
        ready: impl Fn(&Table) -> bool,
    ) -> Result<MutexGuard<'a, Table>, CollectiveError> {
        loop {
            if let Some(reason) = &table.aborted {
                return Err(CollectiveError::Aborted { reason: reason.clone() });
            }
            if ready(&table) {
                return Ok(table);
            }
            table = self.shared.changed.wait(table).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// Brings `bytes` to the call named `call`, and gives everyone's bytes in rank order.
    fn exchange(&self, call: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, CollectiveError> {
        // A rank may be a call ahead: its place is taken until all have left the previous one.
        let mut table = self.wait(self.lock(), |t| t.brought[self.rank].is_none())?;
        table.brought[self.rank] = Some((call.to_owned(), bytes));
        table.arrived += 1;
        self.shared.changed.notify_all();
        let mut table = self.wait(table, |t| t.arrived == self.world)?;
        if let Some(other) = table.brought.iter().flatten().map(|(call, _)| call).find(|c| *c != call) {
            let error = CollectiveError::Mismatch { rank: self.rank, expected: other.clone(), found: call.to_owned() };
            table.aborted.get_or_insert_with(|| error.to_string());
            self.shared.changed.notify_all();
            return Err(error);
        }
        let all = table.brought.iter().flatten().map(|(_, bytes)| bytes.clone()).collect();
        table.left += 1;
        if table.left == self.world {
            table.brought.fill(None);
            table.arrived = 0;
            table.left = 0;
            self.shared.changed.notify_all();
        }
        Ok(all)
    }
}

/// The bytes of a host buffer.
fn read(buffer: &Buffer<'_>) -> Result<Vec<u8>, CollectiveError> {
    if buffer.stream().is_some() {
        return Err(CollectiveError::Unsupported {
            backend: "Threads",
            operation: "reach device memory of",
            dtype: buffer.dtype(),
        });
    }
    if buffer.count() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: a host buffer (checked above) of `bytes()` readable bytes, by the contract of Buffer.
    Ok(unsafe { std::slice::from_raw_parts(buffer.ptr().cast::<u8>(), buffer.bytes()) }.to_vec())
}

fn write(buffer: &Buffer<'_>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    assert_eq!(bytes.len(), buffer.bytes(), "calls of one name have one size");
    // SAFETY: a host buffer (`read` refused others) of `bytes()` writable bytes that nobody else touches, by the
    // contract of Buffer; the lengths are equal (asserted above), and `bytes` is memory of its own.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.ptr().cast::<u8>(), bytes.len());
    }
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }
    fn world(&self) -> usize {
        self.world
    }
    fn all_reduce(&self, buffer: Buffer<'_>, op: Op) -> Result<(), CollectiveError> {
        let (count, dtype) = (buffer.count(), buffer.dtype());
        let call = format!("all_reduce({op:?}, {count} {dtype})");
        let all = self.exchange(&call, read(&buffer)?)?;
        if count == 0 {
            return Ok(());
        }
        let tensors: Vec<Tensor> =
            all.iter().map(|bytes| Tensor::from_data_size(bytes, &[count as i64], dtype.kind())).collect();
        let mut total = tensors[0].copy();
        for tensor in &tensors[1..] {
            total = match op {
                Op::Sum => total + tensor,
                Op::Max => total.maximum(tensor),
            };
        }
        let mut bytes = vec![0; buffer.bytes()];
        total.to_device(Device::Cpu).copy_data_u8(&mut bytes, count);
        write(&buffer, &bytes);
        Ok(())
    }
    fn broadcast(&self, buffer: Buffer<'_>, root: usize) -> Result<(), CollectiveError> {
        if root >= self.world {
            return Err(CollectiveError::Root { root, world: self.world });
        }
        let call = format!("broadcast({root}, {} {})", buffer.count(), buffer.dtype());
        let all = self.exchange(&call, read(&buffer)?)?;
        write(&buffer, &all[root]);
        Ok(())
    }
    fn barrier(&self) -> Result<(), CollectiveError> {
        self.exchange("barrier", Vec::new()).map(|_| ())
    }
    fn abort(&self, reason: &str) {
        self.announce_failure(&format!("rank {} gave up: {reason}", self.rank));
    }
}

impl ControlChannel for Threads {
    fn rank(&self) -> usize {
        self.rank
    }
    fn world(&self) -> usize {
        self.world
    }
    fn broadcast_bytes_of_root(&self, bytes: Vec<u8>) -> Result<Vec<u8>, CollectiveError> {
        Ok(self.exchange("broadcast_bytes_of_root", bytes)?.swap_remove(0))
    }
    fn peer_failure(&self) -> Option<String> {
        self.lock().aborted.clone()
    }
    fn announce_failure(&self, reason: &str) {
        self.lock().aborted.get_or_insert_with(|| reason.to_owned());
        self.shared.changed.notify_all();
    }
}
