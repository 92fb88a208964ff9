//! What can be wrong with a shard set, by what the reader of the message can do about it.

use run_spec::ids::Digest;
use store::StoreError;

/// A failed read, write or check of a shard set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The store failed; its message says how.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local cache cannot be used.
    #[error("the shard cache {folder} cannot be used ({why}); choose another folder for the cache, or go without it")]
    Cache {
        /// The local folder of the cache.
        folder: String,
        /// What is wrong with the folder.
        why: String,
    },
    /// The manifest cannot be read.
    #[error("{uri} is not a shard manifest ({why}); name a set made by shard-builder, or build it again")]
    Manifest {
        /// Address of the manifest.
        uri: String,
        /// What is wrong with the manifest.
        why: String,
    },
    /// Shards without a manifest: the build has not ended.
    #[error(
        "{uri} holds {shards} shard{} and no manifest, so its build has not finished; run the same build again to finish it, or delete what is there",
        if *shards == 1 { "" } else { "s" }
    )]
    Unfinished {
        /// Address of the set.
        uri: String,
        /// Shards that lie there.
        shards: u64,
    },
    /// Shards without a manifest and without the record of a build: a part of a set that was copied.
    #[error(
        "{uri} holds {shards} shard{} and neither manifest.json nor build.json, so it is part of a set; copy the whole set, or delete what is there",
        if *shards == 1 { "" } else { "s" }
    )]
    Torn {
        /// Address of the set.
        uri: String,
        /// Shards that lie there.
        shards: u64,
    },
    /// A place inside the folder of a set.
    #[error(
        "{uri} is inside the shard set {set}, and its readers would take both for one set; choose another place for the new set"
    )]
    Inside {
        /// Address of the place.
        uri: String,
        /// Address of the set.
        set: String,
    },
    /// A set without its card, which tells other readers which files are its shards.
    #[error(
        "{uri} is missing; without it, readers such as Hugging Face `datasets` do not find the shards; copy it again, or repeat the command that \
        made this set"
    )]
    NoCard {
        /// Address of the card, or of its picture.
        uri: String,
    },
    /// A place that belongs to another set, another build, or other files.
    #[error("{uri} is in use: {why}; choose another place, or delete what is there")]
    Taken {
        /// Address of the place.
        uri: String,
        /// What lies there already.
        why: String,
    },
    /// The record of the build cannot be read.
    #[error(
        "{uri} is not the record of a build ({why}); if no build is running delete it, with the shards beside it where no manifest.json is, \
         and build again"
    )]
    Claim {
        /// Address of the record.
        uri: String,
        /// What is wrong with the record.
        why: String,
    },
    /// A file where the set lies that is not part of it.
    #[error("{uri} {why}; {remedy}")]
    Stray {
        /// The address of the file.
        uri: String,
        /// What kind of file it is, as the end of a sentence.
        why: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Written by another version of the format.
    #[error(
        "{uri} has format {found:?}, this program reads {known:?}; use the program that wrote it, or build it again"
    )]
    Version {
        /// Address of the manifest or shard.
        uri: String,
        /// The format or version that it names.
        found: String,
        /// What is read here.
        known: String,
    },
    /// Not a shard: not Parquet, truncated, or laid out otherwise.
    #[error("{shard} is not a shard ({why}); fetch or build it again")]
    Format {
        /// Address of the shard.
        shard: String,
        /// What is wrong with the file.
        why: String,
    },
    /// Parquet, with other columns.
    #[error("{shard} has the wrong columns ({why}); it was not written as a v1 shard, build it again")]
    Schema {
        /// Address of the shard.
        shard: String,
        /// The first difference from the right columns.
        why: String,
    },
    /// The file's bytes are not those of the manifest.
    #[error(
        "{shard} has digest {found}, the manifest says {expected}; the file was changed or damaged, fetch it again"
    )]
    Digest {
        /// Address of the shard.
        shard: String,
        /// The digest that the manifest gives.
        expected: Digest,
        /// The digest of the bytes that were read.
        found: Digest,
    },
    /// A number in the manifest is not the one found.
    #[error("{subject} has {found} {what}, the manifest says {expected}; build or fetch the set again")]
    Count {
        /// Shard, source or set.
        subject: String,
        /// What is counted, in the plural.
        what: &'static str,
        /// The number that the manifest gives.
        expected: u64,
        /// The number that was found.
        found: u64,
    },
    /// A row that cannot be right.
    #[error("row {row} of {shard} is bad ({why}); build the set again")]
    Row {
        /// Address of the shard.
        shard: String,
        /// Row within the shard.
        row: u64,
        /// What is wrong with the row.
        why: String,
    },
    /// Decoded pixels differ from those that were written.
    #[error("row {row} of {shard} decodes to pixels {found}, not {expected}; the file is damaged, fetch it again")]
    Pixels {
        /// Address of the shard.
        shard: String,
        /// Row within the shard.
        row: u64,
        /// By the `pixel_digest` column.
        expected: Digest,
        /// Of the decoded pixels.
        found: Digest,
    },
    /// A row number beyond the set.
    #[error("there is no row {row}: {uri} has {rows} rows")]
    NoRow {
        /// Address of the set.
        uri: String,
        /// The row that was asked for.
        row: u64,
        /// Rows in the set.
        rows: u64,
    },
    /// Bytes that are no image of the set's codec, or one beyond the limits.
    #[error("not a usable {codec} image ({why}); only 8-bit RGB or grey up to 8192 pixels a side is stored")]
    Image {
        /// Name of the codec.
        codec: String,
        /// What is wrong with the image.
        why: String,
    },
    /// A row offered for writing that the format cannot hold.
    #[error("patch {id} cannot be written ({why}); this is a fault of the program that made it")]
    Input {
        /// The id of the patch.
        id: Digest,
        /// What the format cannot hold.
        why: String,
    },
    /// A split that cannot be made, read, or used with this set.
    #[error("split {name:?} {why}")]
    Split {
        /// Name of the split.
        name: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Fingerprints that cannot be read, or are of another set.
    #[error("{uri} cannot be used as fingerprints ({why}); build the set again")]
    Fingerprints {
        /// Address of the file or its record.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
    /// The record of a search for leaks cannot be used.
    #[error("{uri} cannot be used as a record of leaks ({why}); delete it, and compare the two sets again")]
    Leaks {
        /// Address of the record or its table.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
    /// Fewer groups than folds.
    #[error("the set has {groups} group{} for {folds} folds", if *groups == 1 { "" } else { "s" })]
    TooFewGroups {
        /// Groups of the set.
        groups: u64,
        /// Folds that were asked for.
        folds: u32,
    },
    /// A source whose images all share groups with images of other sources, so that it cannot be left out.
    #[error("no group holds images of source {source_name:?} alone, so it cannot be left out by itself")]
    NotAlone {
        /// Name of the source.
        source_name: String,
    },
    /// Two rows with one id, or one image in two groups.
    #[error("{what}; build the set again")]
    Conflict {
        /// What is in conflict: the rows, or the image and its groups.
        what: String,
    },
}

impl ShardError {
    pub(crate) fn format(shard: &str, why: impl ToString) -> Self {
        Self::Format { shard: shard.to_owned(), why: one_line(&why.to_string()) }
    }

    pub(crate) fn row(shard: &str, row: u64, why: impl ToString) -> Self {
        Self::Row { shard: shard.to_owned(), row, why: one_line(&why.to_string()) }
    }

    pub(crate) fn split(name: &str, why: impl ToString) -> Self {
        Self::Split { name: name.to_owned(), why: one_line(&why.to_string()) }
    }
}

/// Text of a lower layer on one line of at most 200 characters.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(200) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}
