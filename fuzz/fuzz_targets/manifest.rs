//! Any bytes are a manifest that writes itself the same way again, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shards::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes, "memory://fuzz/manifest.json") {
        let again = Manifest::parse(&manifest.to_bytes(), "again").expect("what was written is read");
        assert_eq!(again.digest(), manifest.digest());
    }
});
