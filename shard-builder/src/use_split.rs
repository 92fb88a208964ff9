//! Splits that other readers see: whether a row is of `train` or of `test`, as the folder of shards and the columns `role` and `split` say.

use std::collections::{BTreeMap, BTreeSet};

use datasets::reading::LocatedSource;
use datasets::schema::Role;
use datasets::survey::ImageRecord;
use run_spec::ids::Digest;
use serde_json::{Value, json};
use shards::ShardSplit;

use crate::cli::{SplitArg, SplitsArgs};
use terminal::{counted, thousands};

/// A split as other readers call it. The order is that of the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UseSplit {
    /// Rows that models learn on.
    Train,
    /// Rows that models are tested on.
    Test,
}

impl UseSplit {
    /// Its name in keys and columns.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// How the rows of a set are split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SplitPlan {
    /// By the role of their source.
    Role,
    /// Evaluation sources, and groups of the others with this share of their rows, drawn by a seed.
    Grouped { share: f64, seed: u64 },
}

impl SplitPlan {
    /// What the command line says; nothing for a set without splits.
    pub(crate) fn of(args: &SplitsArgs) -> Option<Self> {
        match args.splits {
            SplitArg::None => None,
            SplitArg::Role => Some(Self::Role),
            SplitArg::Grouped => Some(Self::Grouped { share: args.test_share, seed: args.test_seed }),
        }
    }

    /// The plan in the configuration of a build.
    pub(crate) fn described(self) -> Value {
        match self {
            Self::Role => json!({ "by": "role" }),
            Self::Grouped { share, seed } => json!({ "by": "grouped", "test_share": share, "seed": seed }),
        }
    }

    /// The split of each image, of which `groups` are the groups. Where groups are dealt, no group is in two splits.
    pub(crate) fn of_images(
        self,
        sources: &[LocatedSource],
        images: &[ImageRecord],
        groups: &[String],
    ) -> Vec<UseSplit> {
        let role = |image: &ImageRecord| sources[image.source].source.role;
        match self {
            Self::Role => {
                let of = |image| if role(image) == Role::Evaluation { UseSplit::Test } else { UseSplit::Train };
                images.iter().map(of).collect()
            }
            Self::Grouped { share, seed } => {
                let held_out = held_out(images, groups, role, (share, seed));
                let of = |group: &String| {
                    if held_out.contains(group.as_str()) { UseSplit::Test } else { UseSplit::Train }
                };
                groups.iter().map(of).collect()
            }
        }
    }
}

/// Groups of `test`: those with an image of an evaluation source, and of the others the first by lot until they have the share of the rows.
fn held_out<'a>(
    images: &[ImageRecord],
    groups: &'a [String],
    role: impl Fn(&ImageRecord) -> Role,
    (share, seed): (f64, u64),
) -> BTreeSet<&'a str> {
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    let mut held_out = BTreeSet::new();
    for (image, group) in images.iter().zip(groups) {
        *rows.entry(group).or_default() += image.cuts().len() as u64;
        if role(image) == Role::Evaluation && !image.cuts().is_empty() {
            held_out.insert(group.as_str());
        }
    }
    rows.retain(|group, rows| *rows > 0 && !held_out.contains(group));
    let lot = |group: &str| Digest::of(format!("{seed}\0{group}").as_bytes());
    let mut dealt: Vec<(Digest, &str, u64)> = rows.iter().map(|(group, rows)| (lot(group), *group, *rows)).collect();
    dealt.sort_unstable();
    let wanted = (share * rows.values().sum::<u64>() as f64).round() as u64;
    let mut taken = 0;
    for (_, group, rows) in dealt {
        if taken >= wanted {
            break;
        }
        taken += rows;
        held_out.insert(group);
    }
    held_out
}

/// The roles of all sources and the name of the split, for the columns of a shard.
pub(crate) fn shard_split(sources: &[LocatedSource], split: UseSplit) -> ShardSplit {
    let role = |located: &LocatedSource| (located.source.name.clone(), located.source.role.name().to_owned());
    ShardSplit { name: split.name().to_owned(), roles: sources.iter().map(role).collect() }
}

/// What to print of the splits: rows of each, and a warning where a group is in both.
pub(crate) fn summary(images: &[ImageRecord], groups: &[String], splits: &[UseSplit]) -> String {
    let mut rows = [0_u64; 2];
    let mut of_group: BTreeMap<&str, BTreeSet<UseSplit>> = BTreeMap::new();
    for ((image, group), split) in images.iter().zip(groups).zip(splits) {
        let own = image.cuts().len() as u64;
        rows[*split as usize] += own;
        if own > 0 {
            of_group.entry(group).or_default().insert(*split);
        }
    }
    let parted = of_group.values().filter(|splits| splits.len() > 1).count() as u64;
    let mut text = format!("\nsplits: {} train, {} test", thousands(rows[0]), thousands(rows[1]));
    if parted > 0 {
        text.push_str(&format!(
            "\nwarning: train and test share {}, because training and evaluation sources contain copies of each other; remove the copies \
             (`shard-builder duplicates` lists them), or build with --splits grouped, which tests on all images of such a group",
            counted(parted, "group")
        ));
    }
    text
}
