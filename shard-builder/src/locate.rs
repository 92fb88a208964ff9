//! Where the sources lie: said on the command line, never in a description.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use tracing::warn;

use crate::source::describe::Source;
use crate::survey::Located;

/// Finds the folder of each source: `roots` first, then the folder of its name in `data`.
///
/// # Errors
/// A source without a folder, unless `allow_missing`; a root for a source that is not described; no source left.
pub(crate) fn locate(
    sources: Vec<Source>,
    data: Option<&PathBuf>,
    roots: &[(String, PathBuf)],
    allow_missing: bool,
) -> Result<Vec<Located>> {
    for (name, _) in roots {
        let described: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        ensure!(
            described.contains(&name.as_str()),
            "--root {name}=…: no source of that name is described; there are {}",
            described.join(", ")
        );
    }
    let mut located = Vec::new();
    for source in sources {
        let named = roots.iter().rev().find(|(name, _)| *name == source.name).map(|(_, dir)| dir.clone());
        let dir = named.or_else(|| data.map(|data| data.join(&source.name)));
        match dir {
            Some(dir) if dir.is_dir() => located.push(Located { source, dir }),
            dir => {
                let sought = dir
                    .map_or_else(|| "--data was not given".to_owned(), |dir| format!("{} is no folder", dir.display()));
                let name = &source.name;
                if !allow_missing {
                    bail!(
                        "source `{name}` has no folder ({sought}); put it there, say where it lies with --root {name}=DIR, \
                         or leave it out with --allow-missing"
                    );
                }
                warn!(source = name, "left out: {sought}");
            }
        }
    }
    ensure!(!located.is_empty(), "none of the sources has a folder; say where they lie with --data or --root");
    Ok(located)
}
