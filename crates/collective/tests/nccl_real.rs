//! The real NCCL, as far as a machine without a GPU goes: it opens, tells its release and makes a unique id.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use collective::nccl::{Library, NcclError, Version};
use std::sync::Arc;

/// The library, or a word that the test is skipped.
fn real(test: &str) -> Option<Arc<Library>> {
    match Library::open() {
        Ok(library) => Some(library),
        Err(error @ NcclError::Missing { .. }) => {
            let required = std::env::var("REDDINO_REQUIRE").unwrap_or_default();
            assert!(
                !required.split(',').any(|what| what.trim() == "nccl"),
                "{test} needs NCCL, and REDDINO_REQUIRE names nccl: {error}"
            );
            #[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
            {
                eprintln!("SKIPPED: {test} needs NCCL: {error}");
            }
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn it_tells_its_release_and_makes_a_unique_id_without_a_gpu() {
    let Some(library) = real("it_tells_its_release_and_makes_a_unique_id_without_a_gpu") else { return };
    assert!(library.version().unwrap() >= Version(21800), "{}", library.version().unwrap());
    let (one, other) = (library.unique_id().unwrap(), library.unique_id().unwrap());
    assert_ne!(one, other, "each communicator gets a name of its own");
}
