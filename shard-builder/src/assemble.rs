//! `build`: sources in, a shard set out.
//!
//! First the place is taken ([`Target`]); then everything is read and planned ([`survey`], [`plan`]); then shard after shard is encoded and
//! published in a folder that names the planned content; then come the report, a card for people, and last the manifest, which makes the
//! set: once it is there, all of the set is. A build that was killed plans again, finds
//! its finished shards by their keys, makes damaged ones again, goes on, and removes at its end what the killed one left. Nothing in a set depends on the number of threads, on the folder of a
//! source, on the clock, or on how often the build was interrupted.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use run_spec::ids::{Digest, Product, canonical_json, digest_json};
use serde_json::{Value, json};
use shards::{
    Codec, FinishedShard, Header, Manifest, RowMeta, ShardLimits, ShardWriter, planned_shard_key, report_key,
};
use tracing::debug;

use crate::card::{self, Card, CardLine};
use crate::cli::{BuildArgs, NearCopies, UnknownScale, VERSION};
use crate::duplicates;
use crate::encode::Encoder;
use crate::locate::{Places, locate};
use crate::output::{Progress, thousands};
use crate::part::Part;
use near_copies::{FoundCopies, Pair};

use crate::plan::{self, PlannedShard};
use crate::report;
use crate::resumed::Resumed;
use crate::source::describe::{Source, read_sources};
use crate::source::quality_rule::Action;
use crate::spool::Spool;
use crate::survey::{Cutting, Located, Picture, survey};
use crate::target::Target;

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
    let Places { sources, data } = locate(described(args)?, &args.place)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("start threads")?;
    let cutting = Cutting {
        product: args.product,
        size: args.size,
        limits: args.decoding.limits(),
        um_per_px: args.um_per_px,
        measured: true,
        fingerprints: args.near_copies == NearCopies::Join,
    };
    let rows_per_shard = args.rows_per_shard.unwrap_or(match args.product {
        Product::Patches => PATCHES_PER_SHARD,
        Product::Cells => CELLS_PER_SHARD,
    });
    let config = configuration(&sources, &cutting, rows_per_shard);
    let target = Target::take(&args.out, digest_json(&config), &data)?;
    let spool_bytes = u64::from(args.spool_gib) << 30;
    let build = Build { config, sources, cutting, rows_per_shard, target, part: args.part, spool_bytes };
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
    target: Target,
    part: Part,
    spool_bytes: u64,
}

/// What the first pass found: every row of the set, and nothing written yet.
struct Plan {
    spool: Option<Spool>,
    pictures: Vec<Picture>,
    copies: Vec<Pair>,
    /// Pairs that are alike and no copies.
    alike: usize,
    groups: Vec<String>,
    shards: Vec<PlannedShard>,
    /// Digest of all that is planned, which names the folder of the shards.
    content: Digest,
}

impl Build {
    fn run(&self) -> Result<String> {
        let plan = self.plan().inspect_err(|_| self.target.release())?;
        let encoder = Encoder {
            sources: &self.sources,
            pictures: &plan.pictures,
            groups: &plan.groups,
            limits: self.cutting.limits,
            codec: CODEC,
            spool: plan.spool.as_ref(),
        };
        let (manifest, resumed) = self.write_shards(&plan, &encoder)?;
        let stays = self.write_report(&plan)?;
        let lines = duplicates::lines(&self.sources, &plan.pictures, &plan.copies);
        let tally = duplicates::tally(&lines);
        let card = self.card(&plan, &manifest, &tally).text();
        let (digest, kept) = self.target.publish(&manifest, card, card::examples(&plan.shards, &encoder)?)?;
        let mut text = format!("{}\n{tally}", self.summary(&plan.pictures, &manifest, &digest, resumed));
        text.push_str(&stays);
        text.push_str(&kept);
        text.push_str(&duplicates::only_alike(plan.alike));
        for warning in plan::much_joined(&self.sources, &plan.pictures, &plan.groups) {
            text.push_str(&format!("\nwarning: {warning}"));
        }
        Ok(text)
    }

    /// The first pass: reads everything, writes nothing.
    fn plan(&self) -> Result<Plan> {
        self.target.expect_room(&self.sources, self.cutting.product)?;
        let spool = self.spool()?;
        let mut pictures = survey(&self.sources, self.cutting, spool.as_ref().map(|spool| (spool, CODEC)))?;
        let FoundCopies { pairs: copies, alike } = plan::copies(&self.sources, &mut pictures, self.cutting.limits);
        let groups = plan::groups(&self.sources, &pictures, &copies);
        let (config, product) = (digest_json(&self.config), self.cutting.product);
        let shards = plan::shards(&config, product, &self.sources, &pictures, &groups, self.rows_per_shard as usize);
        if shards.is_empty() {
            let summary = report::summary(&self.sources, &pictures, &vec![0; self.sources.len()]);
            bail!("no row comes of this\n{summary}{}", report::labels_unused(&self.sources, &pictures));
        }
        let content = Digest::of(shards.iter().map(|shard| shard.content.to_string()).collect::<String>().as_bytes());
        self.target.verify_same(&content)?;
        // What is known of the bytes to be written: an interrupted build has written some, and other builders write their part.
        let known = if spool.is_some() { pictures.iter().map(Picture::spooled_bytes).sum() } else { 0 };
        self.target.verify_ready(known)?;
        Ok(Plan { spool, pictures, copies, alike, groups, shards, content })
    }

