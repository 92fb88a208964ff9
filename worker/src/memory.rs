//! What to do where memory is short, in words of this program's configuration and flags.

use training::Diagnosis;

/// Said by the process itself when a library aborts it.
pub(crate) const LAST_WORDS: &str = "worker: a library has aborted this process, and the lines above say why; where they speak of memory \
(`memory allocation of … bytes failed`, `bad_alloc`), lower train.batch_size or --batch, or allow more memory (Slurm: --mem; shell: `ulimit -v`)\n";

const DEVICE: &str = "the GPU has too little memory: lower train.batch_size or --batch, raise train.gradient_accumulation, or set \
                      train.activation_checkpointing or, with several GPUs, train.zero1";
const HOST: &str = "there is too little memory for this process: lower train.batch_size or --batch, raise train.gradient_accumulation, \
                    or allow more memory (Slurm: --mem; shell: `ulimit -v`)";
const THREADS: &str = "a thread could not be started: lower train.threads, train.data_threads or train.read_threads, or allow more \
                       processes or memory (shell: `ulimit -u`, `ulimit -v`; Slurm: --mem)";

/// What to do about `text` of a library, if it says that memory (or a thread, which needs memory) could not be had.
pub(crate) fn remedy(text: &str) -> Option<&'static str> {
    match Diagnosis::of(text)? {
        Diagnosis::DeviceMemory => Some(DEVICE),
        Diagnosis::HostMemory => Some(HOST),
        Diagnosis::Threads => Some(THREADS),
        Diagnosis::DeviceFailed => None,
    }
}

/// `text`, with the remedy where it speaks of memory.
pub(crate) fn with_remedy(text: String) -> String {
    match remedy(&text) {
        Some(remedy) if !text.contains(remedy) => format!("{remedy} ({text})"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_said_once() {
        let once = with_remedy("read shard 7: Cannot allocate memory (os error 12)".to_owned());
        assert!(once.starts_with(HOST) && once.contains("read shard 7"), "{once}");
        assert_eq!(with_remedy(once.clone()), once);
        let failed = "train: CUDA error: uncorrectable ECC error encountered".to_owned();
        assert_eq!(with_remedy(failed.clone()), failed);
    }
}
