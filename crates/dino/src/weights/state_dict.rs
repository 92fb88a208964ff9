//! What the pickle of a `.pth` file says of its tensors: which value is a tensor or a dictionary, and where its data lies.

use super::WeightsError;
use pickle::{At, Limits, Pickle, PickleError, Value};

/// A training checkpoint of ViT-g has about a hundred thousand values, and the pickle of a state dict under a megabyte.
const LIMITS: Limits = Limits { bytes: 64 << 20, values: 2_000_000 };
/// As many axes as a tensor may have.
const MOST_AXES: usize = 16;
/// The message about a call with other arguments than PyTorch writes.
const UNFIT: &str = "its pickle puts values together that do not fit";

/// The names that stand for something in a dictionary of tensors.
enum Class {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Size,
    Storage,
}

fn class(module: &str, name: &str) -> Option<Class> {
    match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Some(Class::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Class::RebuildParameter),
        ("collections", "OrderedDict") => Some(Class::OrderedDict),
        ("torch", "Size") => Some(Class::Size),
        ("torch", _) if name.ends_with("Storage") => Some(Class::Storage),
        _ => None,
    }
}

/// Reads a pickle that names nothing but tensors and dictionaries. `what` names the file in messages.
///
/// # Errors
/// [`WeightsError::Foreign`] for any other class or function, [`WeightsError::Damaged`] for bytes that are not such a pickle.
pub(super) fn read<'a>(bytes: &'a [u8], what: &str) -> Result<Pickle<'a>, WeightsError> {
    let takes = |module: &str, name: &str| class(module, name).is_some();
    Pickle::read(bytes, LIMITS, takes).map_err(|error| match error {
        PickleError::Name(name) => WeightsError::Foreign { what: what.to_owned(), name },
        other => WeightsError::damaged(what, other.to_string()),
    })
}

/// What a value is to a reader of weights.
pub(super) enum Entry<'p> {
    Tensor(Described),
    Dict(&'p [(At, At)]),
    /// A number, a text, a list: nothing that weights need.
    Other,
}

/// A tensor as the pickle describes it: a view of a storage, in elements.
pub(super) struct Described {
    /// Where the value lies that [`storage`] reads.
    pub(super) storage: At,
    /// Index of the first element in the storage.
    pub(super) offset: i64,
    pub(super) shape: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

impl Described {
    /// The number of elements, and the end of those used in a storage that holds `held`; none where one lies outside, or
    /// where there are more elements than data (a stride of 0 makes none).
    pub(super) fn extent(&self, held: i64) -> Option<(usize, usize)> {
        if self.shape.len() != self.strides.len() || self.shape.iter().chain(&self.strides).any(|n| *n < 0) {
            return None;
        }
        let count = self.shape.iter().try_fold(1_i64, |all, n| all.checked_mul(*n))?;
        if self.offset < 0 || count > held {
            return None;
        }
        if count == 0 {
            return Some((0, 0));
        }
        let mut sides = self.shape.iter().zip(&self.strides);
        let last = sides.try_fold(self.offset, |last, (n, stride)| last.checked_add((n - 1).checked_mul(*stride)?))?;
        (last < held).then_some((count as usize, last as usize + 1))
    }
}

/// What the value at `at` is.
///
/// # Errors
/// A call with other arguments than PyTorch writes.
pub(super) fn entry<'p>(pickle: &'p Pickle<'_>, mut at: At) -> Result<Entry<'p>, &'static str> {
    loop {
        let (class, arguments, items) = match pickle.at(at) {
            Value::Dict(entries) => return Ok(Entry::Dict(entries)),
            Value::Object { class, arguments, items, .. } => (class_of(pickle, *class), *arguments, items),
            _ => return Ok(Entry::Other),
        };
        match (class, pickle.items(arguments)) {
            (Some(Class::OrderedDict), Some([])) => return Ok(Entry::Dict(items)),
            (Some(Class::RebuildTensor), Some([storage, offset, shape, strides, ..])) => {
                let described = described(pickle, *storage, *offset, [*shape, *strides]);
                return described.map(Entry::Tensor).ok_or(UNFIT);
            }
            // A parameter is what it wraps. This ends: what a tuple holds was made before the tuple.
            (Some(Class::RebuildParameter), Some([inner, ..])) => at = *inner,
            (Some(Class::Size), Some([_])) => return Ok(Entry::Other),
            _ => return Err(UNFIT),
        }
    }
}

fn described(pickle: &Pickle<'_>, storage: At, offset: At, [shape, strides]: [At; 2]) -> Option<Described> {
    let (offset, shape, strides) = (pickle.int(offset)?, integers(pickle, shape)?, integers(pickle, strides)?);
    Some(Described { storage, offset, shape, strides })
}

/// Where data lies: `('storage', class, key, location, elements)`.
pub(super) struct Storage<'a> {
    /// PyTorch's name of the element type, such as `FloatStorage`.
    pub(super) class: &'a str,
    /// Name of the entry below `data/` in the archive.
    pub(super) key: &'a str,
    /// Number of elements in the storage.
    pub(super) elements: i64,
}

/// The storage at `at`, if one stands there.
pub(super) fn storage<'a>(pickle: &Pickle<'a>, at: At) -> Option<Storage<'a>> {
    let Value::Persistent(parts) = pickle.at(at) else { return None };
    let &[_, class, key, _, elements] = pickle.items(*parts)? else { return None };
    let Some(Class::Storage) = class_of(pickle, class) else { return None };
    Some(Storage { class: pickle.name(class)?.1, key: pickle.text(key)?, elements: pickle.int(elements)? })
}

fn class_of(pickle: &Pickle<'_>, at: At) -> Option<Class> {
    pickle.name(at).and_then(|(module, name)| class(module, name))
}

/// The integers of a tuple, or of the `torch.Size` around one.
fn integers(pickle: &Pickle<'_>, at: At) -> Option<Vec<i64>> {
    let inner = match pickle.at(at) {
        Value::Object { class, arguments, .. } if matches!(class_of(pickle, *class), Some(Class::Size)) => {
            *pickle.items(*arguments)?.first()?
        }
        _ => at,
    };
    let Value::Tuple(items) = pickle.at(inner) else { return None };
    (items.len() <= MOST_AXES).then(|| items.iter().map(|&item| pickle.int(item)).collect())?
}
