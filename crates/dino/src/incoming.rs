//! A state that comes in as the bytes of a checkpoint, piece by piece: each piece goes straight to the tensors that it is of, so that
//! neither host nor device holds a second state.

use crate::{
    DinoError, State,
    params::check_shapes,
    state::Scaler,
    tensor_bytes::{BytesError, Header},
};
use std::ops::Range;
use tch::{Kind, Tensor};

/// A state that is being filled. What it held is lost with the first piece after the header.
#[derive(Debug)]
pub struct Incoming {
    what: String,
    places: Vec<Place>,
    /// Tensors that are no live ones of the state: counters and centres that are pending.
    apart: Vec<(String, Tensor)>,
    /// Bytes that have arrived, and how many there are in all.
    came: u64,
    length: u64,
}

/// Where the bytes of one tensor lie, and the tensor, flat.
#[derive(Debug)]
struct Place {
    bytes: Range<u64>,
    tensor: Tensor,
}

impl Place {
    /// Takes from `piece`, which begins at `at`, what belongs here. A piece begins and ends between two elements.
    fn take(&mut self, at: u64, piece: &[u8]) {
        let (start, end) = (self.bytes.start.max(at), self.bytes.end.min(at + piece.len() as u64));
        if start >= end {
            return;
        }
        let kind = self.tensor.kind();
        let size = kind.elt_size_in_bytes() as u64;
        let (first, count) = ((start - self.bytes.start) / size, (end - start) / size);
        let values = Tensor::from_data_size(&piece[(start - at) as usize..(end - at) as usize], &[count as i64], kind);
        tch::no_grad(|| self.tensor.narrow(0, first as i64, count as i64).copy_(&values));
    }
}

impl Incoming {
    /// Prepares `state` for the file that begins with `first`, its first piece, which holds the header; `what` names the file.
    ///
    /// # Errors
    /// A damaged header; any difference in names or shapes, all listed; nothing is changed then.
    pub fn of(state: &State, first: &[u8], what: &str) -> Result<Self, DinoError> {
        let header = Header::parse(first, what)?;
        let shapes: Vec<(String, Vec<i64>)> =
            header.tensors.iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect();
        check_shapes(what, &state.declared(|name| shapes.iter().any(|(n, _)| n == name)), &shapes)?;
        let live = state.tensors();
        let (mut places, mut apart) = (Vec::new(), Vec::new());
        for entry in header.tensors {
            let own = live.iter().find(|(name, t)| *name == entry.name && t.kind() == entry.kind && is_live(name));
            let tensor = match own {
                Some((_, t)) => t.shallow_clone(),
                None => {
                    let t = Tensor::zeros(&entry.shape, (entry.kind, tch::Device::Cpu));
                    apart.push((entry.name, t.shallow_clone()));
                    t
                }
            };
            places.push(Place { bytes: entry.bytes, tensor: tensor.view(-1) });
        }
        Ok(Self { what: what.to_owned(), places, apart, came: header.start, length: header.length })
    }

    /// Takes the bytes that begin at `at` of the file. The first piece is given here too.
    pub fn take(&mut self, at: u64, piece: &[u8]) {
        self.places.iter_mut().for_each(|place| place.take(at, piece));
        self.came = self.came.max(at + piece.len() as u64);
    }

    /// Puts values into `state` that are not tensors there, such as counters. Call it when all bytes have arrived.
    ///
    /// # Errors
    /// Bytes that are missing.
    pub fn finish(self, state: &mut State) -> Result<(), DinoError> {
        if self.came != self.length {
            return Err(BytesError::Short { what: self.what, bytes: self.came, expected: self.length }.into());
        }
        state.take_apart(&self.apart);
        Ok(())
    }
}

/// Whether it is memory of the state, and no number that is kept elsewhere.
pub(crate) fn is_live(name: &str) -> bool {
    !name.starts_with("center_pending.") && name != "adam.steps" && name != "scaler"
}

impl State {
    /// Names and shapes that a file must have; of centres that are pending, those that it `has`.
    pub(crate) fn declared(&self, has: impl Fn(&str) -> bool) -> Vec<(String, Vec<i64>)> {
        let pending = |name: &str| name.starts_with("center_pending.");
        let mut declared: Vec<(String, Vec<i64>)> =
            self.tensors().into_iter().filter(|(name, _)| !pending(name)).map(|(name, t)| (name, t.size())).collect();
        if self.has_centers() {
            for (name, center) in self.centers() {
                let name = format!("center_pending.{name}");
                if has(&name) {
                    declared.push((name, center.value.size()));
                }
            }
        }
        declared
    }

    /// Takes over counters, centres that are pending, and live tensors that came in another dtype.
    pub(crate) fn take_apart(&mut self, tensors: &[(String, Tensor)]) {
        let find = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        for (name, mut live) in self.tensors() {
            if let Some(saved) = find(&name).filter(|_| is_live(&name)) {
                // One by one, so that the device never holds two states.
                tch::no_grad(|| live.copy_(saved));
            }
        }
        let (kind, device): (Kind, _) = (self.settings.kind(), self.device);
        let held =
            |name: &str| find(&format!("center_pending.{name}")).map(|t| t.to_device(device).to_kind(kind).copy());
        self.center_dino.pending = held("dino");
        self.center_ibot.pending = held("ibot");
        if let (Some(scaler), Some(t)) = (&mut self.scaler, find("scaler")) {
            *scaler = Scaler { scale: t.double_value(&[0]), good_steps: t.double_value(&[1]) as u64 };
        }
        self.adam.steps = find("adam.steps").and_then(|t| u64::try_from(t.int64_value(&[0])).ok()).unwrap_or(0);
    }
}
