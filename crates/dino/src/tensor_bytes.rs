//! Named tensors as safetensors bytes and back. The same tensors always give the same bytes.

use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorInfo},
};
use std::collections::BTreeMap;
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

/// Where each tensor of a file lies: what comes before the tensors, and which tensor comes where.
#[derive(Debug)]
struct Places {
    /// Length of the header and the header.
    head: Vec<u8>,
    /// Index of each tensor and the offset of its bytes in the file, in the order of the file.
    order: Vec<(usize, usize)>,
    /// Bytes of the whole file.
    length: usize,
}

impl Places {
    /// The places that the safetensors crate gives `tensors`: those of larger elements first, then by name.
    fn of(tensors: &[(String, Tensor)], note: Option<(&str, &str)>) -> Result<Self, BytesError> {
        let format = |source| BytesError::Format { what: "the output".to_owned(), source };
        let mut order = Vec::with_capacity(tensors.len());
        for (index, (name, t)) in tensors.iter().enumerate() {
            order.push((dtype_of(name, t)?, name, index));
        }
        order.sort_by(|(dtype, name, _), (other, later, _)| other.cmp(dtype).then(name.cmp(later)));
        let mut end = 0;
        let info = |(dtype, name, index): &(Dtype, &String, usize)| {
            let t = &tensors[*index].1;
            let start = end;
            end += size_of(t);
            let shape = t.size().iter().map(|&n| n as usize).collect();
            ((*name).clone(), TensorInfo { dtype: *dtype, shape, data_offsets: (start, end) })
        };
        let infos: Vec<(String, TensorInfo)> = order.iter().map(info).collect();
        let starts: Vec<usize> = infos.iter().map(|(_, info)| info.data_offsets.0).collect();
        if let Some(pair) = infos.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(BytesError::Twice { name: pair[0].0.clone() });
        }
        let note = note.map(|(key, value)| [(key.to_owned(), value.to_owned())].into());
        let metadata = Metadata::new(note, infos).map_err(format)?;
        let mut header = serde_json::to_vec(&metadata).map_err(|error| format(error.into()))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut head = (header.len() as u64).to_le_bytes().to_vec();
        head.append(&mut header);
        let order = order.iter().zip(starts).map(|((_, _, index), start)| (*index, head.len() + start)).collect();
        Ok(Self { order, length: head.len() + end, head })
    }
}

fn dtype_of(name: &str, t: &Tensor) -> Result<Dtype, BytesError> {
    let dtype = KINDS.iter().find(|(_, kind)| *kind == t.kind());
    let (dtype, _) = dtype.ok_or_else(|| BytesError::Dtype {
        name: name.to_owned(),
        what: "the output".to_owned(),
        dtype: format!("{:?}", t.kind()),
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
    let Places { head, order, length } = Places::of(tensors, note)?;
    let mut out = vec![0; length];
    out[..head.len()].copy_from_slice(&head);
    for (index, at) in order {
        let t = tensors[index].1.detach().to_device(Device::Cpu).contiguous();
        let place = &mut out[at..at + size_of(&t)];
        if !place.is_empty() {
            t.copy_data_u8(place, t.numel());
        }
    }
    Ok(out)
}

/// About how many bytes [`to_bytes_with_facts`] gives.
///
/// # Errors
/// As [`to_bytes`].
pub fn length(tensors: &[(String, Tensor)]) -> Result<usize, BytesError> {
    Ok(Places::of(tensors, None)?.length)
}

/// Copies `tensors` from `device`, each once, into host memory, as the bytes that [`to_bytes_with_facts`] would give. `used`
/// is memory that is not needed any more, which is taken where it has about the right size.
///
/// # Errors
/// As [`to_bytes`].
pub fn copy_with_facts(
    tensors: &[(String, Tensor)],
    facts: &[(&str, String)],
    used: Option<HostBytes>,
    device: Device,
) -> Result<HostBytes, BytesError> {
    let Places { head, order, length } = Places::of(tensors, Some((FACTS_KEY, &facts_text(facts))))?;
    let mut out = used.and_then(|used| used.resized(length)).unwrap_or_else(|| HostBytes::zeros(length, device));
    out.write(0, &head);
    for (index, at) in order {
        out.copy(at, &tensors[index].1);
    }
    Ok(out)
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
        let copy = |used| copy_with_facts(&tensors, &facts, used, Device::Cpu).unwrap();
        let mut used = copy(None);
        assert_eq!(used.as_ref(), bytes);
        let place = used.as_ref().as_ptr();
        used.write(0, &vec![255; bytes.len()]);
        let again = copy(Some(used));
        assert_eq!((again.as_ref(), again.as_ref().as_ptr()), (&bytes[..], place));
        assert_eq!(copy(Some(HostBytes::zeros(1 << 20, Device::Cpu))).as_ref(), bytes, "far too large");
        assert!(length(&tensors).unwrap() <= bytes.len());
    }
}
