//! Where the sources lie: said on the command line, never in a description.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use store::Store;
use tracing::warn;

use crate::cli::{Licences, PlaceArgs};
use crate::source::archive::ENDINGS;
use crate::source::describe::Source;
use crate::source::download;
use crate::source::files::Root;
use crate::source::licence::is_permissive;
use crate::survey::Located;

/// What the command line says of where sources lie.
#[derive(Debug)]
pub(crate) struct Places {
    /// The sources to be read.
    pub(crate) sources: Vec<Located>,
    /// Where the data of all described sources lie, also of those that are left out: nothing else may be written there.
    pub(crate) data: Vec<DataPlace>,
}

/// Where the data of a source lie, or are looked for.
#[derive(Debug)]
pub(crate) struct DataPlace {
    /// Name of the source.
    pub(crate) source: String,
    /// The folder or archive, with links followed as far as it exists.
    pub(crate) at: PathBuf,
    /// Whether there is one.
    pub(crate) is_there: bool,
    /// For an archive that was found in --data: the folder that the next run would read in its stead, if it were there.
    pub(crate) instead: Option<PathBuf>,
}

impl DataPlace {
    /// The place `path` of a source, which `--root` names or which is in `--data`.
    fn of(source: &Source, path: &Path, is_rooted: bool, args: &PlaceArgs) -> Option<Self> {
        let is_there = path.exists();
        let at = match is_there {
            true => path.canonicalize().ok()?,
            false => Store::open(path.to_str()?).ok()?.directory()?,
        };
        let data = args.data.as_ref().filter(|_| !is_rooted && at.is_file());
        let instead = data.and_then(|data| data.canonicalize().ok()).map(|data| data.join(source.dataset()));
        Some(Self { source: source.name.clone(), at, is_there, instead })
    }
}

/// Finds the folder or archive of each source: what `--root` names first, then what bears its name in `--data`.
///
/// # Errors
/// A source without a folder, unless `--allow-missing`; a root for a source that is not described; an archive that cannot be
/// read; no source left.
pub(crate) fn locate(sources: Vec<Source>, args: &PlaceArgs) -> Result<Places> {
    for (name, _) in &args.root {
        let described: BTreeSet<&str> = sources.iter().flat_map(|source| [&source.name, source.dataset()]).collect();
        ensure!(
            described.contains(name.as_str()),
            "--root {name}=…: no source of that name is described; there are {}",
            described.into_iter().collect::<Vec<_>>().join(", ")
        );
    }
    let (mut located, mut places) = (Vec::new(), Vec::new());
    for source in sources {
        let is_named = |name: &str| name == source.name || name == source.dataset();
        let named = args.root.iter().rev().find(|(name, _)| is_named(name)).map(|(_, path)| path.clone());
        let is_rooted = named.is_some();
        let path = named.or_else(|| args.data.as_ref().map(|data| in_data(data, source.dataset())));
        places.extend(path.as_ref().and_then(|path| DataPlace::of(&source, path, is_rooted, args)));
        if args.licences == Licences::Permissive && !is_permissive(&source.licence) {
            warn!(
                source = source.name,
                licence = source.licence,
                "left out: its licence is not known to be permissive"
            );
            continue;
        }
        match path {
            Some(path) if path.exists() => {
                if path.is_file() {
                    download::check(&source.downloads, &path).with_context(|| format!("source {}", source.name))?;
                }
                let root =
                    Root::open(&path, args.max_archive_bytes, &source.images, |folder| source.names_folder(folder))
                        .with_context(|| format!("source {}", source.name))?;
                let at = path.canonicalize().with_context(|| format!("open {}", path.display()))?;
                located.push(Located { source, root, at });
            }
            path => {
                let sought = path.map_or_else(
                    || "--data was not given".to_owned(),
                    |path| format!("{} is no folder, and no archive of that name lies beside it", path.display()),
                );
                let name = &source.name;
                if !args.allow_missing {
                    bail!(
                        "source `{name}` has no folder ({sought}); put it there, say where it lies with --root {name}=PATH, \
                         or leave it out with --allow-missing"
                    );
                }
                warn!(source = name, "left out: {sought}");
            }
        }
    }
    ensure!(
        !located.is_empty(),
        "no source is left: none has a folder (--data, --root) and a licence that --licences allows"
    );
    Ok(Places { sources: located, data: places })
}

/// The folder `name` in `data`, or an archive called like it where there is no such folder.
fn in_data(data: &Path, name: &str) -> PathBuf {
    let folder = data.join(name);
    let archives = ENDINGS.iter().map(|ending| data.join(format!("{name}.{ending}")));
    if folder.exists() { folder } else { archives.into_iter().find(|path| path.is_file()).unwrap_or(folder) }
}
