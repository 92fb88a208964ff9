//! Any bytes are an image, or a reason why not.
#![no_main]

use intake::{IntakeLimits, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = IntakeLimits { file_bytes: 1 << 20, pixels: 1 << 22 };
    if let Ok(image) = decode(bytes, limits) {
        let (width, height) = image.rgb.dimensions();
        assert!(u64::from(width) * u64::from(height) <= limits.pixels, "{width} x {height}");
    }
});
