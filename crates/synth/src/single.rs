//! Draws and lengths in single precision, in which everything on the glass is computed.

use run_spec::seed::Stream;

/// A uniform draw in single precision.
pub(crate) fn between(stream: &mut Stream, lo: f32, hi: f32) -> f32 {
    stream.uniform(f64::from(lo), f64::from(hi)) as f32
}

/// Length of a vector. (`hypot` guards against overflow, at five times the price.)
pub(crate) fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// A normal draw in single precision, cut at three standard deviations.
pub(crate) fn gauss(stream: &mut Stream, deviation: f32) -> f32 {
    stream.normal().clamp(-3.0, 3.0) as f32 * deviation
}
