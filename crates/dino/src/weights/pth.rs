//! PyTorch's `.pth` files (`torch.save` since 1.6): dictionaries of tensors, nested ones flattened with dots.

use super::{
    WeightsError,
    state_dict::{self, Described, Entry},
    zip::Archive,
};
use pickle::{At, Pickle};
use tch::{Kind, Tensor};

/// Dictionaries within dictionaries: `{"model": {"teacher.backbone.…": …}}` has two.
const DEEPEST: usize = 6;
/// Keys of all dictionaries together.
const MOST_KEYS: usize = 500_000;

struct Reader<'a> {
    what: &'a str,
    archive: &'a Archive<'a>,
    /// Name of the archive's folder.
    folder: &'a str,
    pickle: &'a Pickle<'a>,
    keys: usize,
    /// Bytes that tensors may still take: together no more than twice the file, since views may overlap.
    allowance: usize,
    out: Vec<(String, Tensor)>,
}

/// All tensors of a `.pth` file, on the CPU, sorted by name. Other values are skipped.
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
    let pickle = state_dict::read(pickled, what)?;
    let Entry::Dict(entries) = state_dict::entry(&pickle, pickle.root()).map_err(damaged)? else {
        return Err(damaged("it is not a dictionary of tensors"));
    };
    let allowance = archive.size().saturating_mul(2);
    let mut reader = Reader { what, archive: &archive, folder, pickle: &pickle, keys: 0, allowance, out: Vec::new() };
    reader.flatten(entries, "", DEEPEST)?;
    let mut out = reader.out;
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

impl Reader<'_> {
    fn damaged(&self, why: &str) -> WeightsError {
        WeightsError::damaged(self.what, why)
    }

    fn flatten(&mut self, entries: &[(At, At)], prefix: &str, depth: usize) -> Result<(), WeightsError> {
        for &(key, value) in entries {
            self.keys += 1;
            if self.keys > MOST_KEYS {
                return Err(self.damaged("it has more keys than weights have"));
            }
            // Keys of other kinds belong to an optimiser's state.
            if self.pickle.bytes(key).is_none() {
                continue;
            }
            let key = self.pickle.text(key).ok_or_else(|| self.damaged("a key is not UTF-8"))?;
            if key.len() > 1000 {
                return Err(self.damaged("a key is longer than any name"));
            }
            let name = format!("{prefix}{key}");
            match state_dict::entry(self.pickle, value).map_err(|why| self.damaged(why))? {
                Entry::Tensor(described) => {
                    let tensor = self.tensor(&described, &name)?;
                    self.out.push((name, tensor));
                }
                Entry::Dict(inner) if depth > 0 => self.flatten(inner, &format!("{name}."), depth - 1)?,
                Entry::Dict(_) => return Err(self.damaged("its dictionaries are nested deeper than those of weights")),
                Entry::Other => {}
            }
        }
        Ok(())
    }

    /// A tensor with memory of its own, of the shape described.
    fn tensor(&mut self, described: &Described, name: &str) -> Result<Tensor, WeightsError> {
        let broken = |why: &str| WeightsError::damaged(self.what, format!("tensor {name:?} {why}"));
        let storage = state_dict::storage(self.pickle, described.storage).ok_or_else(|| broken("has no storage"))?;
        let kind = kind_of(storage.class).ok_or_else(|| broken("has an element type that weights do not have"))?;
        let (_, bytes) = self
            .archive
            .find(&format!("data/{}", storage.key))
            .filter(|(folder, _)| *folder == self.folder)
            .ok_or_else(|| broken("has no data in the file"))?;
        let width = kind.elt_size_in_bytes();
        let held = (bytes.len() / width) as i64;
        if storage.elements != held || bytes.len() % width != 0 {
            return Err(broken("says another size than its data has"));
        }
        let (count, end) = described.extent(held).ok_or_else(|| broken("reaches beyond its data"))?;
        let left = self.allowance.checked_sub(count * width);
        self.allowance = left.ok_or_else(|| broken("makes the tensors larger than their file"))?;
        if count == 0 {
            return Ok(Tensor::zeros(&described.shape, (kind, tch::Device::Cpu)));
        }
        // Only the part that is used is copied: checkpoints hold views of large buffers.
        let used = &bytes[described.offset as usize * width..end * width];
        let flat = Tensor::from_data_size(used, &[(used.len() / width) as i64], kind);
        Ok(flat.as_strided(&described.shape, &described.strides, None).contiguous())
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
