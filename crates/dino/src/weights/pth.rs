//! PyTorch's `.pth` files (`torch.save` since 1.6): dictionaries of tensors, nested ones flattened with dots.

use super::{
    WeightsError,
    pickle::{At, Known, Pickle, Value},
    zip::Archive,
};
use tch::{Kind, Tensor};

/// Dictionaries within dictionaries: `{"model": {"teacher.backbone.…": …}}` has two.
const DEEPEST: usize = 6;
/// Keys of all dictionaries together.
const MOST_KEYS: usize = 500_000;

struct Reader<'a> {
    what: &'a str,
    archive: Archive<'a>,
    /// Name of the archive's folder.
    folder: String,
    pickle: Pickle,
    keys: usize,
    /// Bytes that tensors may still take: together no more than twice the file, since views may overlap.
    allowance: usize,
    out: Vec<(String, Tensor)>,
}

/// All tensors of a `.pth` file, on the CPU, sorted by name. What is no tensor is passed over.
///
/// # Errors
/// A file that is damaged, or holds anything but dictionaries of tensors, numbers and texts.
pub(super) fn read(bytes: &[u8], what: &str) -> Result<Vec<(String, Tensor)>, WeightsError> {
    let archive = Archive::open(bytes, what)?;
    let damaged = |why| WeightsError::damaged(what, why);
    let (folder, pickled) = archive.find("data.pkl").ok_or_else(|| damaged("it has no data.pkl"))?;
    if archive.find("byteorder").is_some_and(|(_, order)| order != b"little") {
        return Err(damaged("it was written on a big-endian machine"));
    }
    let (folder, pickle) = (folder.to_owned(), Pickle::read(pickled, what)?);
    let allowance = archive.size().saturating_mul(2);
    let mut reader = Reader { what, archive, folder, pickle, keys: 0, allowance, out: Vec::new() };
    let Value::Dict(pairs) = reader.pickle.root().clone() else {
        return Err(damaged("it is no dictionary of tensors"));
    };
    reader.flatten(&pairs, "", DEEPEST)?;
    reader.out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(reader.out)
}

impl Reader<'_> {
    fn damaged(&self, why: &str) -> WeightsError {
        WeightsError::damaged(self.what, why)
    }

    fn flatten(&mut self, pairs: &[(At, At)], prefix: &str, depth: usize) -> Result<(), WeightsError> {
        for (key, value) in pairs {
            self.keys += 1;
            if self.keys > MOST_KEYS {
                return Err(self.damaged("it has more keys than weights have"));
            }
            // Keys of other kinds belong to an optimiser's state.
            let Value::Text(key) = self.pickle.at(*key) else { continue };
            if key.len() > 1000 {
                return Err(self.damaged("a key is longer than any name"));
            }
            let name = format!("{prefix}{key}");
            match self.pickle.at(*value) {
                Value::Tensor { storage, offset, shape, strides } => {
                    let (storage, offset, shape, strides) = (*storage, *offset, shape.clone(), strides.clone());
                    let tensor = view(self, storage, offset, &shape, &strides, &name)?;
                    self.out.push((name, tensor));
                }
                Value::Dict(inner) if depth > 0 => {
                    let inner = inner.clone();
                    self.flatten(&inner, &format!("{name}."), depth - 1)?;
                }
                Value::Dict(_) => return Err(self.damaged("its dictionaries are nested deeper than those of weights")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The element type of a storage's class.
fn kind_of(class: &str) -> Option<Kind> {
    Some(match class {
        "FloatStorage" => Kind::Float,
        "DoubleStorage" => Kind::Double,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "LongStorage" => Kind::Int64,
        "IntStorage" => Kind::Int,
        "ShortStorage" => Kind::Int16,
        "ByteStorage" => Kind::Uint8,
        "CharStorage" => Kind::Int8,
        "BoolStorage" => Kind::Bool,
        _ => return None,
    })
}

/// A tensor with memory of its own, after a check that every element lies within its storage.
fn view(
    reader: &mut Reader<'_>,
    storage: At,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
    name: &str,
) -> Result<Tensor, WeightsError> {
    let broken = |why: &str| WeightsError::damaged(reader.what, format!("tensor {name:?} {why}"));
    let Value::Storage { class, key, elements } = reader.pickle.at(storage) else {
        return Err(broken("has no storage"));
    };
    let (Value::Name(Known::Storage(class)), Value::Text(key)) = (reader.pickle.at(*class), reader.pickle.at(*key))
    else {
        return Err(broken("has no storage"));
    };
    let kind = kind_of(class).ok_or_else(|| broken("has an element type that weights do not have"))?;
    let (_, bytes) = reader
        .archive
        .find(&format!("data/{key}"))
        .filter(|(folder, _)| *folder == reader.folder.as_str())
        .ok_or_else(|| broken("has no data in the file"))?;
    let width = kind.elt_size_in_bytes();
    let held = (bytes.len() / width) as i64;
    if *elements != held || bytes.len() % width != 0 {
        return Err(broken("says another size than its data has"));
    }
    let outside = || broken("reaches beyond its data");
    if shape.len() != strides.len() || offset < 0 || shape.iter().chain(strides).any(|n| *n < 0) {
        return Err(outside());
    }
    let count = shape.iter().try_fold(1_i64, |all, n| all.checked_mul(*n)).ok_or_else(outside)?;
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(offset, |last, (n, stride)| last.checked_add((n - 1).max(0).checked_mul(*stride)?));
    // No element is beyond the data, and there are no more elements than data: a stride of 0 makes none.
    if count > held || (count > 0 && last.is_none_or(|last| last >= held)) {
        return Err(outside());
    }
    let size = count as usize * width;
    let left = reader.allowance.checked_sub(size).ok_or_else(|| broken("makes the tensors larger than their file"))?;
    reader.allowance = left;
    if count == 0 {
        return Ok(Tensor::zeros(shape, (kind, tch::Device::Cpu)));
    }
    // Only the part that is used is copied: checkpoints hold views of large buffers.
    let start = offset as usize * width;
    let end = (last.unwrap_or(offset) as usize + 1) * width;
    let flat = Tensor::from_data_size(&bytes[start..end], &[(end - start) as i64 / width as i64], kind);
    Ok(flat.as_strided(shape, strides, None).contiguous())
}
