//! Named tensors as safetensors bytes and back. The same tensors always give the same bytes.

use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorInfo},
};
use std::collections::BTreeMap;
use std::ops::Range;
use tch::{Device, Kind, Tensor};
use torch_shim::host::HostBytes;

/// Why bytes are not tensors, or tensors not bytes.
#[derive(Debug, thiserror::Error)]
pub enum BytesError {
    /// Not a safetensors file, or a damaged one.
    #[error("{what} is not a readable safetensors file ({source}); fetch or make it again")]
    Format {
        /// The file, in words.
        what: String,
        /// What the parser of safetensors said.
        source: safetensors::SafeTensorError,
    },
    /// An element type without a counterpart.
    #[error("tensor {name} of {what} has dtype {dtype}, which is not supported; store it as f32")]
    Dtype {
        /// Name of the tensor in the file.
        name: String,
        /// The file, in words.
        what: String,
        /// Its dtype, in words.
        dtype: String,
    },
    /// Two tensors of one name.
    #[error("two tensors are called {name}; give each a name of its own")]
    Twice {
        /// The name.
        name: String,
    },
    /// A file that ends too early.
    #[error("{what} ends after {bytes} of {expected} bytes; fetch or make it again")]
    Short {
        /// The file, in words.
        what: String,
        /// How many bytes there are.
        bytes: u64,
        /// How many its header speaks of.
        expected: u64,
    },
}

const KINDS: [(Dtype, Kind); 9] = [
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F16, Kind::Half),
    (Dtype::I64, Kind::Int64),
    (Dtype::I32, Kind::Int),
    (Dtype::I16, Kind::Int16),
    (Dtype::U8, Kind::Uint8),
    (Dtype::BOOL, Kind::Bool),
];

/// The key of a file's metadata under which [`to_bytes_with_facts`] writes.
pub const FACTS_KEY: &str = "reddino";

/// What a file says of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub kind: Kind,
    /// The sides of the tensor.
    pub shape: Vec<i64>,
}

impl Described {
    /// What a file says of `t`, a tensor of any shape, under this name.
    pub fn of(name: String, t: &Tensor) -> Self {
        Self { name, kind: t.kind(), shape: t.size() }
    }

    fn all(tensors: &[(String, Tensor)]) -> Vec<Self> {
        tensors.iter().map(|(name, t)| Self::of(name.clone(), t)).collect()
    }

    fn bytes(&self) -> usize {
        self.shape.iter().product::<i64>() as usize * self.kind.elt_size_in_bytes()
    }
}

/// Where each tensor of a file lies: what comes before the tensors, and where each begins.
#[derive(Debug)]
struct Places {
    /// Length of the header and the header.
    head: Vec<u8>,
    /// The offset of each tensor's bytes in the file, in the order in which the tensors were given.
    starts: Vec<usize>,
    /// Bytes of the whole file.
    length: usize,
}

impl Places {
    /// The places that the safetensors crate gives `tensors`: those of larger elements first, then by name.
    fn of(tensors: &[Described], note: Option<(&str, &str)>) -> Result<Self, BytesError> {
        let format = |source| BytesError::Format { what: "the output".to_owned(), source };
        let mut order = Vec::with_capacity(tensors.len());
        for (index, tensor) in tensors.iter().enumerate() {
            order.push((dtype_of(tensor)?, &tensor.name, index));
        }
        order.sort_by(|(dtype, name, _), (other, later, _)| other.cmp(dtype).then(name.cmp(later)));
        let mut end = 0;
        let info = |(dtype, name, index): &(Dtype, &String, usize)| {
            let tensor = &tensors[*index];
            let start = end;
            end += tensor.bytes();
            let shape = tensor.shape.iter().map(|&n| n as usize).collect();
            ((*name).clone(), TensorInfo { dtype: *dtype, shape, data_offsets: (start, end) })
        };
        let infos: Vec<(String, TensorInfo)> = order.iter().map(info).collect();
        let offsets: Vec<usize> = infos.iter().map(|(_, info)| info.data_offsets.0).collect();
        if let Some(pair) = infos.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(BytesError::Twice { name: pair[0].0.clone() });
        }
        let note = note.map(|(key, value)| [(key.to_owned(), value.to_owned())].into());
        let metadata = Metadata::new(note, infos).map_err(format)?;
        let mut header = serde_json::to_vec(&metadata).map_err(|error| format(error.into()))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut head = (header.len() as u64).to_le_bytes().to_vec();
        head.append(&mut header);
        let mut starts = vec![0; tensors.len()];
        for ((_, _, index), offset) in order.iter().zip(offsets) {
            starts[*index] = head.len() + offset;
        }
        Ok(Self { starts, length: head.len() + end, head })
    }
}

