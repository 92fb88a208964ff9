//! Store addresses: a path, `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`,
//! `memory://name`.

use crate::StoreError;
use crate::error::without_userinfo;
use crate::key::verify_key;
use std::path::PathBuf;

/// A parsed address. `prefix` has no slash at either end and may be empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// The absolute path of a directory.
    Directory(PathBuf),
    /// A bucket (Azure: a container) and a prefix in it.
    Bucket { service: Service, bucket: String, prefix: String },
    /// A named store in this process.
    Memory { name: String, prefix: String },
}

/// Who keeps a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// S3, or a server that speaks its protocol.
    S3,
    /// Google Cloud Storage, addressed as `gs://`.
    Google,
    /// Azure Blob Storage, addressed as `az://`.
    Azure,
}

impl Service {
    const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];

    /// What stands before `://`.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// Folder and last part of the address of a file.
///
/// # Errors
/// [`StoreError::NotAFile`], [`StoreError::Misspelt`].
pub(crate) fn folder_and_name(uri: &str) -> Result<(&str, &str), StoreError> {
    refuse_misspelt(uri)?;
    match uri.rsplit_once('/') {
        Some((_, "")) => Err(StoreError::NotAFile { uri: shown(uri) }),
        Some((folder, name)) => Ok((if folder.is_empty() { "/" } else { folder }, name)),
        None => Ok((".", uri)),
    }
}

impl Location {
    /// Reads an address.
    ///
    /// # Errors
    /// [`StoreError::BadUri`] and [`StoreError::Misspelt`], never echoing credentials.
    pub(crate) fn parse(uri: &str) -> Result<Self, StoreError> {
        refuse_misspelt(uri)?;
        let bad = |why: &str| StoreError::BadUri { uri: shown(uri), why: why.to_owned() };
        let Some((scheme, rest)) = uri.split_once("://") else {
            if uri.is_empty() {
                return Err(bad("it is empty"));
            }
            let path = std::path::absolute(uri).map_err(|e| bad(&e.to_string()))?;
            return directory(path, uri);
        };
        if let Some(service) = Service::ALL.into_iter().find(|service| service.scheme() == scheme) {
            let (bucket, prefix) = host_and_prefix(rest).map_err(|why| bad(&why))?;
            return Ok(Self::Bucket { service, bucket, prefix });
        }
        match scheme {
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(bad("file:// needs an absolute path, as in file:///data"));
                }
                let path = percent_decoded(path).ok_or_else(|| bad("its percent escapes are not UTF-8"))?;
                directory(PathBuf::from(path), uri)
            }
            "memory" => {
                let (name, prefix) = host_and_prefix(rest).map_err(|why| bad(&why))?;
                Ok(Self::Memory { name, prefix })
            }
            _ => Err(bad("its scheme is unknown")),
        }
    }

    /// The address as shown in messages: normalised, without credentials.
    pub(crate) fn uri(&self) -> String {
        let tail = |prefix: &str| {
            if prefix.is_empty() { String::new() } else { format!("/{prefix}") }
        };
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Bucket { service, bucket, prefix } => format!("{}://{bucket}{}", service.scheme(), tail(prefix)),
            Self::Memory { name, prefix } => format!("memory://{name}{}", tail(prefix)),
        }
    }
}

/// Refuses a path that begins as the address of a bucket or file would, without its `://`: `s3:/bucket`, `s3:bucket`,
/// `s3//bucket`, `file:/data`. It would be taken for a folder of the working folder.
fn refuse_misspelt(uri: &str) -> Result<(), StoreError> {
    let Some((name, rest)) = uri.find([':', '/']).map(|at| uri.split_at(at)) else { return Ok(()) };
    if rest.starts_with("://") || !(rest.starts_with(':') || rest.starts_with("//")) {
        return Ok(());
    }
    let mut schemes = Service::ALL.map(Service::scheme).into_iter().chain(["file"]);
    let Some(scheme) = schemes.find(|scheme| scheme.eq_ignore_ascii_case(name)) else { return Ok(()) };
    let slashes = if scheme == "file" { ":///" } else { "://" };
    let rest = without_secrets(rest.trim_start_matches([':', '/']));
    Err(StoreError::Misspelt { uri: without_secrets(uri), meant: format!("{scheme}{slashes}{rest}") })
}

/// An address that cannot be read, without what may be credentials: what stands before `@`, and what follows `?`.
fn without_secrets(uri: &str) -> String {
    let uri = uri.split('?').next().unwrap_or_default();
    uri.rsplit_once('@').map_or_else(|| uri.to_owned(), |(_, rest)| format!("***@{rest}"))
}

fn shown(uri: &str) -> String {
    let end = uri.find(['?']).filter(|_| uri.contains("://")).unwrap_or(uri.len());
    without_userinfo(&uri[..end])
}

