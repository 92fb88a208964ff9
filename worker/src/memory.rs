//! Memory that is not there, in words: every library says it in its own way, and none says what to do.

/// Said by the process itself when a library aborts it.
pub(crate) const LAST_WORDS: &str = "worker: a library has aborted this process, and the lines above say why; where they speak of memory \
(`memory allocation of … bytes failed`, `bad_alloc`), lower train.batch_size or --batch, or allow more memory (Slurm: --mem; shell: `ulimit -v`)\n";

const DEVICE: &str = "the GPU has too little memory: lower train.batch_size or --batch, raise train.gradient_accumulation, or set \
                      train.activation_checkpointing";
const HOST: &str = "there is too little memory for this process: lower train.batch_size or --batch, raise train.gradient_accumulation, \
                    or allow more memory (Slurm: --mem; shell: `ulimit -v`)";
const THREADS: &str = "a thread could not be started: lower train.threads, train.data_threads or train.read_threads, or allow more \
                       processes or memory (shell: `ulimit -u`, `ulimit -v`; Slurm: --mem)";

/// What to do about `text` of a library, if it says that memory (or a thread, which needs memory) was not to be had.
pub(crate) fn remedy(text: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // The words of LibTorch's allocators, CUDA and its libraries, C++, Rust, and the system (ENOMEM, EAGAIN).
    if says(&[
        "CUDA out of memory",
        "CUDA error: out of memory",
        "_STATUS_ALLOC_FAILED",
        "device has too little memory",
    ]) {
        return Some(DEVICE);
    }
    if says(&[
        "can't allocate memory",
        "not enough memory",
        "bad_alloc",
        "memory allocation of",
        "Cannot allocate memory",
    ]) || text.contains("out of memory")
    {
        return Some(HOST);
    }
    says(&["failed to spawn thread", "Resource temporarily unavailable"]).then_some(THREADS)
}

/// `text`, with the remedy where it speaks of memory.
pub(crate) fn with_remedy(text: String) -> String {
    match remedy(&text) {
        Some(remedy) if !text.contains(remedy) => format!("{remedy} ({text})"),
        _ => text,
    }
}

/// The part of a library's words that is for users: an allocator's own words where they are there, and without the trace that
/// LibTorch appends, as lines or, in the words of an `unwrap`, as escapes.
pub(crate) fn short(text: &str) -> &str {
    let begin = ["DefaultCPUAllocator", "CUDA out of memory"].iter().find_map(|mark| text.find(mark)).unwrap_or(0);
    let text = &text[begin..];
    let end = ["\n", "\\n", "Exception raised from"].iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim_end_matches(['"', '}', ' ']).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libraries_say_of_memory_gets_its_remedy() {
        let cpu = "called `Result::unwrap()` on an `Err` value: Torch(\"[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: \
                   can't allocate memory: you tried to allocate 805306368 bytes. Error code 12 (Cannot allocate memory)\\nException raised \
                   from memory_allocate at alloc.cpp";
        let gpu = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139 GiB";
        let thread =
            "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }";
        assert_eq!(remedy(gpu), Some(DEVICE));
        for text in [
            cpu,
            "std::bad_alloc",
            "memory allocation of 805306368 bytes failed",
            "Cannot allocate memory (os error 12)",
        ] {
            assert_eq!(remedy(text), Some(HOST), "{text}");
        }
        assert_eq!(remedy(thread), Some(THREADS));
        assert_eq!(remedy("mat1 and mat2 shapes cannot be multiplied"), None);
        assert!(short(cpu).starts_with("DefaultCPUAllocator: can't allocate memory: you"), "{}", short(cpu));
        assert!(short(cpu).ends_with("Error code 12 (Cannot allocate memory)"), "{}", short(cpu));
    }

    #[test]
    fn a_remedy_is_said_once() {
        let once = with_remedy("read shard 7: Cannot allocate memory (os error 12)".to_owned());
        assert!(once.starts_with(HOST) && once.contains("read shard 7"), "{once}");
        assert_eq!(with_remedy(once.clone()), once);
    }
}
