//! A state that comes in as the bytes of a checkpoint, piece by piece: each piece goes straight to the tensors that it is of, so that
//! neither host nor device holds a second state.

use crate::{
    DinoError, State,
    params::check_shapes,
    state::{MOMENTS, Scaler},
    tensor_bytes::{BytesError, Header},
};
use std::{collections::BTreeMap, ops::Range};
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

/// Where the bytes of one tensor, or of a part of it, lie, and the tensor, flat.
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
        let mut homes = state.homes();
        let (mut places, mut apart) = (Vec::new(), Vec::new());
        for entry in header.tensors {
            let own = homes.remove(&entry.name).filter(|_| entry.kind == state.settings.kind());
            let home = own.unwrap_or_else(|| {
                let t = Tensor::zeros(&entry.shape, (entry.kind, tch::Device::Cpu));
                apart.push((entry.name, t.shallow_clone()));
                vec![(0, t.view(-1))]
            });
            let size = entry.kind.elt_size_in_bytes() as u64;
            for (first, tensor) in home {
                let start = entry.bytes.start + first as u64 * size;
                places.push(Place { bytes: start..start + tensor.numel() as u64 * size, tensor });
            }
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
fn is_live(name: &str) -> bool {
    !name.starts_with("center_pending.") && name != "adam.steps" && name != "scaler"
}

impl State {
    /// Names and shapes that a file must have; of centres that are pending, those that it `has`.
    pub(crate) fn declared(&self, has: impl Fn(&str) -> bool) -> Vec<(String, Vec<i64>)> {
        let pending = |name: &str| name.starts_with("center_pending.");
        let described = self.described().into_iter().filter(|of| !pending(&of.name));
        let mut declared: Vec<(String, Vec<i64>)> = described.map(|of| (of.name, of.shape)).collect();
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

    /// Where the numbers of each tensor of a file have their place in this rank's memory: the first element, and the memory from there on,
    /// flat. Of moments that other ranks hold none has.
    fn homes(&self) -> BTreeMap<String, Vec<(i64, Tensor)>> {
        let live = self.tensors().into_iter().filter(|(name, _)| is_live(name));
        let mut homes: BTreeMap<String, Vec<(i64, Tensor)>> =
            live.map(|(name, t)| (name, vec![(0, t.view(-1))])).collect();
        let moments = &self.adam.moments;
        if moments.are_shared() {
            for prefix in MOMENTS {
                homes.extend(self.student.params.names().iter().map(|name| (format!("{prefix}.{name}"), Vec::new())));
            }
            for held in moments.held() {
                let (name, _) = self.student.params.at(held.piece.index);
                for (prefix, moment) in MOMENTS.iter().zip([&held.first, &held.second]) {
                    let home = homes.entry(format!("{prefix}.{name}")).or_default();
                    home.push((held.piece.first, moment.view(-1)));
                }
            }
        }
        homes
    }

    /// Takes over counters, centres that are pending, and live tensors that came in another dtype.
    pub(crate) fn take_apart(&mut self, tensors: &[(String, Tensor)]) {
        let find = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        for (name, home) in self.homes() {
            let Some(saved) = find(&name) else { continue };
            for (first, mut live) in home {
                // One by one, so that the device never holds two states.
                let saved = saved.reshape([-1]).narrow(0, first, live.numel() as i64);
                tch::no_grad(|| live.copy_(&saved));
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
