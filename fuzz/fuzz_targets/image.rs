//! Any bytes are an image, or a reason why not.
#![no_main]

use imaging::{DecodeLimits, decode, decode_page, numbers, pages};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: quiet(), |bytes: &[u8]| {
    let limits = DecodeLimits { file_bytes: 1 << 20, pixels: 1 << 22, setting: None };
    let last = pages(bytes).len() as u32;
    for image in [decode(bytes, limits), decode_page(bytes, last, limits)].into_iter().flatten() {
        let (width, height) = image.rgb.dimensions();
        assert!(u64::from(width) * u64::from(height) <= limits.pixels, "{width} x {height}");
    }
    if let Ok(masks) = numbers(bytes, limits) {
        assert_eq!(u64::from(masks.width) * u64::from(masks.height), masks.values.len() as u64);
    }
});

/// The fuzzer ends when a panic reaches its hook. This hook ignores panics of decoders, which the product catches; a panic that the
/// product does not catch still ends the run.
fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}
