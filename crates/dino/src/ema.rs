//! The teacher follows the student: an exponential moving average of the weights (recipe §2.7).

use crate::{DinoError, params::Parameters};
use tch::{Kind, Tensor};
use torch_shim::optimise;

/// `teacher ← momentum · teacher + (1 − momentum) · student`, for every parameter, where `taken` `[]` is 1; where it is 0 nothing changes.
///
/// # Errors
/// What LibTorch refuses.
pub fn update(teacher: &Parameters, student: &Parameters, momentum: f64, taken: &Tensor) -> Result<(), DinoError> {
    let Some(first) = teacher.tensors().first() else { return Ok(()) };
    let weight = (taken.to_kind(Kind::Double) * (1.0 - momentum)).to_kind(first.kind());
    Ok(optimise::lerp_by_tensor_(teacher.tensors(), student.tensors(), &weight)?)
}