    /// The second pass. Returns the manifest, and what was there of an earlier attempt.
    fn write_shards(&self, plan: &Plan, encoder: &Encoder<'_>) -> Result<(Manifest, Resumed)> {
        let mut shards: Vec<Option<FinishedShard>> = vec![None; plan.shards.len()];
        let mut resumed = Resumed::default();
        let progress = Progress::start("write shards", plan.shards.len() as u64);
        for number in self.part.order(plan.shards.len()) {
            let key = planned_shard_key(&plan.content, number as u64);
            let mut finished = self.shard(&key, &plan.shards[number], encoder, &mut resumed)?;
            finished.bytes.clear();
            shards[number] = Some(finished);
            progress.tick();
        }
        progress.end();
        let product = self.cutting.product;
        let mut manifest = Manifest::builder(Header {
            product,
            codec: CODEC,
            builder: format!("shard-builder {VERSION}"),
            config: digest_json(&self.config),
            patch_px: match product {
                Product::Patches => self.cutting.size,
                Product::Cells => common_side(&plan.pictures),
            },
        });
        shards.iter().flatten().for_each(|shard| manifest.add(shard));
        Ok((manifest.finish(), resumed))
    }

    fn card<'a>(&'a self, plan: &Plan, manifest: &Manifest, copies: &'a str) -> Card<'a> {
        let used = self.sources.iter().zip(report::tallies(&self.sources, &plan.pictures));
        let lines =
            used.filter(|(_, tally)| tally.rows > 0).map(|(located, tally)| CardLine::of(&located.source, tally));
        let groups: BTreeSet<&str> = plan.groups.iter().map(String::as_str).filter(|group| !group.is_empty()).collect();
        Card {
            product: self.cutting.product,
            lines: lines.collect(),
            groups: groups.len() as u64,
            flaws: report::flaws(&self.sources, &plan.pictures),
            copies,
            glob: manifest.shard_glob(),
        }
    }

    /// A place for what the first pass encodes. None where most shards may be there already, or are made by others.
    fn spool(&self) -> Result<Option<Spool>> {
        if self.spool_bytes == 0 || !self.part.is_whole() || !self.target.is_empty() {
            return Ok(None);
        }
        Spool::new(self.spool_bytes)
            .map(Some)
            .context("make a temporary file (TMPDIR says where; --spool-gib 0 goes without)")
    }

    /// The shard, made or found finished.
    fn shard(
        &self,
        key: &str,
        shard: &PlannedShard,
        encoder: &Encoder<'_>,
        resumed: &mut Resumed,
    ) -> Result<FinishedShard> {
        let (store, product) = (&self.target.store, self.cutting.product);
        let planned = shard.rows.len() as u64;
        let is_planned = |place: usize, there: &RowMeta| encoder.is_of(&shard.rows[place], there);
        if let Some(finished) = resumed.find(store, key, (planned, product, CODEC), is_planned)? {
            return Ok(finished);
        }
        let mut writer = ShardWriter::new(product, CODEC, ShardLimits::default());
        for row in encoder.rows(&shard.rows)? {
            writer.push(row)?;
        }
        let finished = writer.finish(key)?;
        finished.publish(store).with_context(|| format!("write {}", store.uri_of(key)))?;
        debug!(key, rows = shard.rows.len(), bytes = finished.entry.bytes, "shard");
        Ok(finished)
    }

    /// Writes the report, and returns what to print of tables that stay as they are.
    fn write_report(&self, plan: &Plan) -> Result<String> {
        let report = report::report(&self.sources, self.cutting.product, &plan.pictures, &plan.groups)?;
        let copies = duplicates::table(&duplicates::lines(&self.sources, &plan.pictures, &plan.copies))?;
        let tables = [
            ("images", "csv", report.images),
            ("labels", "csv", report.labels),
            ("copies", "csv", copies),
            ("quality", "csv", report.quality),
            ("config", "json", canonical_json(&self.config).into_bytes()),
        ];
        let all = tables.into_iter().chain(report.cells.map(|cells| ("cells", "csv", cells)));
        let files: Vec<(String, Vec<u8>)> =
            all.map(|(table, ending, bytes)| (report_key(&plan.content, table, ending), bytes)).collect();
        self.target.write_report(&files)
    }

    fn summary(&self, pictures: &[Picture], manifest: &Manifest, digest: &Digest, resumed: Resumed) -> String {
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
            self.target.store.uri(),
            digest.short()
        ));
        text.push_str(&format!("\nother readers find its shards by {}", manifest.shard_glob()));
        text.push_str(&resumed.to_string());
        text
    }
}

/// The side that all rows have, px; 0 where they differ.
fn common_side(pictures: &[Picture]) -> u32 {
    let mut cuts = pictures.iter().flat_map(|picture| &picture.used).flat_map(|used| &used.cuts);
    let Some(side) = cuts.next().map(|cut| cut.w) else { return 0 };
    if cuts.all(|cut| cut.w == side && cut.h == side) { side } else { 0 }
}