fn dtype_of(tensor: &Described) -> Result<Dtype, BytesError> {
    let dtype = KINDS.iter().find(|(_, kind)| *kind == tensor.kind);
    let (dtype, _) = dtype.ok_or_else(|| BytesError::Dtype {
        name: tensor.name.clone(),
        what: "the output".to_owned(),
        dtype: format!("{:?}", tensor.kind),
    })?;
    Ok(*dtype)
}

fn size_of(t: &Tensor) -> usize {
    t.numel() * t.kind().elt_size_in_bytes()
}

/// Writes `tensors` of any shape, from any device. `note` is one key and value of the header's metadata (one, because
/// the order of several is not fixed).
///
/// # Errors
/// A dtype that the format lacks, or a name given twice.
pub fn to_bytes(tensors: &[(String, Tensor)], note: Option<(&str, &str)>) -> Result<Vec<u8>, BytesError> {
    let Places { head, starts, length } = Places::of(&Described::all(tensors), note)?;
    let mut out = vec![0; length];
    out[..head.len()].copy_from_slice(&head);
    for ((_, t), at) in tensors.iter().zip(starts) {
        let t = t.detach().to_device(Device::Cpu).contiguous();
        let place = &mut out[at..at + size_of(&t)];
        if !place.is_empty() {
            t.copy_data_u8(place, t.numel());
        }
    }
    Ok(out)
}

/// What the header of a file says.
#[derive(Debug)]
pub(crate) struct Header {
    /// The tensors, in the order of the file.
    pub(crate) tensors: Vec<Entry>,
    /// Where the bytes of tensors begin.
    pub(crate) start: u64,
    /// Bytes of the whole file.
    pub(crate) length: u64,
}

/// One tensor of a file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<i64>,
    /// Its bytes in the file.
    pub(crate) bytes: Range<u64>,
}

impl Header {
    /// The header at the beginning of `bytes`, which need not be the whole file; `what` names the file.
    pub(crate) fn parse(bytes: &[u8], what: &str) -> Result<Self, BytesError> {
        // The crate reads headers of whole files alone.
        let (header, metadata) = match SafeTensors::read_metadata(bytes) {
            Ok(read) => read,
            Err(source) => of_beginning(bytes).ok_or_else(|| BytesError::Format { what: what.to_owned(), source })?,
        };
        let start = 8 + header as u64;
        let mut tensors = Vec::new();
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let kind = KINDS.iter().find(|(dtype, _)| *dtype == info.dtype);
            let (_, kind) = kind.ok_or_else(|| BytesError::Dtype {
                name: name.clone(),
                what: what.to_owned(),
                dtype: format!("{:?}", info.dtype),
            })?;
            let shape = info.shape.iter().map(|&n| n as i64).collect();
            let bytes = start + info.data_offsets.0 as u64..start + info.data_offsets.1 as u64;
            tensors.push(Entry { name, kind: *kind, shape, bytes });
        }
        Ok(Self { tensors, start, length: start + metadata.data_len() as u64 })
    }
}

/// Length and content of the header of a file of which only the beginning is there.
fn of_beginning(bytes: &[u8]) -> Option<(usize, Metadata)> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let metadata: Metadata = serde_json::from_slice(bytes.get(8..length.checked_add(8)?)?).ok()?;
    Some((length, metadata))
}

