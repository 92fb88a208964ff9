//! A state on its way out: into the bytes of a checkpoint, or as tensors for whoever needs all of them. Moments that ranks share come
//! from each in turn, a stretch at a time, so that no device holds more than its own.

use crate::{
    DinoError, State,
    state::MOMENTS,
    tensor_bytes::{Described, HostCopy, Room},
};
use collective::Collective;
use std::ops::Range;
use tch::{Device, Tensor};
use torch_shim::host::HostBytes;

impl State {
    /// Name, dtype and shape of everything that a file of this state holds, sorted by name: those of [`State::tensors`], and of moments that
    /// ranks share.
    pub fn described(&self) -> Vec<Described> {
        let mut out: Vec<Described> = self.tensors().into_iter().map(|(name, t)| Described::of(name, &t)).collect();
        if self.adam.moments.are_shared() {
            for prefix in MOMENTS {
                let of = |(name, t)| Described::of(format!("{prefix}.{name}"), t);
                out.extend(self.student.params.iter().map(of));
            }
            out.sort_by(|a, b| a.name.cmp(&b.name));
        }
        out
    }

    /// Copies into host memory those bytes that `part` chooses of a file of this state with `facts`, given the number of all: see
    /// [`HostCopy`]. Where ranks share moments, every rank calls it: one that needs no bytes chooses none.
    ///
    /// # Errors
    /// A lost peer.
    pub fn copy_with_facts(
        &self,
        facts: &[(&str, String)],
        part: impl FnOnce(usize) -> Range<usize>,
        room: Room,
        peers: &dyn Collective,
    ) -> Result<HostBytes, DinoError> {
        let described = self.described();
        let number = |name: &str| described.binary_search_by(|of| of.name.as_str().cmp(name));
        let mut copy = HostCopy::begin(&described, facts, part, room)?;
        for (name, t) in self.tensors() {
            if let Ok(index) = number(&name) {
                copy.put(index, 0, &t);
            }
        }
        self.exchange(peers, &mut |name, first, values| {
            if let Ok(index) = number(name) {
                copy.put(index, first as usize, values);
            }
        })?;
        Ok(copy.end())
    }

    /// What [`State::tensors`] gives to a world of one: moments that ranks share are copies in host memory. Every rank calls it; they are
    /// missing for one that does not `want` them.
    ///
    /// # Errors
    /// A lost peer.
    pub fn gathered(&self, want: bool, peers: &dyn Collective) -> Result<Vec<(String, Tensor)>, DinoError> {
        let mut out = self.tensors();
        let mut whole: Vec<(String, Tensor)> = Vec::new();
        if want && self.adam.moments.are_shared() {
            for prefix in MOMENTS {
                let zeros = |t: &Tensor| Tensor::zeros(t.size(), (t.kind(), Device::Cpu));
                whole.extend(self.student.params.iter().map(|(name, t)| (format!("{prefix}.{name}"), zeros(t))));
            }
        }
        whole.sort_by(|a, b| a.0.cmp(&b.0));
        self.exchange(peers, &mut |name, first, values| {
            if let Ok(index) = whole.binary_search_by(|(of, _)| of.as_str().cmp(name)) {
                whole[index].1.view(-1).narrow(0, first, values.numel() as i64).copy_(values);
            }
        })?;
        out.append(&mut whole);
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(out)
    }

    /// Shows `see` the moments that ranks share: names, first elements, and the elements from there on, flat.
    fn exchange(&self, peers: &dyn Collective, see: &mut dyn FnMut(&str, i64, &Tensor)) -> Result<(), DinoError> {
        if !self.adam.moments.are_shared() {
            return Ok(());
        }
        self.adam.moments.verify_shares(self.settings.zero1, peers)?;
        self.adam.moments.exchange(peers, &mut |which, piece, values| {
            let name = format!("{}.{}", MOMENTS[which], self.student.params.at(piece.index).0);
            see(&name, piece.first, values);
        })
    }
}
