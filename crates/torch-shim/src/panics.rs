//! Panics of tensor maths as errors. tch panics where LibTorch throws an exception: a wrong shape, memory that cannot be had.

use std::any::Any;
use std::cell::Cell;

thread_local! {
    static CATCHES: Cell<bool> = const { Cell::new(false) };
}

/// A panic that [`catch_torch_panic`] caught.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {message}")]
pub struct TorchPanic {
    /// What was being computed, for people.
    pub doing: String,
    /// The first line of what LibTorch said.
    pub message: String,
}

/// Runs tensor maths; a panic becomes a [`TorchPanic`] that says what was being done.
///
/// # Errors
/// Those of `work`, and a caught panic.
pub fn catch_torch_panic<T, E: From<TorchPanic>>(doing: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let outer = CATCHES.replace(true);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    CATCHES.set(outer);
    result.unwrap_or_else(|panic| {
        let message = first_words(&message_of(panic.as_ref())).to_owned();
        Err(TorchPanic { doing: doing.to_owned(), message }.into())
    })
}

/// Whether a panic on this thread becomes an error, so that a panic hook need not report it.
pub fn are_caught() -> bool {
    CATCHES.get()
}

/// The text of a panic's payload; empty where the payload is not text.
pub fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// The part of LibTorch's text that is for users: an allocator's own words where they are there, and without the trace that
/// LibTorch appends, as lines or, in the message of an `unwrap`, as escapes.
pub fn first_words(text: &str) -> &str {
    let begin = ["DefaultCPUAllocator", "CUDA out of memory"].iter().find_map(|mark| text.find(mark)).unwrap_or(0);
    let text = &text[begin..];
    let end = ["\n", "\\n", "Exception raised from"].iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim_end_matches(['"', '}', ' ']).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_allocator_are_found_in_the_message_of_an_unwrap() {
        let text = "called `Result::unwrap()` on an `Err` value: Torch(\"[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: \
                    can't allocate memory: you tried to allocate 805306368 bytes. Error code 12 (Cannot allocate memory)\\nException raised \
                    from memory_allocate at alloc.cpp";
        let words = first_words(text);
        assert!(words.starts_with("DefaultCPUAllocator: can't allocate memory: you"), "{words}");
        assert!(words.ends_with("Error code 12 (Cannot allocate memory)"), "{words}");
    }

    #[test]
    fn a_panic_of_tensor_maths_becomes_an_error_and_the_hook_knows() {
        let caught: Result<(), TorchPanic> = catch_torch_panic("train", || {
            assert!(are_caught());
            let _ = tch::Tensor::ones([2, 3], (tch::Kind::Float, tch::Device::Cpu))
                .matmul(&tch::Tensor::ones([2, 3], (tch::Kind::Float, tch::Device::Cpu)));
            Ok(())
        });
        let text = caught.unwrap_err().to_string();
        assert!(text.starts_with("train: ") && text.contains("cannot be multiplied"), "{text}");
        assert!(!are_caught());
    }
}