/// About how many bytes [`to_bytes_with_facts`] gives.
///
/// # Errors
/// As [`to_bytes`].
pub fn length(tensors: &[Described]) -> Result<usize, BytesError> {
    Ok(Places::of(tensors, None)?.length)
}

/// Host memory for a copy.
#[derive(Debug)]
pub struct Room {
    /// Memory that is not needed any more, which is taken where it has about the right size.
    pub used: Option<HostBytes>,
    /// Where the tensors are.
    pub device: Device,
}

/// A copy of tensors in host memory, under way, as the bytes that [`to_bytes_with_facts`] would give, or a part of these. Tensors are
/// put into it whole or in pieces, in any order, each element once.
#[derive(Debug)]
pub struct HostCopy {
    starts: Vec<usize>,
    part: Range<usize>,
    bytes: HostBytes,
}

impl HostCopy {
    /// Makes room for those bytes of a file of `tensors` that `part` chooses, given the number of all, and writes what of its header is
    /// among them. A part begins and ends between two multiples of 8, or at the end.
    ///
    /// # Errors
    /// As [`to_bytes`].
    pub fn begin(
        tensors: &[Described],
        facts: &[(&str, String)],
        part: impl FnOnce(usize) -> Range<usize>,
        room: Room,
    ) -> Result<Self, BytesError> {
        let Places { head, starts, length } = Places::of(tensors, Some((FACTS_KEY, &facts_text(facts))))?;
        let part = part(length);
        let zeros = || HostBytes::zeros(part.len(), room.device);
        let mut bytes = room.used.and_then(|used| used.resized(part.len())).unwrap_or_else(zeros);
        let head_end = head.len().min(part.end);
        if part.start < head_end {
            bytes.write(0, &head[part.start..head_end]);
        }
        Ok(Self { starts, part, bytes })
    }

    /// Copies what the part has of `values`, of any shape: in row order, the elements of tensor number `index` from element `first` on.
    pub fn put(&mut self, index: usize, first: usize, values: &Tensor) {
        let size = values.kind().elt_size_in_bytes();
        let at = self.starts[index] + first * size;
        let (start, end) = (at.max(self.part.start), (at + size_of(values)).min(self.part.end));
        if start >= end {
            return;
        }
        match end - start == size_of(values) {
            true => self.bytes.copy(start - self.part.start, values),
            false => {
                let (first, count) = ((start - at) / size, (end - start) / size);
                let flat = values.detach().contiguous().view(-1);
                self.bytes.copy(start - self.part.start, &flat.narrow(0, first as i64, count as i64));
            }
        }
    }

    /// The bytes, once all tensors were put.
    pub fn end(self) -> HostBytes {
        self.bytes
    }
}

fn facts_text(facts: &[(&str, String)]) -> String {
    // Sorted by key.
    let facts: BTreeMap<&str, &str> = facts.iter().map(|(key, value)| (*key, value.as_str())).collect();
    serde_json::json!(facts).to_string()
}

/// Writes `tensors` of any shape with `facts` about them, as JSON under the key `reddino` of the header's metadata.
/// Equal tensors and facts give equal bytes.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_bytes_with_facts(tensors: &[(String, Tensor)], facts: &[(&str, String)]) -> Result<Vec<u8>, BytesError> {
    to_bytes(tensors, Some((FACTS_KEY, &facts_text(facts))))
}

