//! What is to be fetched of a dataset: `downloads` of a description.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::RuleError;

/// A file that is offered for download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// Where it is offered; a page, where each file has no address of its own.
    pub url: String,
    /// SHA-256 of the file, 64 hexadecimal digits, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Download {
    /// # Errors
    /// An address or a digest that cannot be one.
    pub(crate) fn check(&self) -> Result<(), RuleError> {
        let wrong = |message: String| Err(RuleError::new("downloads", message));
        if !["https://", "http://", "ftp://", "s3://"].iter().any(|scheme| self.url.starts_with(scheme)) {
            return wrong(format!("`{}` is not an address; write https://…", self.url));
        }
        if let Some(digest) = &self.sha256 {
            let plain = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
            if !plain {
                return wrong(format!("sha256 `{digest}` is not 64 lower-case hexadecimal digits"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_digest_are_checked() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let offered = |url: &str, sha256: &str| Download { url: url.into(), sha256: Some(sha256.to_owned()) };
        assert!(offered("https://x", digest).check().is_ok());
        assert!(offered("https://x", "ABC").check().is_err());
        assert!(offered("zenodo", digest).check().is_err());
    }
}
