//! `leaks`: which images a training set and an evaluation set share, looked for once and recorded under the digests of both.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use shards::leaks::{Comparison, FoundLeaks, Leak, LeakSide, LeakedSource, Leaks};
use store::Store;

use crate::cli::{LeaksArgs, VERSION};
use crate::compared_set::ComparedSet;
use crate::leak_search::{LeakSearch, NearImages, Shared, SharedImage};
use crate::leak_sheet;
use terminal::{counted, thousands};

/// Compares the sets, or finds that it was done before, and returns what to print.
///
/// # Errors
/// A set that cannot be read, one set on both sides, a store that cannot be written.
pub(crate) fn leaks(args: &LeaksArgs) -> Result<String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("cannot start threads")?;
    pool.install(|| {
        let (train, evaluation) = (ComparedSet::open(&args.train)?, ComparedSet::open(&args.evaluation)?);
        let out = args.out.as_deref().map(Store::open).transpose().context("cannot open --out")?;
        let store = out.as_ref().unwrap_or(evaluation.set.store());
        let found = find_or_make((&train, &evaluation), store, args.pairs as usize)?;
        sentences(args, &found, (&train, &evaluation))
    })
}

/// The record of two sets in a store, made where it is not there.
///
/// # Errors
/// As [`leaks`].
pub(crate) fn find_or_make(
    (train, evaluation): (&ComparedSet, &ComparedSet),
    store: &Store,
    most_shown: usize,
) -> Result<FoundLeaks> {
    let digests = [train.set.digest(), evaluation.set.digest()];
    ensure!(
        digests[0] != digests[1],
        "{} and {} are one set ({}): every image is on both sides",
        train.set.store().uri(),
        evaluation.set.store().uri(),
        digests[0].short()
    );
    let compared = match train.has_fingerprints() && evaluation.has_fingerprints() {
        true => Comparison::Near,
        false => Comparison::Exact,
    };
    if let Some(found) = FoundLeaks::find(&[store], &digests[0], &digests[1])?
        && (found.leaks.compared == compared || compared == Comparison::Exact)
    {
        return Ok(found);
    }
    let Shared { mut pairs, alike, near } = LeakSearch::new(train, evaluation).run()?;
    // The least alike of each kind first, because a person should look at them.
    pairs.sort_by(|p, q| {
        p.kind
            .cmp(&q.kind)
            .then(p.score.total_cmp(&q.score))
            .then((p.train, p.evaluation).cmp(&(q.train, q.evaluation)))
    });
    let leaks: Vec<Leak> = pairs.iter().map(|pair| leak(pair, train, evaluation)).collect();
    let sides =
        (side(train, &pairs, |pair| pair.train, near[0]), side(evaluation, &pairs, |pair| pair.evaluation, near[1]));
    let record = Leaks::new(format!("shard-builder {VERSION}"), compared, sides, &leaks, alike);
    let sheet = match pairs.is_empty() {
        true => None,
        false => Some(leak_sheet::sheet([train, evaluation], &pairs, most_shown)?),
    };
    record.publish(store, table(&leaks)?, sheet).with_context(|| {
        format!(
            "cannot write the record of leaks at {}; --out names another store, such as that of the sweep",
            store.uri()
        )
    })
}

fn leak(pair: &SharedImage, train: &ComparedSet, evaluation: &ComparedSet) -> Leak {
    let (of_train, of_evaluation) = (&train.images[pair.train], &evaluation.images[pair.evaluation]);
    Leak {
        kind: pair.kind,
        score: pair.score,
        train_source: of_train.0.to_string(),
        train_image: of_train.1.to_string(),
        evaluation_source: of_evaluation.0.to_string(),
        evaluation_image: of_evaluation.1.to_string(),
    }
}

/// What the record says of one set; `of` is the number of its image in a pair.
fn side(set: &ComparedSet, pairs: &[SharedImage], of: impl Fn(&SharedImage) -> usize, near: NearImages) -> LeakSide {
    let leaked: BTreeSet<usize> = pairs.iter().map(of).collect();
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (number, (source, _)) in set.images.iter().enumerate() {
        let count = counts.entry(source).or_default();
        count.0 += u64::from(leaked.contains(&number));
        count.1 += 1;
    }
    let of_source = |(source, (leaked, images)): (&str, (u64, u64))| {
        (leaked > 0).then(|| LeakedSource { source: source.to_owned(), leaked, images })
    };
    LeakSide {
        shards: set.set.digest(),
        images: set.images.len() as u64,
        near: near.compared,
        small: near.small,
        sources: counts.into_iter().filter_map(of_source).collect(),
    }
}

