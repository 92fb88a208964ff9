//! Pickles as Python writes them, and pickles that were made to do harm.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use pickle::{Limits, Pickle, PickleError, Value};
use proptest::prelude::*;

const LIMITS: Limits = Limits { bytes: 1 << 24, values: 10_000 };

fn read(bytes: &[u8]) -> Result<Pickle<'_>, PickleError> {
    Pickle::read(bytes, LIMITS, |module, _| module == "collections")
}

fn refusal(bytes: &[u8]) -> PickleError {
    read(&[b"\x80\x02", bytes, b"."].concat()).map(|_| ()).unwrap_err()
}

/// `pickle.dumps({"n": [1, -2, 2**40, -2**63, 2**70], "t": (1, 2, 3, 4), "p": (True, None, 0.5), "b": b"\x00\xff"}, protocol=4)`.
const WRITTEN: &[u8] = b"\x80\x04\x95Z\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01n\x94]\x94(K\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@e\x8c\x01t\x94(K\x01K\x02K\x03K\x04t\x94\x8c\x01p\x94\x88NG?\xe0\x00\x00\x00\x00\x00\x00\x87\x94\x8c\x01b\x94C\x02\x00\xff\x94u.";

#[test]
fn values_are_those_that_python_wrote() {
    let pickle = read(WRITTEN).unwrap();
    let Value::Dict(entries) = pickle.at(pickle.root()) else { panic!("{pickle:?}") };
    let keys: Vec<_> = entries.iter().map(|&(key, _)| pickle.text(key).unwrap()).collect();
    assert_eq!(keys, ["n", "t", "p", "b"]);
    let values: Vec<_> = entries.iter().map(|entry| entry.1).collect();
    let numbers: Vec<_> = pickle.items(values[0]).unwrap().iter().map(|&at| pickle.int(at)).collect();
    assert_eq!(numbers, [Some(1), Some(-2), Some(1 << 40), Some(i64::MIN), None]);
    let large = pickle.items(values[0]).unwrap()[4];
    assert_eq!(pickle.at(large), &Value::Long(&[0, 0, 0, 0, 0, 0, 0, 0, 64]));
    assert_eq!(pickle.items(values[1]).unwrap().iter().filter_map(|&at| pickle.int(at)).sum::<i64>(), 10);
    let plain: Vec<_> = pickle.items(values[2]).unwrap().iter().map(|&at| pickle.at(at).clone()).collect();
    assert_eq!(plain, [Value::Bool(true), Value::None, Value::Float(0.5)]);
    assert_eq!(pickle.bytes(values[3]), Some(&[0, 255][..]));
}

#[test]
fn an_object_keeps_its_class_arguments_items_and_state() {
    // OrderedDict([("a", 1)]) with an attribute, as protocol 2 writes it.
    let bytes = b"\x80\x02ccollections\nOrderedDict\n)RU\x01aK\x01s}U\x01bK\x02sb.";
    let pickle = read(bytes).unwrap();
    let Value::Object { class, arguments, state, items } = pickle.at(pickle.root()) else { panic!("{pickle:?}") };
    assert_eq!(pickle.name(*class), Some(("collections", "OrderedDict")));
    assert_eq!(pickle.items(*arguments), Some(&[][..]));
    assert_eq!((pickle.text(items[0].0), pickle.int(items[0].1)), (Some("a"), Some(1)));
    assert!(matches!(pickle.at(state.unwrap()), Value::Dict(entries) if entries.len() == 1));
}

#[test]
fn names_are_taken_by_the_caller_alone_and_opcodes_that_run_code_never() {
    let name = |name: &str| PickleError::Name(name.to_owned());
    assert_eq!(refusal(b"cos\nsystem\n(X\x04\x00\x00\x00truetR"), name("os.system"));
    assert_eq!(refusal(b"X\x05\x00\x00\x00posixX\x06\x00\x00\x00system\x93"), name("posix.system"));
    assert_eq!(refusal(b"c\x1b[31m\nx\n"), name("\\u{1b}[31m.x"));
    assert_eq!(refusal(b"c\xff\nx\n"), PickleError::NotUtf8);
    // INST, OBJ, EXT1, POP, DUP, PERSID, NEXT_BUFFER.
    for (value, opcode) in [
        (&b"(ios\nsystem\n"[..], b'i'),
        (b"(}o", b'o'),
        (b"\x82\x01", 0x82),
        (b"N0", b'0'),
        (b"N2", b'2'),
        (b"Pkey\n", b'P'),
        (b"\x97", 0x97),
    ] {
        assert_eq!(refusal(value), PickleError::Opcode(opcode));
    }
    // Calls of what is no name, and with what are no arguments.
    for value in [&b"})R"[..], b"}}\x81", b"ccollections\nOrderedDict\n}R"] {
        assert_eq!(refusal(value), PickleError::Mismatch);
    }
}

#[test]
fn damaged_pickles_are_refused() {
    for end in 0..WRITTEN.len() {
        assert!(read(&WRITTEN[..end]).is_err(), "cut after {end} bytes");
    }
    for at in 0..WRITTEN.len() {
        let mut bytes = WRITTEN.to_vec();
        bytes[at] ^= 0xFF;
        let _ = read(&bytes);
    }
    assert_eq!(refusal(b""), PickleError::EmptyStack);
    assert_eq!(refusal(b"h\x05"), PickleError::NeverKept);
    assert_eq!(refusal(b"r\xff\xff\xff\xff"), PickleError::EmptyStack);
    assert_eq!(refusal(b"Nr\xff\xff\xff\xff"), PickleError::Memo(LIMITS.values));
    assert_eq!(refusal(b"X\xff\xff\xff\xffa"), PickleError::Truncated);
    assert_eq!(refusal(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa"), PickleError::Truncated);
    assert_eq!(refusal(b"]u"), PickleError::NoMark);
    assert_eq!(refusal(b"N(\x85"), PickleError::EmptyStack, "nothing is taken from below a mark");
    for value in [&b"](Nu"[..], b"](NNu", b"}Na", b"}(Nu", b"N(NNu", b"\x93"] {
        assert!(matches!(refusal(value), PickleError::Mismatch | PickleError::EmptyStack), "{value:?}");
    }
}

#[test]
fn pickles_that_would_grow_or_nest_without_end_are_refused() {
    let most = LIMITS.values;
    // Tuples, each around the last: they take room, but no stack.
    let deep = [&b")"[..], &vec![0x85; most - 1], b"."].concat();
    assert!(read(&deep).is_ok());
    assert_eq!(refusal(&vec![b'N'; most + 1]), PickleError::Values(most));
    assert_eq!(refusal(&vec![b'('; most + 1]), PickleError::Stack(most));
    assert_eq!(refusal(&[&b"Nq\x00"[..], &b"h\x00".repeat(most + 1)].concat()), PickleError::Stack(most));
    let limits = Limits { bytes: 10, ..LIMITS };
    let large = Pickle::read(&[b'N'; 11], limits, |_, _| true).map(|_| ());
    assert_eq!(large, Err(PickleError::Size { found: 11, limit: 10 }));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![
        any::<u8>(),
        prop::sample::select(&b".(NKMJGXUBC}])tsuaeqrhjcRbQ\x80\x81\x85\x86\x87\x88\x8a\x8c\x8d\x8e\x8f\x90\x93\x94\x95\x96"[..]),
        0..4_u8,
    ], 0..200)) {
        let _ = Pickle::read(&bytes, LIMITS, |_, _| true);
    }
}