fn directory(path: PathBuf, uri: &str) -> Result<Location, StoreError> {
    let bad = |why: &str| StoreError::BadUri { uri: shown(uri), why: why.to_owned() };
    if path.to_str().is_none() {
        return Err(bad("the path is not UTF-8"));
    }
    // `..` would be resolved differently by the operating system (after symbolic links) and by a key.
    if path.components().any(|c| matches!(c, std::path::Component::ParentDir)) {
        let parent = path.canonicalize().map_err(|_| bad("it climbs with .. through a missing directory"))?;
        return Ok(Location::Directory(parent));
    }
    Ok(Location::Directory(path.components().collect()))
}

fn host_and_prefix(rest: &str) -> Result<(String, String), String> {
    if rest.contains('@') {
        return Err("credentials belong in the environment, never in an address".into());
    }
    if rest.contains(['?', '#']) {
        return Err("it has a query or a fragment".into());
    }
    let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if host.is_empty() || !host.chars().all(good) {
        return Err("the name after :// is missing or has odd characters".into());
    }
    let prefix = prefix.trim_end_matches('/');
    if !prefix.is_empty() {
        verify_key(prefix).map_err(|e| match e {
            StoreError::BadKey { why, .. } => format!("prefix: {why}"),
            other => other.to_string(),
        })?;
    }
    Ok((host.to_owned(), prefix.to_owned()))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let directory = |p: &str| Location::Directory(p.into());
        assert_eq!(Location::parse("/data/x/").unwrap(), directory("/data/x"));
        assert_eq!(Location::parse("file:///data/a%20b").unwrap(), directory("/data/a b"));
        for (scheme, service) in [("s3", Service::S3), ("gs", Service::Google), ("az", Service::Azure)] {
            let read = Location::parse(&format!("{scheme}://bucket/a/b/")).unwrap();
            assert_eq!(read, Location::Bucket { service, bucket: "bucket".into(), prefix: "a/b".into() });
            assert_eq!(read.uri(), format!("{scheme}://bucket/a/b"));
        }
        assert_eq!(Location::parse("memory://t").unwrap().uri(), "memory://t");
        assert!(matches!(Location::parse("relative/dir").unwrap(), Location::Directory(p) if p.is_absolute()));
    }

    #[test]
    fn the_address_of_a_file_is_its_folder_and_its_name() {
        assert_eq!(folder_and_name("s3://bucket/a/rows.jsonl").unwrap(), ("s3://bucket/a", "rows.jsonl"));
        assert_eq!(folder_and_name("/rows.jsonl").unwrap(), ("/", "rows.jsonl"));
        assert_eq!(folder_and_name("rows.jsonl").unwrap(), (".", "rows.jsonl"));
        assert!(matches!(folder_and_name("s3://bucket/a/"), Err(StoreError::NotAFile { .. })));
    }

    #[test]
    fn a_misspelt_address_of_a_bucket_is_not_taken_for_a_folder() {
        for (written, meant) in [
            ("s3:/bucket/x", "s3://bucket/x"),
            ("s3:bucket/x", "s3://bucket/x"),
            ("s3//bucket/x", "s3://bucket/x"),
            ("S3:/bucket", "s3://bucket"),
            ("gs:/bucket", "gs://bucket"),
            ("az:container", "az://container"),
            ("file:/data/x", "file:///data/x"),
        ] {
            let text = Location::parse(written).unwrap_err().to_string();
            assert!(text.contains(&format!("write {meant},")) && text.contains(&format!("./{written} ")), "{text}");
            let file = folder_and_name(&format!("{written}/w.pth")).unwrap_err().to_string();
            assert!(file.contains(&format!("write {meant}/w.pth,")), "{file}");
        }
        for folder in ["./s3:/bucket", "./s3//bucket", "s3/bucket", "s3", "/s3//bucket", "s3x:/bucket"] {
            assert!(matches!(Location::parse(folder), Ok(Location::Directory(_))), "{folder}");
        }
        for secret in ["s3:/AKIA:secret@bucket/x", "az:AKIA/x?sig=secret"] {
            let text = Location::parse(secret).unwrap_err().to_string();
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn bad_addresses_name_the_remedy_and_hide_secrets() {
        for bad in ["", "ftp://x/y", "s3://", "s3:///x", "s3://b/../c", "file://relative", "s3://b/x?versionId=1"] {
            let text = Location::parse(bad).unwrap_err().to_string();
            assert!(text.contains("s3://bucket/prefix"), "{text}");
        }
        for secret in ["s3://AKIA:secret@bucket/x", "az://AKIA/x?sig=secret"] {
            let text = Location::parse(secret).unwrap_err().to_string();
            assert!(!text.contains("secret"), "{text}");
        }
        let text = Location::parse("s3://AKIA:secret@bucket/x").unwrap_err().to_string();
        assert!(!text.contains("AKIA"), "{text}");
    }
}
