//! What a directory does without its object-store client: ranges read straight from the file, and create-only publication of a
//! large file: copy beside the key, flush, hard-link, remove.
//!
//! A hard link fails when the name exists, so exactly one writer wins and a reader never sees half a file. Staging names
//! end in `#N`, which object_store's listing hides and which no key can spell.

use bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes `range` of `file`; the size of a file that ends before.
pub(crate) fn read_range(file: &Path, range: Range<u64>) -> io::Result<Result<Bytes, u64>> {
    let mut file = File::open(file)?;
    let facts = file.metadata()?;
    if facts.is_dir() {
        return Err(ErrorKind::NotFound.into());
    }
    if facts.len() < range.end {
        return Ok(Err(facts.len()));
    }
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).map_err(io::Error::other)?);
    let found = file.take(range.end - range.start).read_to_end(&mut bytes)? as u64;
    // One that was cut while it was read.
    Ok(if range.start + found == range.end { Ok(bytes.into()) } else { Err(range.start + found) })
}

/// Copies `from` to `to` unless `to` exists. Durable when it returns.
pub(crate) fn create_file(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let parent = to.parent().unwrap_or(Path::new("/"));
    create_directories(parent)?;
    let (mut staged, staging) = stage(to)?;
    let published = (|| {
        io::copy(&mut File::open(from)?, &mut staged)?;
        staged.sync_all()?;
        fs::hard_link(&staging, to)?;
        sync_directory(parent)
    })();
    // A failure to remove the staging name leaves a hidden file and no wrong key.
    let _ = fs::remove_file(&staging);
    published
}

fn stage(to: &Path) -> io::Result<(File, PathBuf)> {
    for n in 1u64.. {
        let mut name = to.as_os_str().to_owned();
        name.push(format!("#{n}"));
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((file, name.into())),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Makes the missing directories of `path` and flushes the parent of each.
fn create_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_directories(parent)?;
        match fs::create_dir(path) {
            Ok(()) => sync_directory(parent)?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
