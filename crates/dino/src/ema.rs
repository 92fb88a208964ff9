//! The teacher follows the student: an exponential moving average of the weights (recipe §2.7).

use crate::{DinoError, params::Parameters};
use torch_shim::optimise;

/// `teacher ← momentum · teacher + (1 − momentum) · student`, for every parameter.
///
/// # Errors
/// What LibTorch refuses.
pub fn update(teacher: &Parameters, student: &Parameters, momentum: f64) -> Result<(), DinoError> {
    Ok(optimise::lerp_(teacher.tensors(), student.tensors(), 1.0 - momentum)?)
}
