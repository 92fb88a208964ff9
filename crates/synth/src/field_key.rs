//! Which field is drawn, and the random streams that follow from it.

use run_spec::seed::{Stream, stream};

/// Which image: everything that a field depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FieldKey {
    pub(crate) seed: u64,
    /// Index in the catalogue.
    pub(crate) source: usize,
    /// Slide number; evaluation slides have numbers that training slides never have.
    pub(crate) slide: u64,
    pub(crate) field: u64,
}

impl FieldKey {
    /// The field's own random stream for one purpose.
    pub(crate) fn stream(&self, domain: &str) -> Stream {
        stream(self.seed, domain, &[self.source as u64, self.slide, self.field])
    }

    /// The random stream that all fields of the slide share.
    pub(crate) fn slide_stream(&self) -> Stream {
        stream(self.seed, "synth/slide", &[self.source as u64, self.slide])
    }

    /// The random stream that all slides of the source share.
    pub(crate) fn source_stream(&self) -> Stream {
        stream(self.seed, "synth/source", &[self.source as u64])
    }
}
