//! The array `masks` of a pickled dictionary, which is what Cellpose's `_seg.npy` is: where in the pickle its shape, element
//! type and bytes stand.

use npyz::DType;
use pickle::{At, Limits, Pickle, Value};

use super::npy::RawArray;
use crate::error::MaskError;

/// A file of 65,535 outlines has some hundred thousand values; its bytes are in memory already.
const LIMITS: Limits = Limits { bytes: usize::MAX, values: 4_000_000 };

/// Reads the pickle after the header of a `.npy` file.
///
/// # Errors
/// A pickle that is damaged, or holds no array `masks`.
pub(super) fn masks(bytes: &[u8]) -> Result<RawArray<'_>, MaskError> {
    array(bytes).map_err(MaskError::Pickle)
}

fn array(bytes: &[u8]) -> Result<RawArray<'_>, String> {
    // Names are of NumPy's classes and of whatever else Cellpose kept: they are compared with nothing and never used.
    let pickle = Pickle::read(bytes, LIMITS, |_, _| true).map_err(|error| error.to_string())?;
    // The outer array holds one object; its state is (version, shape, type, order, [object]).
    let object = state(&pickle, pickle.root()).and_then(|state| pickle.items(*state.get(4)?));
    let Some(Value::Dict(entries)) = object.and_then(|all| all.first()).map(|&at| pickle.at(at)) else {
        return Err("holds no dictionary".to_owned());
    };
    let named = entries.iter().find(|&&(key, _)| pickle.bytes(key) == Some(b"masks"));
    let array = named.and_then(|&(_, value)| state(&pickle, value)).ok_or("holds no array `masks`")?;
    read_array(&pickle, array).ok_or_else(|| "its `masks` are not an array of numbers".to_owned())
}

/// The items of the state that an object was given.
fn state<'p>(pickle: &'p Pickle<'_>, at: At) -> Option<&'p [At]> {
    match pickle.at(at) {
        Value::Object { state: Some(state), .. } => pickle.items(*state),
        _ => None,
    }
}

/// An array by its state (version, shape, type, order, bytes).
fn read_array<'a>(pickle: &Pickle<'a>, state_of_array: &[At]) -> Option<RawArray<'a>> {
    let &[_, shape, element, order, bytes] = state_of_array else { return None };
    let shape = pickle.items(shape)?.iter().map(|&side| u64::try_from(pickle.int(side)?).ok());
    let Value::Object { arguments, .. } = pickle.at(element) else { return None };
    let name = String::from_utf8_lossy(pickle.bytes(*pickle.items(*arguments)?.first()?)?);
    // State of a type: (version, byte order, …).
    let byte_order = state(pickle, element).and_then(|state| state.get(1)).and_then(|&order| pickle.bytes(order));
    let Value::Bool(fortran) = *pickle.at(order) else { return None };
    if byte_order == Some(b">") {
        return None;
    }
    let element = DType::new_scalar(format!("<{name}").parse().ok()?);
    Some(RawArray { shape: shape.collect::<Option<_>>()?, element, fortran, bytes: pickle.bytes(bytes)? })
}
