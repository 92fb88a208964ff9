//! The pickle of a `.pth` file, read without running any of it: a stack machine with the opcodes that a dictionary of
//! tensors needs. Names of classes are compared with a short list; nothing is looked up, imported or called.
//!
//! All values lie in one arena and refer to each other by index, so a file can neither nest deep enough to overflow a
//! stack nor grow by doubling. Their number is bounded, and the pickle holds no tensor data.

use super::WeightsError;

/// Values that a pickle may make: a training checkpoint of ViT-g has about a hundred thousand.
const MOST_VALUES: usize = 2_000_000;
/// Bytes of a pickle: that of a state dict has under a megabyte.
const MOST_BYTES: usize = 64 << 20;

/// Where a value lies in the arena.
pub(crate) type At = usize;

/// A value of a pickle.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// None, a truth value, a float: what no tensor needs.
    Nothing,
    Int(i64),
    Text(String),
    List(Vec<At>),
    Tuple(Vec<At>),
    /// Keys and values in order.
    Dict(Vec<(At, At)>),
    /// A class or function of the short list.
    Name(Known),
    /// A storage: its element type's class and its key in the archive, both by index, and its elements.
    Storage {
        class: At,
        key: At,
        elements: i64,
    },
    /// A tensor over the storage at `storage`.
    Tensor {
        storage: At,
        offset: i64,
        shape: Vec<i64>,
        strides: Vec<i64>,
    },
}

/// The names that stand for something in a dictionary of tensors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Size,
    Storage(String),
}

fn known(module: &str, name: &str) -> Option<Known> {
    match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Some(Known::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Known::RebuildParameter),
        ("collections", "OrderedDict") => Some(Known::OrderedDict),
        ("torch", "Size") => Some(Known::Size),
        ("torch", _) if name.ends_with("Storage") => Some(Known::Storage(name.to_owned())),
        _ => None,
    }
}

/// All values of a pickle.
#[derive(Debug)]
pub(crate) struct Pickle {
    values: Vec<Value>,
    root: At,
}

impl Pickle {
    /// Runs the machine over `bytes`. `what` names the file in messages.
    pub(crate) fn read(bytes: &[u8], what: &str) -> Result<Self, WeightsError> {
        if bytes.len() > MOST_BYTES {
            return Err(WeightsError::damaged(what, "its pickle is larger than that of any weights"));
        }
        let mut machine =
            Machine { rest: bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
        loop {
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { values: machine.values, root }),
                Err(Refusal::Damaged(why)) => return Err(WeightsError::damaged(what, why)),
                Err(Refusal::Foreign(name)) => return Err(WeightsError::Foreign { what: what.to_owned(), name }),
            }
        }
    }

    /// What the pickle is.
    pub(crate) fn root(&self) -> &Value {
        &self.values[self.root]
    }

    /// The value at an index that another value holds.
    pub(crate) fn at(&self, at: At) -> &Value {
        &self.values[at]
    }
}

