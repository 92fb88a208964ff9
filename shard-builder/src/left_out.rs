//! What `remove` leaves out of a set: a source, or the images that are copies of images of an evaluation set.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use run_spec::ids::Digest;
use serde_json::{Value, json};
use shards::ShardSet;
use shards::leaks::{FoundLeaks, Leaks};
use store::Store;

use crate::cli::RemoveArgs;
use crate::compared_set::ComparedSet;
use crate::leaks_command::{find_or_make, leaked_images};
use terminal::thousands;

/// Pairs on the contact sheet of a record that is made on the way.
const SHOWN: usize = 32;

/// What goes, and what it is called.
#[derive(Debug)]
pub(crate) struct LeftOut {
    what: What,
    /// Its name in sentences.
    pub(crate) words: String,
}

#[derive(Debug)]
enum What {
    /// All images of a source.
    Source(String),
    /// Images by source and path: copies of images of the set `evaluation`, by a table of leaks.
    Copies { images: BTreeSet<(String, String)>, evaluation: Digest, table: Digest },
}

impl LeftOut {
    /// What the command line leaves out of `set`.
    ///
    /// # Errors
    /// A source that the set lacks or that is its only one, a record of another set, a set that shares nothing with the evaluation set.
    pub(crate) fn of(args: &RemoveArgs, set: &ShardSet) -> Result<Self> {
        match (&args.source, &args.images_in) {
            (Some(source), _) => Self::source(source, set),
            (None, Some(uri)) => Self::copies(uri, args, set),
            (None, None) => bail!("name what is left out: --source NAME or --images-in URI"),
        }
    }

    fn source(source: &str, set: &ShardSet) -> Result<Self> {
        let names: Vec<&str> = set.manifest().sources.iter().map(|source| source.name.as_str()).collect();
        ensure!(names.contains(&source), "--source {source}: the set has no such source; it has {}", names.join(", "));
        ensure!(names.len() > 1, "--source {source}: it is the only source, so nothing would remain");
        Ok(Self { what: What::Source(source.to_owned()), words: source.to_owned() })
    }

    fn copies(uri: &str, args: &RemoveArgs, set: &ShardSet) -> Result<Self> {
        let found = record(uri, args, set).with_context(|| format!("--images-in {uri}"))?;
        let Leaks { train, evaluation, table, .. } = &found.leaks;
        ensure!(
            train.shards == set.digest(),
            "--images-in {uri}: it is about set {}, not about {}, which is {}",
            train.shards.short(),
            args.uri,
            set.digest().short()
        );
        let images = leaked_images(&found)?;
        ensure!(!images.is_empty(), "--images-in {uri}: {} shares no image with that set", args.uri);
        let copies = match images.len() {
            1 => "1 image that is a copy of an image".to_owned(),
            several => format!("{} images that are copies of images", thousands(several as u64)),
        };
        let words = format!("{copies} of set {}", evaluation.shards.short());
        Ok(Self { what: What::Copies { images, evaluation: evaluation.shards, table: *table }, words })
    }

    /// Whether an image goes.
    pub(crate) fn holds(&self, source: &str, image: &str) -> bool {
        match &self.what {
            What::Source(name) => source == name,
            What::Copies { images, .. } => images.contains(&(source.to_owned(), image.to_owned())),
        }
    }

    /// Adds what is left out to the configuration of the new set.
    pub(crate) fn describe(&self, config: &mut Value) {
        match &self.what {
            What::Source(name) => config["without"] = json!(name),
            What::Copies { images, evaluation, table } => {
                config["without_copies"] = json!({ "of": evaluation, "table": table, "images": images });
            }
        }
    }

    /// Names the content of the new set.
    pub(crate) fn content(&self, of: &Digest) -> Digest {
        let text = match &self.what {
            What::Source(name) => format!("{of} without {name}"),
            What::Copies { evaluation, table, .. } => format!("{of} without copies of {evaluation} by {table}"),
        };
        Digest::of(text.as_bytes())
    }
}

/// The record that `uri` names, or that of the evaluation set there, which is made where it is not found beside either set.
fn record(uri: &str, args: &RemoveArgs, set: &ShardSet) -> Result<FoundLeaks> {
    if uri.ends_with(".json") {
        return Ok(FoundLeaks::open(uri)?);
    }
    let store = Store::open(uri)?;
    let digest = shards::Manifest::read(&store)?.digest();
    if let Some(found) = FoundLeaks::find(&[&store, set.store()], &set.digest(), &digest)? {
        return Ok(found);
    }
    find_or_make((&ComparedSet::open(&args.uri)?, &ComparedSet::open(uri)?), &store, SHOWN)
}
