//! The groups of all images of a survey, joined where a split must keep images together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use near_copies::{CopyKind, Pair};

use super::group_union::GroupUnion;
use super::record::ImageRecord;
use crate::reading::LocatedSource;
use crate::schema::Source;

/// The group of each image, joined where images share bytes, pixels or a field of view, or are near-copies; empty for images that are not
/// used. `copies` are pairs of positions in `images`.
pub fn joined_groups(sources: &[LocatedSource], images: &[ImageRecord], copies: &[Pair]) -> Vec<String> {
    let mut joined = GroupUnion::default();
    let used = || {
        images.iter().filter_map(|image| {
            let (Ok(used), Some(info)) = (&image.used, &image.info) else { return None };
            Some((image, info, used.group.as_str()))
        })
    };
    joined.join_equal(used().map(|(_, info, group)| (info.file, group)));
    joined.join_equal(used().map(|(_, info, group)| (info.pixels, group)));
    let name = |image: &ImageRecord| sources[image.source].source.name.as_str();
    let by_path: HashMap<(&str, &str), &str> =
        used().map(|(image, _, group)| ((name(image), image.image.as_str()), group)).collect();
    for Source { name, same_as, .. } in sources.iter().map(|located| &located.source) {
        for pair in same_as {
            let here = by_path.get(&(name.as_str(), pair.image.as_str()));
            let there = by_path.get(&(pair.source.as_str(), pair.of.as_str()));
            if let (Some(here), Some(there)) = (here, there) {
                joined.join(here, there);
            }
        }
    }
    for pair in copies.iter().filter(|pair| matches!(pair.kind, CopyKind::Near(_))) {
        if let (Ok(a), Ok(b)) = (&images[pair.a].used, &images[pair.b].used) {
            joined.join(&a.group, &b.group);
        }
    }
    let name = |image: &ImageRecord| image.used.as_ref().map_or("", |used| joined.name(&used.group)).to_owned();
    images.iter().map(name).collect()
}

/// How many groups of one source were joined with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Groups by the source's own rule.
    pub all: usize,
    /// Of them, those that are joined with others.
    pub joined: usize,
    /// Groups that are left, once they are joined.
    pub left: usize,
}

/// How many groups of each source were joined, in the order of the sources; `groups` is what [`joined_groups`] returned.
pub fn count_groups(sources: usize, images: &[ImageRecord], groups: &[String]) -> Vec<GroupCounts> {
    let mut members: BTreeMap<&str, BTreeSet<(&str, usize)>> = BTreeMap::new();
    for (image, group) in images.iter().zip(groups) {
        if let Ok(used) = &image.used {
            members.entry(group).or_default().insert((&used.group, image.source));
        }
    }
    let mut counts = vec![GroupCounts::default(); sources];
    for members in members.values() {
        // Parts of one dataset may share a group without any copies.
        let is_joined = members.first().map(|member| member.0) != members.last().map(|member| member.0);
        for (source, counts) in counts.iter_mut().enumerate() {
            let own = members.iter().filter(|(_, of)| *of == source).count();
            counts.all += own;
            counts.joined += if is_joined { own } else { 0 };
            counts.left += usize::from(own > 0);
        }
    }
    counts
}