/// Reads all tensors, of the shapes that the header says, on the CPU, sorted by name. `what` names the file in messages.
///
/// # Errors
/// Damaged bytes, or a dtype that tensors lack.
pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Vec<(String, Tensor)>, BytesError> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|source| BytesError::Format { what: what.to_owned(), source })?;
    let mut out = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        let kind = KINDS.iter().find(|(dtype, _)| *dtype == view.dtype());
        let (_, kind) = kind.ok_or_else(|| BytesError::Dtype {
            name: name.to_owned(),
            what: what.to_owned(),
            dtype: format!("{:?}", view.dtype()),
        })?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        // from_data_size copies, so an unaligned view is fine.
        let tensor = match view.data().is_empty() {
            true => Tensor::zeros(&shape, (*kind, Device::Cpu)),
            false => Tensor::from_data_size(view.data(), &shape, *kind),
        };
        out.push((name.to_owned(), tensor));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_survive_the_round_trip_and_bytes_are_the_same_each_time() {
        let tensors = vec![
            ("b".to_owned(), Tensor::from_slice(&[1.5_f32, -2.0]).view([2, 1])),
            ("a".to_owned(), Tensor::from_slice(&[7_i64])),
            ("empty".to_owned(), Tensor::zeros([0, 3], (Kind::Double, Device::Cpu))),
            ("mask".to_owned(), Tensor::from_slice(&[true, false])),
            ("scalar".to_owned(), Tensor::from(2.5_f64)),
        ];
        let bytes = to_bytes(&tensors, Some(("note", "{}"))).unwrap();
        assert_eq!(bytes, to_bytes(&tensors, Some(("note", "{}"))).unwrap());
        let back = from_bytes(&bytes, "a test").unwrap();
        assert_eq!(back.len(), tensors.len());
        for (name, t) in &tensors {
            let (_, b) = back.iter().find(|(n, _)| n == name).unwrap();
            assert_eq!((b.size(), b.kind()), (t.size(), t.kind()), "{name}");
            assert!(b.equal(t), "{name}");
        }
        assert!(from_bytes(&bytes[..bytes.len() - 1], "a test").is_err());
        let twice = [tensors[1].0.clone(), tensors[1].0.clone()].map(|name| (name, Tensor::from(1.0)));
        assert!(matches!(to_bytes(&twice, None), Err(BytesError::Twice { name }) if name == "a"));
    }

    #[test]
    fn bytes_are_those_of_the_safetensors_crate_and_a_copy_has_the_same_whatever_its_memory_held() {
        let tensors = [
            ("wide".to_owned(), Tensor::from_slice(&[1.5_f64, 2.5])),
            ("turned".to_owned(), Tensor::from_slice(&[1_f32, 2., 3., 4., 5., 6.]).view([2, 3]).transpose(0, 1)),
            ("also".to_owned(), Tensor::from_slice(&[7_f32])),
            ("mask".to_owned(), Tensor::from_slice(&[true, false, true])),
            ("none".to_owned(), Tensor::zeros([0], (Kind::Float, Device::Cpu))),
        ];
        let facts = [("step", "3".to_owned()), ("config", "abc".to_owned())];
        let bytes = to_bytes_with_facts(&tensors, &facts).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(safetensors::serialize(read.iter(), header.metadata().clone()).unwrap(), bytes);
        let room = |used| Room { used, device: Device::Cpu };
        let copy_of = |part: Option<Range<usize>>, used| {
            let described = Described::all(&tensors);
            let mut copy = HostCopy::begin(&described, &facts, |all| part.unwrap_or(0..all), room(used)).unwrap();
            for (index, (_, t)) in tensors.iter().enumerate() {
                copy.put(index, 0, t);
            }
            copy.end()
        };
        let copy = |used| copy_of(None, used);
        for cut in (0..=bytes.len()).step_by(8) {
            let parts = [0..cut, cut..bytes.len()].map(|range| copy_of(Some(range), None));
            assert_eq!([parts[0].as_ref(), parts[1].as_ref()].concat(), bytes, "cut at {cut}");
        }
        let mut used = copy(None);
        assert_eq!(used.as_ref(), bytes);
        let place = used.as_ref().as_ptr();
        used.write(0, &vec![255; bytes.len()]);
        let again = copy(Some(used));
        assert_eq!((again.as_ref(), again.as_ref().as_ptr()), (&bytes[..], place));
        assert_eq!(copy(Some(HostBytes::zeros(1 << 20, Device::Cpu))).as_ref(), bytes, "far too large");
        assert!(length(&Described::all(&tensors)).unwrap() <= bytes.len());
    }
}