enum Refusal {
    Damaged(&'static str),
    Foreign(String),
}

impl From<&'static str> for Refusal {
    fn from(why: &'static str) -> Self {
        Self::Damaged(why)
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value>,
    stack: Vec<At>,
    marks: Vec<usize>,
    memo: Vec<Option<At>>,
}

const EARLY: &str = "its pickle ends too early";
const KINDS: &str = "its pickle puts values together that do not fit";

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Refusal> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(EARLY)?;
        self.rest = rest;
        Ok(head)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Refusal> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    fn line(&mut self) -> Result<String, Refusal> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or(EARLY)?;
        let text = String::from_utf8(self.take(end + 1)?[..end].to_vec());
        Ok(text.map_err(|_| "a name is not UTF-8")?)
    }

    fn text(&mut self, bytes: u64) -> Result<Value, Refusal> {
        let bytes = usize::try_from(bytes).map_err(|_| EARLY)?;
        let text = std::str::from_utf8(self.take(bytes)?).map_err(|_| "a text is not UTF-8")?;
        Ok(Value::Text(text.to_owned()))
    }

    fn push(&mut self, value: Value) -> Result<(), Refusal> {
        if self.values.len() >= MOST_VALUES {
            return Err("its pickle holds more values than weights have".into());
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    /// The value on top; never below the innermost mark.
    fn pop(&mut self) -> Result<At, Refusal> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err("its pickle takes from an empty stack".into());
        }
        self.stack.pop().ok_or(Refusal::Damaged(EARLY))
    }

    /// All values above the innermost mark, which is taken away.
    fn since_mark(&mut self) -> Result<Vec<At>, Refusal> {
        let mark = self.marks.pop().ok_or("its pickle lacks a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Value, Refusal> {
        let at = *self.stack.last().ok_or("its pickle takes from an empty stack")?;
        Ok(&mut self.values[at])
    }

    fn set_items(&mut self, items: &[At]) -> Result<(), Refusal> {
        let Value::Dict(pairs) = self.top()? else { return Err(KINDS.into()) };
        if !items.len().is_multiple_of(2) {
            return Err(KINDS.into());
        }
        pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn append(&mut self, items: &[At]) -> Result<(), Refusal> {
        let Value::List(list) = self.top()? else { return Err(KINDS.into()) };
        list.extend(items);
        Ok(())
    }

    fn remember(&mut self, slot: u64) -> Result<(), Refusal> {
        let at = *self.stack.last().ok_or("its pickle takes from an empty stack")?;
        let slot =
            usize::try_from(slot).ok().filter(|slot| *slot < MOST_VALUES).ok_or("its pickle's memo is too large")?;
        if self.memo.len() <= slot {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(at);
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<(), Refusal> {
        let found = usize::try_from(slot).ok().and_then(|slot| self.memo.get(slot).copied().flatten());
        self.stack.push(found.ok_or("its pickle recalls what it never kept")?);
        // A pickle that only recalls would otherwise make a stack of its own length in words.
        if self.stack.len() > MOST_VALUES { Err("its pickle's stack is too large".into()) } else { Ok(()) }
    }

    /// One opcode; the root after the last one.
    fn step(&mut self) -> Result<Option<At>, Refusal> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return self.pop().map(Some),
            0x80 => drop(self.take(1)?),                      // PROTO
            0x95 => drop(self.take(8)?),                      // FRAME
            b'(' => self.marks.push(self.stack.len()),        // MARK
            b'N' | 0x88 | 0x89 => self.push(Value::Nothing)?, // NONE, NEWTRUE, NEWFALSE
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Value::Int(number.into()))?;
            }
            0x8a => self.long()?,
            b'G' => {
                self.take(8)?; // BINFLOAT
                self.push(Value::Nothing)?;
            }
            b'X' => {
                let size = self.number(4)?;
                self.new_text(size)?;
            }
            0x8c | b'U' => {
                let size = self.number(1)?;
                self.new_text(size)?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b')' => self.push(Value::Tuple(Vec::new()))?,
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set_items(&items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(&items)?;
            }
            b'q' | b'h' => {
                let slot = self.number(1)?;
                if op == b'q' { self.remember(slot)? } else { self.recall(slot)? }
            }
            b'r' | b'j' => {
                let slot = self.number(4)?;
                if op == b'r' { self.remember(slot)? } else { self.recall(slot)? }
            }
            0x94 => self.remember(self.memo.len() as u64)?, // MEMOIZE
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (self.values[module].clone(), self.values[name].clone())
                else {
                    return Err(KINDS.into());
                };
                self.name(&module, &name)?;
            }
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            // State set on a dictionary (its `_metadata`): no tensor needs it.
            b'b' => drop(self.pop()?),
            _ => return Err("its pickle has an opcode that no tensor needs".into()),
        }
        Ok(None)
    }

    fn integer(&mut self, bytes: usize) -> Result<(), Refusal> {
        let number = self.number(bytes)?;
        self.push(Value::Int(number as i64))
    }

    fn new_text(&mut self, bytes: u64) -> Result<(), Refusal> {
        let text = self.text(bytes)?;
        self.push(text)
    }

    /// An integer of up to eight bytes, signed.
    fn long(&mut self) -> Result<(), Refusal> {
        let size = self.number(1)? as usize;
        if size > 8 {
            return Err("its pickle has a number beyond 64 bits".into());
        }
        let number = match size {
            0 => 0,
            size => {
                let shift = 64 - 8 * size as u32;
                (self.number(size)? << shift) as i64 >> shift
            }
        };
        self.push(Value::Int(number))
    }

    fn tuple(&mut self, size: usize) -> Result<(), Refusal> {
        let mut items = Vec::with_capacity(size);
        for _ in 0..size {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn name(&mut self, module: &str, name: &str) -> Result<(), Refusal> {
        let known = known(module, name)
            .ok_or_else(|| Refusal::Foreign(format!("{module}.{name}").escape_debug().to_string()))?;
        self.push(Value::Name(known))
    }

    /// A storage: `('storage', class, key, location, elements)`.
    fn persistent(&mut self) -> Result<(), Refusal> {
        let at = self.pop()?;
        let Value::Tuple(parts) = &self.values[at] else { return Err(KINDS.into()) };
        let [_, class, key, _, elements] = parts[..] else { return Err(KINDS.into()) };
        let (Value::Name(Known::Storage(_)), Value::Text(_), Value::Int(elements)) =
            (&self.values[class], &self.values[key], &self.values[elements])
        else {
            return Err(KINDS.into());
        };
        self.push(Value::Storage { class, key, elements: *elements })
    }

    /// `name(*arguments)` for the names that are known, put together here and not called.
    fn reduce(&mut self) -> Result<(), Refusal> {
        let (arguments, name) = (self.pop()?, self.pop()?);
        let (Value::Name(name), Value::Tuple(arguments)) = (&self.values[name], &self.values[arguments]) else {
            return Err(KINDS.into());
        };
        let value = match (name, &arguments[..]) {
            (Known::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let (Value::Int(offset), Some(shape), Some(strides)) =
                    (&self.values[*offset], self.integers(*shape), self.integers(*strides))
                else {
                    return Err(KINDS.into());
                };
                Value::Tensor { storage: *storage, offset: *offset, shape, strides }
            }
            (Known::OrderedDict, []) => Value::Dict(Vec::new()),
            // These two are what they wrap. Copies are of tensors and shapes only: larger ones could grow without end.
            (Known::RebuildParameter, [inner, ..]) | (Known::Size, [inner]) => match &self.values[*inner] {
                tensor @ Value::Tensor { .. } => tensor.clone(),
                Value::Tuple(items) if items.len() <= 16 => Value::Tuple(items.clone()),
                _ => return Err(KINDS.into()),
            },
            _ => return Err(KINDS.into()),
        };
        self.push(value)
    }

    /// The integers of a tuple; at most 16, as many axes as a tensor may have.
    fn integers(&self, at: At) -> Option<Vec<i64>> {
        let Value::Tuple(items) = &self.values[at] else { return None };
        let int = |item: &At| match self.values[*item] {
            Value::Int(number) => Some(number),
            _ => None,
        };
        (items.len() <= 16).then(|| items.iter().map(int).collect())?
    }
}