/// The pairs as CSV.
fn table(leaks: &[Leak]) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(["kind", "score", "train_source", "train_image", "evaluation_source", "evaluation_image"])?;
    leaks.iter().try_for_each(|leak| writer.serialize(leak))?;
    writer.into_inner().context("cannot write the table of pairs")
}

/// What was found, in words.
fn sentences(args: &LeaksArgs, found: &FoundLeaks, sets: (&ComparedSet, &ComparedSet)) -> Result<String> {
    let leaks = &found.leaks;
    let Leaks { train, evaluation, bytes, pixels, near, names, .. } = leaks;
    let mut text = format!(
        "{} training images compared with {} evaluation images. Pairs with the same bytes: {}; with the same pixels: {}; near-copies: {}; with \
         the same name but different content: {}",
        thousands(train.images),
        thousands(evaluation.images),
        thousands(*bytes),
        thousands(*pixels),
        thousands(*near),
        thousands(*names)
    );
    text.push_str(&reach(leaks, [&args.train, &args.evaluation], [sets.0, sets.1]));
    for source in &train.sources {
        let LeakedSource { source, leaked, images } = source;
        text.push_str(&format!(
            "\nof training source {source}: {} of {} images are copies of evaluation images",
            thousands(*leaked),
            thousands(*images)
        ));
    }
    text.push_str(&format!("\nrecord: {}\ntable: {}", found.uri(), found.table_uri()));
    if let Some(sheet) = found.sheet_uri()? {
        text.push_str(&format!("\npairs: {sheet}"));
    }
    if leaks.pairs() > 0 {
        // A record beside the evaluation set is found by the address of the set, which is shorter.
        let record = if args.out.is_none() { args.evaluation.clone() } else { found.uri() };
        text.push_str(&format!(
            "\nto make a set without these images: shard-builder remove {} --images-in {record} --out NEW",
            args.train
        ));
    }
    Ok(text)
}

/// What could not be compared, and what would help; nothing where all was.
fn reach(leaks: &Leaks, uris: [&String; 2], sets: [&ComparedSet; 2]) -> String {
    let mut text = String::new();
    for ((side, uri), set) in [&leaks.train, &leaks.evaluation].into_iter().zip(uris).zip(sets) {
        if !set.has_fingerprints() {
            let what =
                if set.knows_images() { "bytes and pixels" } else { "names and the pixels of patches and cells" };
            text.push_str(&format!(
                "\n{uri} has no fingerprints, so only {what} were compared and near-copies were not searched; build it again with this version \
                to get fingerprints"
            ));
        }
        if leaks.compared == Comparison::Near && side.small > 0 {
            text.push_str(&format!(
                "\n{} of {} images of {uri} are below {} px: near-copies of single cells and other small images cannot be recognised, so only \
                bytes and pixels were compared",
                thousands(side.small),
                thousands(side.images),
                near_copies::LEAST_SIDE
            ));
        }
    }
    if leaks.alike > 0 {
        text.push_str(&format!(
            "\n{} more with similar outlines; whether they are copies cannot be decided without their images (`shard-builder duplicates` reads these)",
            counted(leaks.alike, "pair")
        ));
    }
    text
}

/// The training images of a record's table, by source and path.
///
/// # Errors
/// A table that cannot be read.
pub(crate) fn leaked_images(found: &FoundLeaks) -> Result<BTreeSet<(String, String)>> {
    let bytes = found.table()?;
    let mut reader = csv::Reader::from_reader(bytes.as_ref());
    let leaks = reader.deserialize::<Leak>();
    let images = leaks.map(|leak| leak.map(|leak| (leak.train_source, leak.train_image)));
    images.collect::<Result<_, _>>().with_context(|| format!("cannot read {}", found.table_uri()))
}
