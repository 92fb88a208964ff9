//! Any bytes are an image, or a reason why not.
#![no_main]

use intake::{IntakeLimits, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: quiet(), |bytes: &[u8]| {
    let limits = IntakeLimits { file_bytes: 1 << 20, pixels: 1 << 22 };
    if let Ok(image) = decode(bytes, limits) {
        let (width, height) = image.rgb.dimensions();
        assert!(u64::from(width) * u64::from(height) <= limits.pixels, "{width} x {height}");
    }
});

/// The fuzzer ends at a panic's hook; panics of decoders that the product catches are no findings. One that it does not catch ends
/// the run all the same.
fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}
