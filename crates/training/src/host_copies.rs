//! Copies of the training state in host memory, whose memory is used again once nobody reads it any more: pinned memory is dear to
//! make, and pages of fresh memory cost as much as the copy itself.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use tch::Device;
use torch_shim::host::HostBytes;
use torch_shim::panics::{TorchPanic, catch_torch_panic};

/// Where the memory of copies waits for the next one.
#[derive(Debug)]
pub(crate) struct HostCopies {
    back: Sender<HostBytes>,
    returned: Receiver<HostBytes>,
    /// Makes memory ready.
    making: Option<JoinHandle<()>>,
}

impl HostCopies {
    pub(crate) fn new() -> Self {
        let (back, returned) = channel();
        Self { back, returned, making: None }
    }

    /// Makes memory for about `bytes` bytes of tensors of `device` ready, on a thread of its own: touching new pages takes longer than
    /// the copy.
    pub(crate) fn prepare(&mut self, bytes: usize, device: Device) {
        let back = self.back.clone();
        let make = move || {
            // Where memory is short, the first copy says so.
            let made = catch_torch_panic("make room for checkpoints", || Ok(HostBytes::zeros(bytes, device)));
            let made: Result<HostBytes, TorchPanic> = made;
            if let Ok(memory) = made {
                let _ = back.send(memory);
            }
        };
        // Without a thread the first copy makes its own.
        self.making = std::thread::Builder::new().name("memory".to_owned()).spawn(make).ok();
    }

    /// Memory that nobody reads, of an earlier copy or made ready.
    pub(crate) fn used(&mut self) -> Option<HostBytes> {
        if let Some(making) = self.making.take() {
            // To make more beside it would hold the state twice. A panic there was reported by its own hook.
            let _ = making.join();
        }
        self.returned.try_iter().last()
    }

    /// The bytes of `copy`, to be read from any thread. Its memory comes back with the last handle on them.
    pub(crate) fn share(&self, copy: HostBytes) -> Bytes {
        Bytes::from_owner(Shared { copy: Some(copy), back: self.back.clone() })
    }
}

/// A copy that goes back to where it came from.
struct Shared {
    copy: Option<HostBytes>,
    back: Sender<HostBytes>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.copy.as_ref().map_or(&[], AsRef::as_ref)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(copy) = self.copy.take() {
            // Whoever made it may be gone: it is freed then.
            let _ = self.back.send(copy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_with_the_last_handle_and_never_before() {
        let mut copies = HostCopies::new();
        let shared = copies.share(HostBytes::zeros(8, Device::Cpu));
        let part = shared.slice(2..4);
        drop(shared);
        assert!(copies.used().is_none());
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(copies.used().unwrap().as_ref(), [0; 8]);
        assert!(copies.used().is_none());
        copies.prepare(8, Device::Cpu);
        assert_eq!(copies.used().unwrap().as_ref(), [0; 8]);
    }
}
