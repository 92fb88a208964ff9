//! `build`: sources in, a shard set out.
//!
//! First everything is read and planned ([`survey`], [`plan`]); then shard after shard is encoded and published under a
//! key that names its planned content; then come the report and the manifest, which makes the set, and last a card for people,
//! under a key that only the set's own build may write. A build that was killed plans again, finds
//! its finished shards by their keys, and goes on. Nothing in a set depends on the number of threads, on the folder of a
//! source, on the clock, or on how often the build was interrupted.

use anyhow::{Context, Result, bail, ensure};
use run_spec::ids::{Digest, Product, canonical_json, digest_json};
use serde_json::{Value, json};
use shards::{Codec, FinishedShard, Header, MANIFEST_KEY, Manifest, ShardLimits, ShardWriter};
use store::Store;
use tracing::{debug, warn};

use crate::card;
use crate::cli::{BuildArgs, NearCopies, UnknownScale, VERSION};
use crate::copies::Pair;
use crate::duplicates;
use crate::encode::Encoder;
use crate::locate::locate;
use crate::output::{Progress, thousands};
use crate::part::Part;
use intake::IntakeLimits;

use crate::plan::{self, PlannedShard};
use crate::report;
use crate::source::describe::{Source, read_sources};
use crate::source::quality_rule::Action;
use crate::spool::Spool;
use crate::survey::{Cutting, Located, Picture, survey};

/// How images are written.
const CODEC: Codec = Codec::Png;
/// Rows in a shard of patches, some 100 MB.
const PATCHES_PER_SHARD: u32 = 1024;
/// Rows in a shard of cells, some 100 MB.
const CELLS_PER_SHARD: u32 = 8192;

/// Builds a shard set and returns what to print.
///
/// # Errors
/// A description that cannot be used, a source without a folder, a set of other content at `--out`, no row at all.
pub(crate) fn build(args: &BuildArgs) -> Result<String> {
    let sources = locate(described(args)?, &args.place)?;
    let store = Store::open(&args.out).with_context(|| format!("open --out {}", args.out))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("start threads")?;
    let cutting = Cutting {
        product: args.product,
        size: args.size,
        limits: IntakeLimits { pixels: args.max_pixels, ..IntakeLimits::default() },
        um_per_px: args.um_per_px,
        measured: true,
        fingerprints: args.near_copies == NearCopies::Join,
    };
    let rows_per_shard = args.rows_per_shard.unwrap_or(match args.product {
        Product::Patches => PATCHES_PER_SHARD,
        Product::Cells => CELLS_PER_SHARD,
    });
    let config = configuration(&sources, &cutting, rows_per_shard);
    let spool_bytes = u64::from(args.spool_gib) << 30;
    let build = Build { config, sources, cutting, rows_per_shard, store, part: args.part, spool_bytes };
    pool.install(|| build.run())
}

/// The descriptions, with what the command line says where they do not.
fn described(args: &BuildArgs) -> Result<Vec<Source>> {
    let mut sources = read_sources(&args.sources)?;
    for source in &mut sources {
        if args.um_per_px.is_some() && source.um_per_px.is_none() && args.unknown_scale == UnknownScale::Refuse {
            bail!(
                "--um-per-px: source `{}` does not say its own scale; add `um_per_px` to its description, or let it keep its scale \
                 with --unknown-scale keep",
                source.name
            );
        }
        let quality = &mut source.quality;
        let said = [
            (&mut quality.blank.action, args.blank),
            (&mut quality.out_of_focus.action, args.out_of_focus),
            (&mut quality.saturated.action, args.saturated),
        ];
        // `keep` is what a description means that says nothing, so it leaves the configuration's digest alone.
        for (action, default) in said {
            if action.is_none() && default != Action::Keep {
                *action = Some(default);
            }
        }
    }
    Ok(sources)
}

