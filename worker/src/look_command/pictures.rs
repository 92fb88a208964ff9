//! Images to look at: the rows of a shard set, or the pictures of a local folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use imaging::{DecodeLimits, RgbImage};
use shards::ShardSet;
use store::Store;

/// The file that makes a folder a shard set.
const MANIFEST: &str = "manifest.json";
/// Letters of an id that are enough to name an image.
const SHORT: usize = 6;

/// Images with names, of which some have a class.
#[derive(Debug)]
pub(super) enum Pictures {
    /// The rows of a shard set.
    Set(ShardSet),
    /// Files, sorted by name.
    Files(Vec<PathBuf>),
}

impl Pictures {
    /// Opens a shard set, or a local folder that is none.
    pub(super) fn open(place: &str) -> Result<Self> {
        let folder = Path::new(place);
        if !folder.is_dir() || folder.join(MANIFEST).is_file() {
            return Ok(Self::Set(ShardSet::open(&Store::open(place)?)?));
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {place}"))? {
            let path = entry?.path();
            if path.is_file() && is_picture(&path)? {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            bail!(
                "{place}: neither a shard set ({MANIFEST}) nor a picture (JPEG, PNG, BMP, TIFF, WebP) is in this folder"
            );
        }
        Ok(Self::Files(files))
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Set(shards) => shards.len() as usize,
            Self::Files(files) => files.len(),
        }
    }

    /// The image that a person names: by its row, the beginning of its id, or the name of its file.
    pub(super) fn find(&self, name: &str) -> Result<usize> {
        let found: Vec<usize> = match self {
            Self::Files(files) => (0..files.len()).filter(|&i| self.named(i, name)).collect(),
            Self::Set(shards) => match name.parse::<u64>().ok().filter(|row| *row < shards.len()) {
                Some(row) => vec![row as usize],
                None => (0..self.len()).filter(|&i| self.named(i, name)).collect(),
            },
        };
        match found.as_slice() {
            [one] => Ok(*one),
            [] => bail!(
                "no image is called {name}; name one of the {} images by its row (from 0), its id, or its file name",
                self.len()
            ),
            several => bail!("{} images are called {name}; give more letters of the id", several.len()),
        }
    }

    fn named(&self, i: usize, name: &str) -> bool {
        match self {
            Self::Files(files) => file_name(&files[i]) == name,
            Self::Set(shards) => {
                name.len() >= SHORT && shards.meta(i as u64).is_ok_and(|meta| meta.id.to_string().starts_with(name))
            }
        }
    }

    /// The class of an image, where it is known.
    pub(super) fn class(&self, i: usize) -> Option<String> {
        match self {
            Self::Files(_) => None,
            Self::Set(shards) => shards.meta(i as u64).ok()?.label.map(|label| label.to_string()),
        }
    }

    /// What may not be split, where it is known: images of one group show one patient, slide or field.
    pub(super) fn group(&self, i: usize) -> Option<String> {
        match self {
            Self::Files(_) => None,
            Self::Set(shards) => Some(shards.meta(i as u64).ok()?.group.to_string()),
        }
    }

    /// A line that tells an image from others.
    pub(super) fn heading(&self, i: usize) -> String {
        match self {
            Self::Files(files) => file_name(&files[i]),
            Self::Set(shards) => match shards.meta(i as u64) {
                Ok(meta) => {
                    let class = meta.label.as_deref().map(|class| format!("{class}, ")).unwrap_or_default();
                    format!("row {i}: {class}{} {} (id {})", meta.source, meta.image, meta.id.short())
                }
                Err(_) => format!("row {i}"),
            },
        }
    }

    /// Its pixels.
    pub(super) fn rgb(&self, i: usize) -> Result<RgbImage> {
        match self {
            Self::Set(shards) => shards.rgb(i as u64).with_context(|| format!("cannot read row {i} of the shard set")),
            Self::Files(files) => {
                let at = files[i].display().to_string();
                let bytes = std::fs::read(&files[i]).with_context(|| format!("cannot read {at}"))?;
                Ok(imaging::decode(&bytes, DecodeLimits::default()).with_context(|| at)?.rgb)
            }
        }
    }

    /// `most` images: classes take turns, and of each class images that are spread evenly over its rows.
    pub(super) fn of_all_classes(&self, most: usize) -> Vec<usize> {
        let mut classes: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
        (0..self.len()).for_each(|i| classes.entry(self.class(i)).or_default().push(i));
        let classes: Vec<Vec<usize>> = classes.into_values().collect();
        spread(&classes, most)
    }
}

/// `most` of all rows: classes take turns, each with rows at even distances.
fn spread(classes: &[Vec<usize>], most: usize) -> Vec<usize> {
    let mut taken = vec![0; classes.len()];
    let mut left = most.min(classes.iter().map(Vec::len).sum());
    while left > 0 {
        for (rows, taken) in classes.iter().zip(&mut taken) {
            if left > 0 && *taken < rows.len() {
                (*taken, left) = (*taken + 1, left - 1);
            }
        }
    }
    let of_class =
        |(rows, taken): (&Vec<usize>, usize)| (0..taken).map(|i| rows[i * rows.len() / taken]).collect::<Vec<_>>();
    classes.iter().zip(taken).flat_map(of_class).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a file's first bytes are those of a picture; another file is left out, and that is said.
fn is_picture(path: &Path) -> Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(imaging::HEAD as u64).read_to_end(&mut head)?;
    let picture = imaging::sniff(&head).is_some();
    if !picture {
        tracing::warn!("{} is not a picture and is left out", path.display());
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_take_turns_and_rows_are_spread() {
        let classes = [(0..100).collect::<Vec<_>>(), vec![100], (101..111).collect()];
        assert_eq!(spread(&classes, 6), [0, 33, 66, 100, 101, 106]);
        assert_eq!(spread(&classes, 2), [0, 100]);
        assert_eq!(spread(&classes, 500).len(), 111);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn a_folder_shows_its_pictures_by_name_and_leaves_other_files_out() {
        let folder = tempfile::tempdir().unwrap();
        for (name, side) in [("b.png", 3), ("a.png", 5)] {
            RgbImage::new(side, side).save(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "cells").unwrap();
        let place = folder.path().to_str().unwrap();
        let pictures = Pictures::open(place).unwrap();
        assert_eq!((pictures.len(), pictures.find("b.png").unwrap()), (2, 1));
        assert_eq!((pictures.heading(0), pictures.rgb(0).unwrap().width()), ("a.png".to_owned(), 5));
        assert_eq!(pictures.of_all_classes(8), [0, 1]);
        assert!(pictures.find("c.png").unwrap_err().to_string().contains("no image is called c.png"));
        let empty = tempfile::tempdir().unwrap();
        let error = Pictures::open(empty.path().to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("neither a shard set"), "{error}");
    }
}
