//! What is to be fetched of a dataset, and whether an archive is what was fetched.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file that is offered for download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Download {
    /// Where it is offered; a page, where each file has no address of its own.
    pub(crate) url: String,
    /// SHA-256 of the file, 64 hexadecimal digits, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

impl Download {
    /// # Errors
    /// An address or a digest that is none.
    pub(crate) fn check(&self) -> Result<()> {
        let known = ["https://", "http://", "ftp://", "s3://"].iter().any(|scheme| self.url.starts_with(scheme));
        ensure!(known, "downloads: `{}` is no address; write https://…", self.url);
        if let Some(digest) = &self.sha256 {
            let plain = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
            ensure!(plain, "downloads: sha256 `{digest}` is not 64 lower-case hexadecimal digits");
        }
        Ok(())
    }
}

/// Checks an archive against the digests of what is offered, where they are known: it must be one of them.
///
/// # Errors
/// It is none of them, or cannot be read.
pub(crate) fn check(downloads: &[Download], archive: &Path) -> Result<()> {
    let known: Vec<&String> = downloads.iter().filter_map(|download| download.sha256.as_ref()).collect();
    if known.is_empty() {
        return Ok(());
    }
    let found = digest(archive).with_context(|| format!("read {}", archive.display()))?;
    ensure!(
        known.contains(&&found),
        "{} has SHA-256 {found}, which is none of those in `downloads`: fetch it again, or correct the description if the dataset has a new \
         version",
        archive.display()
    );
    Ok(())
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
        assert!(offered(Some("ABC")).check().is_err());
        assert!(Download { url: "zenodo".into(), sha256: None }.check().is_err());
    }
}
