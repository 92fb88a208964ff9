//! Any bytes are a shard, or an error: opened as the one shard of a set, its rows decoded, the set verified.
#![no_main]

use libfuzzer_sys::fuzz_target;
use run_spec::ids::Digest;
use serde_json::{Value, json};
use shards::{FinishedShard, MANIFEST_KEY, Manifest, ShardSet, VerifyOptions, verify};
use store::Store;

/// A manifest of one shard.
const MANIFEST: &[u8] = include_bytes!("../../tests/golden/shards-v1/manifest.json");

fuzz_target!(init: quiet(), |bytes: &[u8]| {
    let mut manifest: Value = serde_json::from_slice(MANIFEST).expect("JSON");
    manifest["bytes"] = json!(bytes.len());
    manifest["shards"][0]["bytes"] = json!(bytes.len());
    manifest["shards"][0]["digest"] = json!(Digest::of(bytes).to_string());
    let manifest = serde_json::to_vec(&manifest).expect("JSON");
    let parsed = Manifest::parse(&manifest, "memory://fuzz").expect("a manifest");
    let (key, rows) = (parsed.shards[0].key.clone(), parsed.shards[0].rows);

    // One store for the whole process.
    let store = Store::open("memory://fuzz").expect("memory");
    for (key, bytes) in [(key.as_str(), bytes.to_vec()), (MANIFEST_KEY, manifest)] {
        let _ = store.delete(key);
        store.ensure(key, bytes.into()).expect("memory");
    }
    let _ = FinishedShard::find(&store, &key, rows, (parsed.product, parsed.codec));
    if let Ok(set) = ShardSet::open(&store) {
        for row in 0..set.len().min(4) {
            let _ = set.rgb(row);
        }
        let _ = verify(&store, VerifyOptions::default());
    }
});

/// The fuzzer ends when a panic reaches its hook. This hook ignores panics of decoders, which the product catches; a panic that the
/// product does not catch still ends the run.
fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}
