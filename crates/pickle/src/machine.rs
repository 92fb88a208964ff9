//! The stack machine: one method for each group of opcodes, over an arena of values.

use crate::{At, PickleError, Value};

/// Says whether a name may occur, by module and name.
type Takes<'t> = &'t dyn Fn(&str, &str) -> bool;

pub(crate) struct Machine<'a, 't> {
    rest: &'a [u8],
    values: Vec<Value<'a>>,
    stack: Vec<At>,
    marks: Vec<usize>,
    memo: Vec<Option<At>>,
    most: usize,
    takes: Takes<'t>,
}

impl<'a, 't> Machine<'a, 't> {
    /// A machine over `bytes` that makes `most` values at most.
    pub(crate) fn new(bytes: &'a [u8], most: usize, takes: Takes<'t>) -> Self {
        Self { rest: bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), most, takes }
    }

    /// All values, and which of them was pickled.
    pub(crate) fn run(mut self) -> Result<(Vec<Value<'a>>, At), PickleError> {
        loop {
            let opcode = self.number(1)? as u8;
            if opcode == b'.' {
                let root = self.pop()?;
                return Ok((self.values, root));
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            0x80 => self.take(1).map(drop), // PROTO
            0x95 => self.take(8).map(drop), // FRAME
            b'(' => self.mark(),
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memo(opcode),
            b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | 0x8a | b'G' => self.plain(opcode),
            b'X' | 0x8c | 0x8d | b'U' | b'B' | b'C' | 0x8e | 0x96 => self.sized(opcode),
            b'}' | b']' | b')' | 0x8f | 0x85..=0x87 | b't' => self.container(opcode),
            b's' | b'u' | b'a' | b'e' | 0x90 => self.fill(opcode),
            b'c' | 0x93 | b'R' | 0x81 | b'b' | b'Q' => self.object(opcode),
            _ => Err(PickleError::Opcode(opcode)),
        }
    }

    /// None, truth values and numbers.
    fn plain(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 | 0x89 => Value::Bool(opcode == 0x88), // NEWTRUE, NEWFALSE
            b'K' => Value::Int(self.number(1)? as i64), // BININT1
            b'M' => Value::Int(self.number(2)? as i64), // BININT2
            b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)), // BININT
            b'G' => Value::Float(f64::from_bits(self.number(8)?.swap_bytes())), // BINFLOAT, highest byte first
            _ => self.long()?,
        };
        self.push(value)
    }

    /// LONG1: an integer of any size, signed.
    fn long(&mut self) -> Result<Value<'a>, PickleError> {
        let digits = self.counted(1)?;
        if digits.len() > 8 {
            return Ok(Value::Long(digits));
        }
        let number = digits.iter().rev().fold(0_u64, |number, &digit| number << 8 | u64::from(digit));
        let unused = u64::BITS - 8 * digits.len() as u32;
        Ok(Value::Int(number.checked_shl(unused).map_or(0, |number| number.cast_signed() >> unused)))
    }

    /// Texts and bytes, each after its length.
    fn sized(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = match opcode {
            b'X' => Value::Text(self.counted(4)?),        // BINUNICODE
            0x8c | b'U' => Value::Text(self.counted(1)?), // SHORT_BINUNICODE, SHORT_BINSTRING
            0x8d => Value::Text(self.counted(8)?),        // BINUNICODE8
            b'B' => Value::Bytes(self.counted(4)?),       // BINBYTES
            b'C' => Value::Bytes(self.counted(1)?),       // SHORT_BINBYTES
            _ => Value::Bytes(self.counted(8)?),          // BINBYTES8, BYTEARRAY8
        };
        self.push(value)
    }

    /// Lists, sets, tuples and dictionaries.
    fn container(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = match opcode {
            b'}' => Value::Dict(Vec::new()),
            b']' | 0x8f => Value::List(Vec::new()), // EMPTY_LIST, EMPTY_SET
            b')' => Value::Tuple(Vec::new()),
            b't' => Value::Tuple(self.since_mark()?),
            _ => Value::Tuple(self.last(usize::from(opcode - 0x84))?), // TUPLE1 to TUPLE3
        };
        self.push(value)
    }

    /// Items for the container on top of the stack.
    fn fill(&mut self, opcode: u8) -> Result<(), PickleError> {
        let items = match opcode {
            b'a' => self.last(1)?,   // APPEND
            b's' => self.last(2)?,   // SETITEM
            _ => self.since_mark()?, // APPENDS, SETITEMS, ADDITEMS
        };
        let pairs = matches!(opcode, b's' | b'u');
        match self.top()? {
            Value::Dict(entries) | Value::Object { items: entries, .. } if pairs => {
                let (items, []) = items.as_chunks::<2>() else { return Err(PickleError::Mismatch) };
                entries.extend(items.iter().map(|&[key, value]| (key, value)));
            }
            Value::List(list) if !pairs => list.extend(items),
            // What a class does with appended items is its own.
            Value::Object { .. } => {}
            _ => return Err(PickleError::Mismatch),
        }
        Ok(())
    }

    /// Names, and what Python would make of them.
    fn object(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = match opcode {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                self.name(module, name)?
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                let (Value::Text(module), Value::Text(name)) = (&self.values[module.0], &self.values[name.0]) else {
                    return Err(PickleError::Mismatch);
                };
                self.name(module, name)?
            }
            b'Q' => Value::Persistent(self.pop()?), // BINPERSID
            b'b' => return self.build(),
            _ => {
                let (arguments, class) = (self.pop()?, self.pop()?); // REDUCE, NEWOBJ
                let values = (&self.values[class.0], &self.values[arguments.0]);
                if !matches!(values, (Value::Name { .. }, Value::Tuple(_))) {
                    return Err(PickleError::Mismatch);
                }
                Value::Object { class, arguments, state: None, items: Vec::new() }
            }
        };
        self.push(value)
    }

    fn name(&self, module: &'a [u8], name: &'a [u8]) -> Result<Value<'a>, PickleError> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).map_err(|_| PickleError::NotUtf8);
        let (module, name) = (text(module)?, text(name)?);
        if (self.takes)(module, name) {
            return Ok(Value::Name { module, name });
        }
        Err(PickleError::Name(format!("{module}.{name}").escape_debug().to_string()))
    }

    /// BUILD: the state of the object on top of the stack. That of other values is left out.
    fn build(&mut self) -> Result<(), PickleError> {
        let new = self.pop()?;
        if let Value::Object { state, .. } = self.top()? {
            *state = Some(new);
        }
        Ok(())
    }

    /// Keeps the value on top under a number, or puts one that was kept on top.
    fn memo(&mut self, opcode: u8) -> Result<(), PickleError> {
        let slot = match opcode {
            b'q' | b'h' => self.number(1)?, // BINPUT, BINGET
            b'r' | b'j' => self.number(4)?, // LONG_BINPUT, LONG_BINGET
            _ => self.memo.len() as u64,    // MEMOIZE
        } as usize;
        if matches!(opcode, b'h' | b'j') {
            let kept = self.memo.get(slot).copied().flatten();
            return self.push_at(kept.ok_or(PickleError::NeverKept)?);
        }
        let at = *self.stack.last().ok_or(PickleError::EmptyStack)?;
        if slot >= self.most {
            return Err(PickleError::Memo(self.most));
        }
        if self.memo.len() <= slot {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(at);
        Ok(())
    }

    fn mark(&mut self) -> Result<(), PickleError> {
        self.marks.push(self.stack.len());
        if self.marks.len() > self.most { Err(PickleError::Stack(self.most)) } else { Ok(()) }
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        if self.values.len() >= self.most {
            return Err(PickleError::Values(self.most));
        }
        self.values.push(value);
        self.push_at(At(self.values.len() - 1))
    }

    fn push_at(&mut self, at: At) -> Result<(), PickleError> {
        self.stack.push(at);
        // A pickle that only recalls would otherwise make a stack of its own length in words.
        if self.stack.len() > self.most { Err(PickleError::Stack(self.most)) } else { Ok(()) }
    }

    /// The value on top; never below the innermost mark.
    fn pop(&mut self) -> Result<At, PickleError> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(PickleError::EmptyStack);
        }
        self.stack.pop().ok_or(PickleError::EmptyStack)
    }

    /// The last `count` values in the order they were put there.
    fn last(&mut self, count: usize) -> Result<Vec<At>, PickleError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    /// All values above the innermost mark, which is taken away.
    fn since_mark(&mut self) -> Result<Vec<At>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::NoMark)?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Value<'a>, PickleError> {
        let at = *self.stack.last().ok_or(PickleError::EmptyStack)?;
        Ok(&mut self.values[at.0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(PickleError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// An unsigned number, lowest byte first.
    fn number(&mut self, bytes: usize) -> Result<u64, PickleError> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// As many bytes as a number of `width` bytes says.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], PickleError> {
        let count = usize::try_from(self.number(width)?).map_err(|_| PickleError::Truncated)?;
        self.take(count)
    }

    /// The bytes up to the end of the line.
    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::Truncated)?;
        Ok(&self.take(end + 1)?[..end])
    }
}
