//! A dataset that still lies in its archive: a zip, a tar or a tar.gz, listed and read in place.
//!
//! Nothing is ever unpacked under a name, so no name can lead anywhere. A zip and a tar are entered in the middle; a
//! tar.gz cannot be, and is inflated once into a nameless temporary file. Sizes that an archive declares are not believed:
//! every read ends at a limit.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use super::file_part::FilePart;
use super::listing::{Listing, RefusedFile};
use crate::error::ArchiveError;

/// Endings under which an archive of a dataset is looked for.
pub(crate) const ENDINGS: [&str; 4] = ["zip", "tar", "tar.gz", "tgz"];

/// An archive that is read in place, and where each of its members lies.
#[derive(Debug)]
pub struct Archive {
    container: Container,
    members: BTreeMap<String, Member>,
    refused: Vec<RefusedFile>,
}

/// The open file, by the format of the archive.
#[derive(Debug)]
enum Container {
    Zip(Box<zip::ZipArchive<FilePart>>),
    Tar(FilePart),
}

/// Where a member lies in its archive.
#[derive(Debug, Clone, Copy)]
struct Member {
    /// Number of the member in a zip; its first byte in a tar.
    at: u64,
    /// Its size in bytes, as the archive declares it.
    size: u64,
}

impl Archive {
    /// Lists the members of the archive at `path`, whose kind is read from its content.
    ///
    /// # Errors
    /// A file that is not an archive or a damaged one; a tar.gz that inflates to more than `max_inflated` bytes.
    pub(super) fn open(path: &Path, max_inflated: u64) -> Result<Self, ArchiveError> {
        let mut file = File::open(path)?;
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(512).read_to_end(&mut head)?;
        file.rewind()?;
        match head.as_slice() {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::zip(FilePart::whole(file)?),
            [0x1f, 0x8b, ..] => Self::tar(FilePart::whole(inflate(file, max_inflated)?)?),
            head if head.get(257..262) == Some(b"ustar") => Self::tar(FilePart::whole(file)?),
            _ => Err(ArchiveError::UnknownKind),
        }
    }

    fn zip(cursor: FilePart) -> Result<Self, ArchiveError> {
        // It begins at the file's first byte (checked above); what the crate detects by itself can be bytes of a stored member.
        let config = zip::read::Config { archive_offset: zip::read::ArchiveOffset::Known(0) };
        let mut zip = zip::ZipArchive::with_config(config, cursor).map_err(ArchiveError::Zip)?;
        let mut found = Members::default();
        for index in 0..zip.len() {
            let member = zip.by_index_raw(index).map_err(|error| ArchiveError::ZipMember { index, error })?;
            let refusal = if member.is_symlink() {
                Some("link in an archive")
            } else if member.encrypted() {
                Some("member is encrypted")
            } else {
                None
            };
            if !member.is_dir() {
                found.add(member.name_raw(), Member { at: index as u64, size: member.size() }, refusal);
            }
        }
        Ok(found.into_archive(Container::Zip(Box::new(zip))))
    }

    fn tar(cursor: FilePart) -> Result<Self, ArchiveError> {
        let mut found = Members::default();
        let mut tar = tar::Archive::new(cursor.clone());
        let damaged = |members, error| ArchiveError::Tar { members, error };
        for (number, member) in tar.entries_with_seek().map_err(|error| damaged(0, error))?.enumerate() {
            let member = member.map_err(|error| damaged(number, error))?;
            let kind = member.header().entry_type();
            let at = Member { at: member.raw_file_position(), size: member.size() };
            let refusal = if kind.is_symlink() || kind.is_hard_link() {
                Some("link in an archive")
            } else if !kind.is_file() {
                Some("neither file nor folder")
            } else if at.at.checked_add(at.size).is_none_or(|end| end > cursor.size()) {
                Some("the archive ends before this file does")
            } else {
                None
            };
            if !kind.is_dir() && !kind.is_pax_global_extensions() {
                found.add(&member.path_bytes(), at, refusal);
            }
        }
        Ok(found.into_archive(Container::Tar(cursor)))
    }

    /// Enters the one folder that holds everything: hosts of repositories (`REPOSITORY-COMMIT/…`) and programs that zip a folder wrap a
    /// dataset so, and unpacked it would be that folder. It stays a part of the paths where the description `names` it, or where
    /// more paths are images with it.
    pub(super) fn enter_top(&mut self, is_image: impl Fn(&str) -> bool, names: impl Fn(&str) -> bool) {
        let Some(top) = self.members.keys().next().and_then(|name| name.split_once('/')).map(|(top, _)| top.to_owned())
        else {
            return;
        };
        let below = |name: &str| name.strip_prefix(&top).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
        let Some(inner) = self.members.keys().map(|name| below(name)).collect::<Option<Vec<String>>>() else { return };
        let without = inner.iter().filter(|name| is_image(name)).count();
        let with = self.members.keys().filter(|name| is_image(name)).count();
        let wraps = with == 0 || (without >= with && !names(&top));
        if without > 0 && wraps {
            self.members = inner.into_iter().zip(std::mem::take(&mut self.members).into_values()).collect();
            for refused in &mut self.refused {
                refused.path = below(&refused.path).unwrap_or(std::mem::take(&mut refused.path));
            }
        }
    }

