//! What a frozen model costs for each image: the other side of its score.

use crate::backbone::{BackboneShape, Feed};

/// Size of a model, and work for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Numbers that are trained, as far as features need them: no head, no mask token.
    pub parameters: u64,
    /// Floating-point operations of convolutions and matrix products, two a multiplication; what goes value by value is left out.
    pub flops: u64,
}

impl BackboneShape {
    /// The cost of the features of an image of `side` pixels, a multiple of the patch. Checked against torch's counter in
    /// `tests/golden/resnet/costs.json`.
    pub fn cost(&self, side: i64) -> Cost {
        let counted = |name: &str| name != "mask_token";
        let parameters =
            self.declare().iter().filter(|d| counted(&d.name)).map(|d| d.shape.iter().product::<i64>()).sum::<i64>();
        let patches = (side / self.patch).pow(2);
        let (t, d) = (1 + self.registers + patches, self.dim);
        let feed = match self.feed {
            Feed::Mlp { hidden } => 2 * hidden * d,
            Feed::SwiGlu { hidden } => 3 * hidden * d,
        };
        // Query, key, value and projection; then scores and their use.
        let block = t * (4 * d * d + feed) + 2 * t * t * d;
        let embedding = patches * d * 3 * self.patch * self.patch;
        Cost { parameters: parameters.unsigned_abs(), flops: 2 * (embedding + self.depth * block).unsigned_abs() }
    }
}
