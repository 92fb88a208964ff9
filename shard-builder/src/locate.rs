//! Where the sources lie: said on the command line, never in a description.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tracing::warn;

use crate::cli::{Licences, PlaceArgs};
use crate::source::archive::ENDINGS;
use crate::source::describe::Source;
use crate::source::download;
use crate::source::files::Root;
use crate::source::licence::is_permissive;
use crate::survey::Located;

/// Finds the folder or archive of each source: what `--root` names first, then what bears its name in `--data`.
///
/// # Errors
/// A source without a folder, unless `--allow-missing`; a root for a source that is not described; an archive that cannot be
/// read; no source left.
pub(crate) fn locate(sources: Vec<Source>, args: &PlaceArgs) -> Result<Vec<Located>> {
    for (name, _) in &args.root {
        let described: BTreeSet<&str> = sources.iter().flat_map(|source| [&source.name, source.dataset()]).collect();
        ensure!(
            described.contains(name.as_str()),
            "--root {name}=…: no source of that name is described; there are {}",
            described.into_iter().collect::<Vec<_>>().join(", ")
        );
    }
    let mut located = Vec::new();
    for source in sources {
        if args.licences == Licences::Permissive && !is_permissive(&source.licence) {
            warn!(
                source = source.name,
                licence = source.licence,
                "left out: its licence is not known to be permissive"
            );
            continue;
        }
        let is_named = |name: &str| name == source.name || name == source.dataset();
        let named = args.root.iter().rev().find(|(name, _)| is_named(name)).map(|(_, path)| path.clone());
        let is_rooted = named.is_some();
        let path = named.or_else(|| args.data.as_ref().map(|data| in_data(data, source.dataset())));
        match path {
            Some(path) if path.exists() => {
                if path.is_file() {
                    download::check(&source.downloads, &path).with_context(|| format!("source {}", source.name))?;
                }
                let root =
                    Root::open(&path, args.max_archive_bytes, &source.images, |folder| source.names_folder(folder))
                        .with_context(|| format!("source {}", source.name))?;
                let at = path.canonicalize().with_context(|| format!("open {}", path.display()))?;
                let data = args.data.as_ref().filter(|_| !is_rooted && at.is_file());
                let instead = data.and_then(|data| data.canonicalize().ok()).map(|data| data.join(source.dataset()));
                located.push(Located { source, root, at, instead });
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
    Ok(located)
}

/// The folder `name` in `data`, or an archive called like it where there is no such folder.
fn in_data(data: &Path, name: &str) -> PathBuf {
    let folder = data.join(name);
    let archives = ENDINGS.iter().map(|ending| data.join(format!("{name}.{ending}")));
    if folder.exists() { folder } else { archives.into_iter().find(|path| path.is_file()).unwrap_or(folder) }
}
