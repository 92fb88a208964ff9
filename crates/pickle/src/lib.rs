//! Python's pickles from files of others, read without running any of them.
//!
//! A pickle is a program for a stack machine. This one knows the opcodes that arrays, dictionaries and tensors are written
//! with, and refuses the rest. Names of classes and functions stay names: nothing is looked up, imported or called, and a
//! caller says which names it takes. What the values mean is the caller's.
//!
//! All values lie in one arena and refer to each other by [`At`], so a file can neither nest deep enough to overflow a stack
//! nor grow by doubling: memory is bounded by the [`Limits`] and the length of the file.

mod error;
mod machine;

pub use error::PickleError;

use machine::Machine;

/// Where a value lies among the values of its [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(usize);

/// A value of a pickle; texts and bytes are those of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Python's `None`, which stands for a value that is not there.
    None,
    /// Python's `True` or `False`.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// A larger integer: two's complement, lowest byte first.
    Long(&'a [u8]),
    /// A number with a fraction.
    Float(f64),
    /// A text: UTF-8, unless Python kept halves of surrogate pairs in it, as in odd file names.
    Text(&'a [u8]),
    /// Raw bytes, such as the numbers of an array.
    Bytes(&'a [u8]),
    /// The items of a list or a set, in the order written.
    List(Vec<At>),
    /// The items of a tuple, which is complete when it is made.
    Tuple(Vec<At>),
    /// Keys and values in the order written.
    Dict(Vec<(At, At)>),
    /// The name of a class or function that the caller takes.
    Name {
        /// The module that Python would import.
        module: &'a str,
        /// The name of the class or function in that module.
        name: &'a str,
    },
    /// What Python would make by calling a class or function.
    Object {
        /// Always a [`Value::Name`].
        class: At,
        /// Always a [`Value::Tuple`].
        arguments: At,
        /// The state given to it afterwards.
        state: Option<At>,
        /// Items set in it afterwards, keys and values.
        items: Vec<(At, At)>,
    },
    /// What stands outside the pickle, by the key that its writer gave it.
    Persistent(At),
}

/// How large a pickle may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes that a pickle may have; a longer one is not read.
    pub bytes: usize,
    /// Values, and references to them on the stack and in the memo.
    pub values: usize,
}

/// A pickle that was read: its values, and which of them was pickled.
///
/// ```
/// use pickle::{Limits, Pickle, Value};
///
/// let bytes = b"\x80\x02}X\x04\x00\x00\x00sideK\x07s."; // pickle.dumps({"side": 7}, protocol=2)
/// let read = Pickle::read(bytes, Limits { bytes: 1000, values: 100 }, |_, _| false)?;
/// let Value::Dict(entries) = read.at(read.root()) else { panic!("a dictionary was written") };
/// assert_eq!(read.text(entries[0].0), Some("side"));
/// assert_eq!(read.at(entries[0].1), &Value::Int(7));
/// # Ok::<(), pickle::PickleError>(())
/// ```
#[derive(Debug)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: At,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`. `takes(module, name)` says whether a name may occur.
    ///
    /// # Errors
    /// [`PickleError`] for a pickle that is damaged, too large, or has an opcode or name that is refused.
    pub fn read(bytes: &'a [u8], limits: Limits, takes: impl Fn(&str, &str) -> bool) -> Result<Self, PickleError> {
        if bytes.len() > limits.bytes {
            return Err(PickleError::Size { found: bytes.len(), limit: limits.bytes });
        }
        let (values, root) = Machine::new(bytes, limits.values, &takes).run()?;
        Ok(Self { values, root })
    }

    /// Where the value lies that was pickled.
    pub fn root(&self) -> At {
        self.root
    }

    /// The value that another one refers to.
    pub fn at(&self, at: At) -> &Value<'a> {
        &self.values[at.0]
    }

    /// The items of a list, set or tuple; none for any other value.
    pub fn items(&self, at: At) -> Option<&[At]> {
        match self.at(at) {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// A text that is UTF-8; none for any other value.
    pub fn text(&self, at: At) -> Option<&'a str> {
        match self.at(at) {
            Value::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The bytes of a text or of bytes, which older Pythons did not tell apart; none for any other value.
    pub fn bytes(&self, at: At) -> Option<&'a [u8]> {
        match self.at(at) {
            Value::Text(bytes) | Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An integer of up to 64 bits; none for any other value.
    pub fn int(&self, at: At) -> Option<i64> {
        match self.at(at) {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Module and name of a class or function; none for any other value.
    pub fn name(&self, at: At) -> Option<(&'a str, &'a str)> {
        match self.at(at) {
            Value::Name { module, name } => Some((module, name)),
            _ => None,
        }
    }
}
