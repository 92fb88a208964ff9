//! What the messages of libraries mean where they have no error of their own for it: memory that cannot be had, a thread that
//! cannot be started, a device that failed. Each library says it in its own words.

/// A fault of the machine that a library reported in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnosis {
    /// The GPU has too little memory.
    DeviceMemory,
    /// The process has too little memory.
    HostMemory,
    /// A thread could not be started, for which memory or a limit of processes is to blame.
    Threads,
    /// The GPU itself failed; another start or node may do better.
    DeviceFailed,
}

impl Diagnosis {
    /// What `text` says of the machine, if anything.
    pub fn of(text: &str) -> Option<Self> {
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        // The words of LibTorch's allocators, CUDA and its libraries, C++, Rust, and the system (ENOMEM, EAGAIN).
        if says(&[
            "CUDA out of memory",
            "CUDA error: out of memory",
            "_STATUS_ALLOC_FAILED",
            "device has too little memory",
        ]) {
            return Some(Self::DeviceMemory);
        }
        if says(&[
            "can't allocate memory",
            "not enough memory",
            "bad_alloc",
            "memory allocation of",
            "Cannot allocate memory",
            "out of memory",
        ]) {
            return Some(Self::HostMemory);
        }
        if says(&["failed to spawn thread", "Resource temporarily unavailable"]) {
            return Some(Self::Threads);
        }
        says(&["CUDA error", "the GPU failed"]).then_some(Self::DeviceFailed)
    }

    /// Whether memory was short. A thread needs memory too.
    pub fn is_memory(self) -> bool {
        self != Self::DeviceFailed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libraries_say_of_the_machine_is_understood() {
        let cpu = "Torch(\"[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate \
                   805306368 bytes. Error code 12 (Cannot allocate memory)\\nException raised from memory_allocate";
        let gpu = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139 GiB";
        let thread =
            "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }";
        let host =
            ["std::bad_alloc", "memory allocation of 805306368 bytes failed", "Cannot allocate memory (os error 12)"];
        for text in host.into_iter().chain([cpu]) {
            assert_eq!(Diagnosis::of(text), Some(Diagnosis::HostMemory), "{text}");
        }
        assert_eq!(Diagnosis::of(gpu), Some(Diagnosis::DeviceMemory));
        assert_eq!(Diagnosis::of("train: CUDA error: out of memory"), Some(Diagnosis::DeviceMemory));
        assert_eq!(Diagnosis::of(thread), Some(Diagnosis::Threads));
        let failed = "train: CUDA error: uncorrectable ECC error encountered";
        assert_eq!(Diagnosis::of(failed), Some(Diagnosis::DeviceFailed));
        assert_eq!(Diagnosis::of("mat1 and mat2 shapes cannot be multiplied"), None);
        assert_eq!(Diagnosis::of("3 steps in a row were not finite"), None);
    }
}
