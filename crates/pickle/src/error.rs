//! Why a pickle was refused.

/// Why a pickle was refused. The texts are reasons: a caller puts the file's name before them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end within the pickle.
    #[error("its pickle ends too early")]
    Truncated,
    /// The pickle is longer than the caller allows.
    #[error("its pickle has {found} bytes, more than the limit of {limit}")]
    Size {
        /// The number of bytes that were given.
        found: usize,
        /// The number of bytes that the caller allows.
        limit: usize,
    },
    /// The pickle makes more values than the caller allows.
    #[error("its pickle holds more than {0} values")]
    Values(usize),
    /// More values on the stack, or marks, than the caller allows.
    #[error("its pickle's stack is too large: more than {0} values")]
    Stack(usize),
    /// A slot of the memo beyond the values that the caller allows.
    #[error("its pickle's memo is too large: more than {0} values")]
    Memo(usize),
    /// An opcode needs a value that is not there.
    #[error("its pickle takes from an empty stack")]
    EmptyStack,
    /// An opcode needs a mark that is not there.
    #[error("its pickle lacks a mark")]
    NoMark,
    /// A slot of the memo is read before it is written.
    #[error("its pickle recalls what it never kept")]
    NeverKept,
    /// An opcode is applied to values of other kinds than it takes.
    #[error("its pickle puts values together that do not fit")]
    Mismatch,
    /// The name of a class or function is not UTF-8.
    #[error("a name in its pickle is not UTF-8")]
    NotUtf8,
    /// An opcode that neither arrays nor tensors need.
    #[error("its pickle has an opcode ({0:#04x}) that is refused because no data needs it")]
    Opcode(u8),
    /// A class or function that the caller does not take: module and name.
    #[error("its pickle asks for {0}, which is refused")]
    Name(String),
}
