//! Whether an archive is what its description says is offered for download.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::DatasetError;
use crate::schema::Download;

/// Checks an archive against the digests of what is offered, where they are known: it must be one of them.
///
/// # Errors
/// It is none of them, or cannot be read.
pub(crate) fn check(downloads: &[Download], archive: &Path) -> Result<(), DatasetError> {
    let known: Vec<&String> = downloads.iter().filter_map(|download| download.sha256.as_ref()).collect();
    if known.is_empty() {
        return Ok(());
    }
    let found = digest(archive).map_err(|source| DatasetError::io("read", archive, source))?;
    match known.contains(&&found) {
        true => Ok(()),
        false => Err(DatasetError::OtherDigest { archive: archive.to_owned(), found }),
    }
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => sha.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_one_of_those_offered_or_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("a.zip");
        std::fs::write(&archive, "abc").expect("a file");
        // From FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let offered = |sha256: Option<&str>| Download { url: "https://x".into(), sha256: sha256.map(str::to_owned) };
        let other = "0".repeat(64);
        assert!(check(&[offered(Some(&other)), offered(Some(abc))], &archive).is_ok());
        assert!(check(&[offered(None)], &archive).is_ok());
        let error = check(&[offered(Some(&other)), offered(None)], &archive).expect_err("refused").to_string();
        assert!(error.contains("a.zip") && error.contains(abc), "{error}");
    }
}