/// All that decides the content of a set, apart from the sources' files: no folder, no number of threads.
fn configuration(sources: &[Located], cutting: &Cutting, rows_per_shard: u32) -> Value {
    let descriptions: Vec<_> = sources.iter().map(|located| &located.source).collect();
    let size_px = match cutting.product {
        Product::Patches => Some(cutting.size),
        Product::Cells => None,
    };
    let mut configuration = json!({
        "builder": format!("shard-builder {VERSION}"),
        "product": cutting.product,
        "size_px": size_px,
        "rows_per_shard": rows_per_shard,
        "codec": CODEC,
        "max_pixels": cutting.limits.pixels,
        "max_file_bytes": cutting.limits.file_bytes,
        "near_copies": if cutting.fingerprints { "join" } else { "ignore" },
        "sources": descriptions,
    });
    // Not named where it is not asked for: sets without it keep the digest that they had before it existed.
    if let Some(um) = cutting.um_per_px {
        configuration["um_per_px"] = json!(um);
    }
    configuration
}

struct Build {
    sources: Vec<Located>,
    cutting: Cutting,
    rows_per_shard: u32,
    config: Value,
    store: Store,
    part: Part,
    spool_bytes: u64,
}

impl Build {
    fn run(&self) -> Result<String> {
        let config = digest_json(&self.config);
        let spool = self.spool()?;
        let mut pictures = survey(&self.sources, self.cutting, spool.as_ref().map(|spool| (spool, CODEC)))?;
        let copies = plan::copies(&mut pictures);
        let groups = plan::groups(&self.sources, &pictures, &copies);
        let product = self.cutting.product;
        let planned = plan::shards(&config, product, &self.sources, &pictures, &groups, self.rows_per_shard as usize);
        if planned.is_empty() {
            bail!("no row comes of this\n{}", report::summary(&self.sources, &pictures, &vec![0; self.sources.len()]));
        }
        let content = Digest::of(planned.iter().map(|shard| shard.content.to_string()).collect::<String>().as_bytes());
        self.refuse_another_set(&config)?;
        let encoder = Encoder {
            sources: &self.sources,
            pictures: &pictures,
            groups: &groups,
            limits: self.cutting.limits,
            codec: CODEC,
            spool: spool.as_ref(),
        };
        let header = Header {
            product,
            codec: CODEC,
            builder: format!("shard-builder {VERSION}"),
            config,
            patch_px: match product {
                Product::Patches => self.cutting.size,
                Product::Cells => common_side(&pictures),
            },
        };
        let mut shards: Vec<Option<FinishedShard>> = vec![None; planned.len()];
        let mut found = 0;
        let progress = Progress::start("write shards", planned.len() as u64);
        for number in self.part.order(planned.len()) {
            let (mut finished, was_there) = self.shard(number, &planned[number], &encoder)?;
            finished.bytes.clear();
            shards[number] = Some(finished);
            found += u64::from(was_there);
            progress.tick();
        }
        let mut manifest = Manifest::builder(header);
        shards.iter().flatten().for_each(|shard| manifest.add(shard));
        progress.end();
        self.write_report(&content, &pictures, &groups, &copies)?;
        let manifest = manifest.finish();
        let digest = manifest.publish(&self.store).with_context(|| self.another_set())?;
        let lines = duplicates::lines(&self.sources, &pictures, &copies);
        let tally = duplicates::tally(&lines);
        let card = card::text(product, &self.sources, &pictures, &groups, &tally);
        for (key, bytes) in [("README.md", card.into_bytes()), (card::EXAMPLES, card::examples(&planned, &encoder)?)] {
            self.store.ensure(key, bytes.into()).with_context(|| self.another_set())?;
        }
        self.warn_of_strays(&manifest)?;
        Ok(format!("{}\n{tally}", self.summary(&pictures, &manifest, &digest, found)))
    }

    /// A place for what the first pass encodes. None where most shards may be there already, or are made by others.
    fn spool(&self) -> Result<Option<Spool>> {
        if self.spool_bytes == 0 || !self.part.is_whole() || !self.store.list("shards")?.is_empty() {
            return Ok(None);
        }
        Spool::new(self.spool_bytes)
            .map(Some)
            .context("make a temporary file (TMPDIR says where; --spool-gib 0 goes without)")
    }

    /// A set that is there already must be of the same configuration; whether it is the same set shows at the end.
    fn refuse_another_set(&self, config: &Digest) -> Result<()> {
        if self.store.exists(MANIFEST_KEY).with_context(|| format!("look into {}", self.store.uri()))? {
            let there = Manifest::read(&self.store)?;
            ensure!(there.config == *config, "{}", self.another_set());
        }
        Ok(())
    }

