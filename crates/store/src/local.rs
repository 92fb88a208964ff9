//! Create-only publication of a large file on a directory: copy beside the key, flush, hard-link, remove.
//!
//! A hard link fails when the name exists, so exactly one writer wins and a reader never sees half a file. Staging names
//! end in `#N`, which object_store's listing hides and which no key can spell.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

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