    /// All members that are files, and those that are refused.
    pub(super) fn list(&self) -> Listing {
        Listing { files: self.members.keys().cloned().collect(), refused: self.refused.clone() }
    }

    /// Declared bytes of the member `path`; 0 if there is no such member.
    pub(super) fn size(&self, path: &str) -> u64 {
        self.members.get(path).map_or(0, |member| member.size)
    }

    /// Reads the member `path` whole, if it has at most `limit` bytes. The error is a reason for the report.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        let member = *self.members.get(path).ok_or("no such file")?;
        if member.size > limit {
            return Err(format!("file of {} bytes is over the limit of {limit}", member.size));
        }
        let bytes = self.start(member, limit.saturating_add(1))?;
        if bytes.len() as u64 > limit {
            return Err(format!("file inflates to more than the limit of {limit} bytes"));
        }
        Ok(bytes)
    }

    /// The member `path`, to be read in the middle. The error is a reason for the report.
    pub(super) fn part(&self, path: &str) -> Result<FilePart, String> {
        let member = *self.members.get(path).ok_or("no such file")?;
        match &self.container {
            Container::Tar(cursor) => Ok(cursor.part(member.at, member.size)),
            Container::Zip(_) => {
                Err("a slide in a zip cannot be read in parts; unpack it, or pack the folder as tar".to_owned())
            }
        }
    }

    /// The first `most` bytes of the member `path`; nothing where it cannot be read.
    pub(super) fn head(&self, path: &str, most: u64) -> Vec<u8> {
        self.members.get(path).and_then(|member| self.start(*member, most).ok()).unwrap_or_default()
    }

    fn start(&self, member: Member, most: u64) -> Result<Vec<u8>, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read from the archive ({error})");
        let mut bytes = Vec::new();
        match &self.container {
            Container::Zip(zip) => {
                let mut zip = zip.clone();
                let file = zip.by_index(member.at as usize).map_err(|error| unreadable(&error))?;
                file.take(most).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
            }
            Container::Tar(cursor) => {
                let mut part = cursor.part(member.at, member.size.min(most));
                part.read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
            }
        }
        Ok(bytes)
    }
}

/// The members of an archive while it is listed.
#[derive(Default)]
struct Members {
    members: BTreeMap<String, Member>,
    refused: Vec<RefusedFile>,
}

impl Members {
    fn add(&mut self, name: &[u8], member: Member, refusal: Option<&str>) {
        let shown = || String::from_utf8_lossy(name).into_owned();
        let mut refuse = |reason: &str| self.refused.push(RefusedFile { path: shown(), reason: reason.to_owned() });
        match (plain(name), refusal) {
            (Ok(None), _) => {}
            (Err(reason), _) | (Ok(Some(_)), Some(reason)) => refuse(reason),
            (Ok(Some(path)), None) if self.members.contains_key(&path) => {
                refuse("name occurs again in the archive; the first file is read");
            }
            (Ok(Some(path)), None) => {
                self.members.insert(path, member);
            }
        }
    }

    fn into_archive(mut self, container: Container) -> Archive {
        self.refused.sort_by(|a, b| a.path.cmp(&b.path));
        Archive { container, members: self.members, refused: self.refused }
    }
}

/// The path of a member inside the dataset; nothing for a hidden one, which is passed over as in a folder.
fn plain(name: &[u8]) -> Result<Option<String>, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "name is not UTF-8")?;
    let name = name.strip_prefix("./").unwrap_or(name);
    if name.contains(['\\', '\0']) {
        return Err("name contains a backslash or a zero byte");
    }
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err("name leads out of the archive");
    }
    if name.split('/').any(|part| part.is_empty() || part == ".") {
        return Err("name is not a plain path");
    }
    Ok((!name.split('/').any(|part| part.starts_with('.'))).then(|| name.to_owned()))
}

/// Inflates into a temporary file without a name, which is gone when it is closed.
fn inflate(file: File, limit: u64) -> Result<File, ArchiveError> {
    let mut plain = tempfile::tempfile().map_err(ArchiveError::Temporary)?;
    let mut inflated = flate2::read::MultiGzDecoder::new(BufReader::new(file)).take(limit.saturating_add(1));
    let size = io::copy(&mut inflated, &mut plain).map_err(ArchiveError::Inflate)?;
    if size > limit { Err(ArchiveError::TooLarge { limit }) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused_and_hidden_ones_passed_over() {
        for (name, expected) in [
            ("a/b.png", Ok(Some("a/b.png"))),
            ("./a.png", Ok(Some("a.png"))),
            ("__MACOSX/._a.png", Ok(None)),
            (".git/a.png", Ok(None)),
            ("../a.png", Err("name leads out of the archive")),
            ("a/../../b.png", Err("name leads out of the archive")),
            ("/etc/passwd", Err("name leads out of the archive")),
            ("a\\..\\b.png", Err("name contains a backslash or a zero byte")),
            ("a//b.png", Err("name is not a plain path")),
        ] {
            assert_eq!(plain(name.as_bytes()), expected.map(|path| path.map(str::to_owned)), "{name}");
        }
        assert_eq!(plain(b"\xff.png"), Err("name is not UTF-8"));
    }
}