    fn another_set(&self) -> String {
        format!(
            "{} holds a shard set built from other sources, with other options or by another version; choose another --out",
            self.store.uri()
        )
    }

    /// The shard, made or found finished, and whether it was found.
    fn shard(&self, number: usize, shard: &PlannedShard, encoder: &Encoder<'_>) -> Result<(FinishedShard, bool)> {
        let key = format!("shards/{number:05}-{}.parquet", shard.content.short());
        let product = self.cutting.product;
        let there =
            FinishedShard::find(&self.store, &key, shard.rows.len() as u64, (product, CODEC)).with_context(|| {
                format!(
                    "{} was left by an earlier build and is damaged; delete it and build again",
                    self.store.uri_of(&key)
                )
            })?;
        if let Some((finished, rows)) = there {
            let same = rows.iter().map(|row| row.id).eq(shard.rows.iter().map(|row| row.id));
            ensure!(same, "{} holds other rows than planned; delete it and build again", self.store.uri_of(&key));
            return Ok((finished, true));
        }
        let mut writer = ShardWriter::new(product, CODEC, ShardLimits::default());
        for row in encoder.rows(&shard.rows)? {
            writer.push(row)?;
        }
        let finished = writer.finish(&key)?;
        finished.publish(&self.store).with_context(|| format!("write {}", self.store.uri_of(&key)))?;
        debug!(shard = number, rows = shard.rows.len(), bytes = finished.entry.bytes, "shard");
        Ok((finished, false))
    }

    fn write_report(&self, content: &Digest, pictures: &[Picture], groups: &[String], copies: &[Pair]) -> Result<()> {
        let report = report::report(&self.sources, self.cutting.product, pictures, groups)?;
        let copies = duplicates::table(&duplicates::lines(&self.sources, pictures, copies))?;
        let name = content.short();
        let cells = report.cells.map(|cells| (format!("report/cells-{name}.csv"), cells));
        let tables = [
            (format!("report/images-{name}.csv"), report.images),
            (format!("report/labels-{name}.csv"), report.labels),
            (format!("report/copies-{name}.csv"), copies),
            (format!("report/quality-{name}.csv"), report.quality),
            (format!("report/config-{name}.json"), canonical_json(&self.config).into_bytes()),
        ];
        for (key, bytes) in tables.into_iter().chain(cells) {
            self.store.ensure(&key, bytes.into()).with_context(|| format!("write {}", self.store.uri_of(&key)))?;
        }
        Ok(())
    }

    /// Shards that an interrupted build of other content left behind are no part of the set and harm nobody but the disk.
    fn warn_of_strays(&self, manifest: &Manifest) -> Result<()> {
        let keys = self.store.list("shards")?;
        let strays: Vec<&String> =
            keys.iter().filter(|key| manifest.shards.iter().all(|shard| shard.key != **key)).collect();
        if let Some(first) = strays.first() {
            warn!(
                count = strays.len(),
                first, "shards of an interrupted build of other content lie here and may be deleted"
            );
        }
        Ok(())
    }

    fn summary(&self, pictures: &[Picture], manifest: &Manifest, digest: &Digest, found: u64) -> String {
        let bytes: Vec<u64> = self
            .sources
            .iter()
            .map(|located| {
                let entry = manifest.sources.iter().find(|source| source.name == located.source.name);
                entry.map_or(0, |source| source.bytes)
            })
            .collect();
        let mut text = report::summary(&self.sources, pictures, &bytes);
        let shards = manifest.shards.len() as u64;
        text.push_str(&format!(
            "\n\n{} {} in {} shards at {}, set {}",
            thousands(manifest.rows),
            manifest.product,
            thousands(shards),
            self.store.uri(),
            digest.short()
        ));
        if found > 0 {
            text.push_str(&format!("\n{} of the shards were found finished and not made again", thousands(found)));
        }
        text
    }
}

/// The side that all rows have, px; 0 where they differ.
fn common_side(pictures: &[Picture]) -> u32 {
    let mut cuts = pictures.iter().flat_map(|picture| &picture.used).flat_map(|used| &used.cuts);
    let Some(side) = cuts.next().map(|cut| cut.w) else { return 0 };
    if cuts.all(|cut| cut.w == side && cut.h == side) { side } else { 0 }
}
