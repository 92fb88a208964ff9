//! The array `masks` of a pickled dictionary, which is what Cellpose's `_seg.npy` is. Nothing of the pickle is run: names of classes
//! are kept as texts, calls as their arguments, and what no such file needs is refused.
//!
//! Values lie in one arena and refer to each other by index, so a file can neither nest deep enough to overflow a stack nor grow by
//! doubling.

use npyz::DType;

use super::npy::RawArray;
use crate::error::MaskError;

/// Values that a pickle may make; a file of 65,535 outlines has some hundred thousand.
const MOST_VALUES: usize = 4_000_000;

type At = usize;

#[derive(Debug, Clone)]
enum Value<'a> {
    /// What no array needs: None, a float, the name of a class.
    Other,
    Truth(bool),
    Int(i64),
    Text(&'a [u8]),
    Items(Vec<At>),
    /// Keys and values in turn.
    Dict(Vec<At>),
    /// Something called with arguments, and the state it was given afterwards.
    Made {
        arguments: At,
        state: Option<At>,
    },
}

/// Reads the pickle after the header of a `.npy` file.
///
/// # Errors
/// A pickle that is damaged, or holds no array `masks`.
pub(super) fn masks(bytes: &[u8]) -> Result<RawArray<'_>, MaskError> {
    array(bytes).map_err(MaskError::Pickle)
}

fn array(bytes: &[u8]) -> Result<RawArray<'_>, String> {
    let mut machine =
        Machine { rest: bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
    let root = loop {
        if let Some(root) = machine.step()? {
            break root;
        }
    };
    let values = &machine.values;
    let state = |at: At| match &values[at] {
        Value::Made { state: Some(state), .. } => items(values, *state),
        _ => None,
    };
    // The outer array holds one object; its state is (version, shape, type, order, [object]).
    let object = state(root).and_then(|state| items(values, *state.get(4)?)).and_then(|all| all.first().copied());
    let Some(Value::Dict(entries)) = object.map(|at| &values[at]) else { return Err("holds no dictionary".to_owned()) };
    let named = entries.chunks_exact(2).find(|entry| matches!(&values[entry[0]], Value::Text(b"masks")));
    let array = named.and_then(|entry| state(entry[1])).ok_or("holds no array `masks`")?;
    read_array(values, array).ok_or_else(|| "its `masks` are no array of numbers".to_owned())
}

fn items<'v>(values: &'v [Value<'_>], at: At) -> Option<&'v [At]> {
    if let Value::Items(items) = &values[at] { Some(items) } else { None }
}

fn read_array<'a>(values: &[Value<'a>], state: &[At]) -> Option<RawArray<'a>> {
    let &[_, shape, kind, order, bytes] = state else { return None };
    let shape = items(values, shape)?.iter().map(|&side| match values[side] {
        Value::Int(side) => u64::try_from(side).ok(),
        _ => None,
    });
    let Value::Made { arguments, state } = values[kind] else { return None };
    let kind = match values[*items(values, arguments)?.first()?] {
        Value::Text(name) => String::from_utf8_lossy(name).into_owned(),
        _ => return None,
    };
    // State of a type: (version, byte order, …).
    if let Some(&order) = state.and_then(|state| items(values, state)).and_then(|state| state.get(1))
        && matches!(values[order], Value::Text(b">"))
    {
        return None;
    }
    let Value::Truth(fortran) = values[order] else { return None };
    let Value::Text(bytes) = values[bytes] else { return None };
    let element = DType::new_scalar(format!("<{kind}").parse().ok()?);
    Some(RawArray { shape: shape.collect::<Option<_>>()?, element, fortran, bytes })
}

struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value<'a>>,
    stack: Vec<At>,
    marks: Vec<usize>,
    memo: Vec<Option<At>>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or("its pickle is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned little-endian number.
    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn sized(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let size = self.number(bytes)?;
        self.take(usize::try_from(size).map_err(|_| "its pickle is cut off")?)
    }

    fn line(&mut self) -> Result<(), String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or("its pickle is cut off")?;
        self.take(end + 1).map(drop)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), String> {
        self.values.push(value);
        self.recall_at(self.values.len() - 1)
    }

    fn recall_at(&mut self, at: At) -> Result<(), String> {
        self.stack.push(at);
        let within = self.values.len() <= MOST_VALUES && self.stack.len() <= MOST_VALUES;
        if within { Ok(()) } else { Err("its pickle has more values than that of any masks".to_owned()) }
    }

    fn pop(&mut self) -> Result<At, String> {
        self.stack.pop().ok_or_else(|| "its pickle takes from an empty stack".to_owned())
    }

    fn top(&mut self) -> Result<&mut Value<'a>, String> {
        let at = *self.stack.last().ok_or("its pickle takes from an empty stack")?;
        Ok(&mut self.values[at])
    }

    fn since_mark(&mut self) -> Result<Vec<At>, String> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or("its pickle misses a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn add(&mut self, items: Vec<At>) -> Result<(), String> {
        match self.top()? {
            Value::Items(all) | Value::Dict(all) => all.extend(items),
            // Items of an object of some class: not needed.
            _ => {}
        }
        Ok(())
    }

    fn tuple(&mut self, size: usize) -> Result<(), String> {
        let start = self.stack.len().checked_sub(size).ok_or("its pickle takes from an empty stack")?;
        let items = self.stack.split_off(start);
        self.push(Value::Items(items))
    }

    fn remember(&mut self, slot: u64) -> Result<(), String> {
        let slot = usize::try_from(slot).ok().filter(|&slot| slot < MOST_VALUES).ok_or("its pickle keeps too much")?;
        if self.memo.len() <= slot {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = self.stack.last().copied();
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<(), String> {
        let found = usize::try_from(slot).ok().and_then(|slot| self.memo.get(slot).copied().flatten());
        self.recall_at(found.ok_or("its pickle recalls what it never kept")?)
    }

    fn number_of(&mut self, bytes: usize) -> Result<(), String> {
        let number = self.number(bytes)?;
        self.push(Value::Int(number as i64))
    }

    fn text(&mut self, bytes: usize) -> Result<(), String> {
        let text = self.sized(bytes)?;
        self.push(Value::Text(text))
    }

    /// One opcode; the root after the last one.
    fn step(&mut self) -> Result<Option<At>, String> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return self.pop().map(Some),
            0x80 => drop(self.take(1)?),               // PROTO
            0x95 => drop(self.take(8)?),               // FRAME
            b'(' => self.marks.push(self.stack.len()), // MARK
            b'N' => self.push(Value::Other)?,
            0x88 | 0x89 => self.push(Value::Truth(op == 0x88))?, // NEWTRUE, NEWFALSE
            b'K' => self.number_of(1)?,
            b'M' => self.number_of(2)?,
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Value::Int(number.into()))?;
            }
            0x8a => {
                // LONG1: no side of an image needs more than eight bytes.
                let digits = self.sized(1)?;
                let negative = digits.last().is_some_and(|&digit| digit >= 0x80);
                let number = digits.iter().take(8).rev().fold(0_u64, |number, &digit| number << 8 | u64::from(digit));
                self.push(if negative || digits.len() > 8 { Value::Other } else { Value::Int(number as i64) })?;
            }
            b'G' => {
                self.take(8)?; // BINFLOAT
                self.push(Value::Other)?;
            }
            b'X' | b'B' => self.text(4)?,        // BINUNICODE, BINBYTES
            0x8c | b'C' | b'U' => self.text(1)?, // the short ones
            0x8d | 0x8e | 0x96 => self.text(8)?, // BINUNICODE8, BINBYTES8, BYTEARRAY8
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b']' | b')' | 0x8f => self.push(Value::Items(Vec::new()))?, // EMPTY_LIST, EMPTY_TUPLE, EMPTY_SET
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Items(items))?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.add(vec![key, value])?;
            }
            b'a' => {
                let item = self.pop()?;
                self.add(vec![item])?;
            }
            b'u' | b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.add(items)?;
            }
            b'q' => {
                let slot = self.number(1)?;
                self.remember(slot)?;
            }
            b'r' => {
                let slot = self.number(4)?;
                self.remember(slot)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?, // MEMOIZE
            b'h' => {
                let slot = self.number(1)?;
                self.recall(slot)?;
            }
            b'j' => {
                let slot = self.number(4)?;
                self.recall(slot)?;
            }
            b'c' => {
                self.line()?; // GLOBAL: module and name
                self.line()?;
                self.push(Value::Other)?;
            }
            0x93 => {
                self.pop()?; // STACK_GLOBAL
                self.pop()?;
                self.push(Value::Other)?;
            }
            b'R' | 0x81 => {
                let (arguments, _) = (self.pop()?, self.pop()?); // REDUCE, NEWOBJ
                self.push(Value::Made { arguments, state: None })?;
            }
            b'b' => {
                let new = self.pop()?; // BUILD
                if let Value::Made { state, .. } = self.top()? {
                    *state = Some(new);
                }
            }
            _ => return Err(format!("its pickle has an opcode ({op:#04x}) that no masks need")),
        }
        Ok(None)
    }
}
