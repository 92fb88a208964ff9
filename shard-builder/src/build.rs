//! `build`: sources in, a shard set out.
//!
//! First the place is taken ([`Target`]); then everything is read and planned ([`survey`](datasets::survey), [`plan`]); then the shards are encoded, a few at a time, and
//! published in a folder that names the planned content, with the fingerprints of its images beside them; then come the report, a card for people, and last the manifest, which makes the
//! set: once it is there, all of the set is. A build that was killed plans again, finds
//! its finished shards by their keys, makes damaged ones again, goes on, and removes at its end what the killed one left. Nothing in a set depends on the number of threads, on the folder of a
//! source, on the clock, or on how often the build was interrupted.

use std::collections::BTreeSet;

use anyhow::{Context, Error, Result, anyhow, bail};
use datasets::reading::LocatedSource;
use datasets::sampling::{DrawnPile, Sampling, sampling_table};
use datasets::schema::{FlawAction, Source};
use datasets::survey::{
    CopySearch, ImageRecord, RowSink, SurveyOptions, cell_table, copy_table, count_by_source, find_copies, image_table,
    joined_groups, label_table, quality_table, rank_copies, survey,
};
use near_copies::{FoundCopies, Pair};
use rayon::prelude::*;
use run_spec::ids::{Digest, Product, canonical_json, digest_json};
use serde_json::{Value, json};
use shards::{
    Codec, FinishedShard, Header, Manifest, RowMeta, ShardLimits, ShardWriter, planned_shard_key, report_key,
    split_shard_key,
};
use tracing::debug;

use crate::advice;
use crate::builder_share::BuilderShare;
use crate::card::{self, Card, CardLine, DataFiles};
use crate::cli::{BuildArgs, NearCopies, UnknownScale, VERSION};
use crate::copy_counts::{count_pairs, only_alike};
use crate::costs::{Costs, Step};
use crate::encode::{Encoder, SpoolSink};
use crate::fingerprints;
use crate::plan::{self, PlannedShard, Sharing};
use crate::progress::Progress;
use crate::resume::Resumed;
use crate::set_report::IGNORED;
use crate::sources::{self, Sources, locate};
use crate::spool::Spool;
use crate::summary;
use crate::target::Target;
use crate::use_split::{self, SplitPlan, UseSplit};
use crate::verify::verify_set;
use terminal::{counted, thousands};

/// Shards that are made at once, at most: each is in memory as rows and as a file, some 200 MB, until it is in the store.
const AT_A_TIME: usize = 4;
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
    let Sources { located: sources, data } = locate(described(args)?, &args.place)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs).build().context("cannot start threads")?;
    let options = SurveyOptions {
        product: args.product,
        patch_px: args.size,
        limits: args.decoding.limits(),
        um_per_px: args.um_per_px,
        measured: true,
        fingerprints: true,
    };
    let rows_per_shard = args.rows_per_shard.unwrap_or(match args.product {
        Product::Patches => PATCHES_PER_SHARD,
        Product::Cells => CELLS_PER_SHARD,
    });
    let sampling = sampling(args, &sources)?;
    let splits = SplitPlan::of(&args.splits);
    let mut config = configuration(&sources, &options, args.near_copies, rows_per_shard);
    // Not named where they are not asked for, as `um_per_px`.
    if let Some(sampling) = &sampling {
        config["sampling"] = serde_json::to_value(sampling)?;
    }
    if let Some(splits) = splits {
        config["splits"] = splits.described();
    }
    let target = Target::take(&args.out, digest_json(&config), &data)?;
    let spool_bytes = u64::from(args.spool_gib) << 30;
    let copies = match args.near_copies {
        NearCopies::Join => CopySearch::Near,
        NearCopies::Ignore => CopySearch::Exact,
    };
    let share = args.part;
    let build = Build {
        config,
        sources,
        options,
        copies,
        sampling,
        splits,
        rows_per_shard,
        target,
        share,
        spool_bytes,
        costs: Costs::default(),
    };
    let mut text = pool.install(|| build.run())?;
    if args.verify {
        text.push_str(&format!("\n\n{}", verify_set(&args.out)?));
    }
    Ok(text)
}

/// The file that says which rows are drawn, if there is one.
fn sampling(args: &BuildArgs, sources: &[LocatedSource]) -> Result<Option<Sampling>> {
    let Some(file) = &args.sample else { return Ok(None) };
    let bytes = terminal::read_file("sampling (--sample)", file)?;
    let sampling = Sampling::parse(&bytes, &file.display().to_string())?;
    sampling.check_sources(sources).with_context(|| format!("--sample {}", file.display()))?;
    Ok(Some(sampling))
}

/// The descriptions, with what the command line says where they do not.
fn described(args: &BuildArgs) -> Result<Vec<Source>> {
    let mut sources = sources::read(&args.sources)?;
    for source in &mut sources {
        let says_scale = source.um_per_px.is_some() || source.slides.is_some();
        if args.um_per_px.is_some() && !says_scale && args.unknown_scale == UnknownScale::Refuse {
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
            if action.is_none() && default != FlawAction::Keep {
                *action = Some(default);
            }
        }
    }
    Ok(sources)
}

/// All that decides the content of a set, apart from the sources' files: no folder, no number of threads.
fn configuration(
    sources: &[LocatedSource],
    options: &SurveyOptions,
    near_copies: NearCopies,
    rows_per_shard: u32,
) -> Value {
    let descriptions: Vec<_> = sources.iter().map(|located| &located.source).collect();
    let size_px = match options.product {
        Product::Patches => Some(options.patch_px),
        Product::Cells => None,
    };
    let mut configuration = json!({
        "builder": format!("shard-builder {VERSION}"),
        "product": options.product,
        "size_px": size_px,
        "rows_per_shard": rows_per_shard,
        "codec": CODEC,
        "max_pixels": options.limits.pixels,
        "max_file_bytes": options.limits.file_bytes,
        "near_copies": if near_copies == NearCopies::Join { "join" } else { IGNORED },
        "sources": descriptions,
    });
    // Not named where it is not asked for: sets without it keep the digest that they had before it existed.
    if let Some(um) = options.um_per_px {
        configuration["um_per_px"] = json!(um);
    }
    configuration
}

struct Build {
    sources: Vec<LocatedSource>,
    options: SurveyOptions,
    copies: CopySearch,
    sampling: Option<Sampling>,
    splits: Option<SplitPlan>,
    rows_per_shard: u32,
    config: Value,
    target: Target,
    share: BuilderShare,
    spool_bytes: u64,
    costs: Costs,
}

/// What the first pass found: every row of the set, and nothing written yet.
struct Plan {
    spool: Option<Spool>,
    images: Vec<ImageRecord>,
    copies: Vec<Pair>,
    /// Pairs that are alike and no copies.
    alike: usize,
    groups: Vec<String>,
    /// What was drawn of each pile, where rows are drawn.
    drawn: Vec<DrawnPile>,
    /// The split of each image, in a set with splits.
    splits: Option<Vec<UseSplit>>,
    shards: Vec<PlannedShard>,
    /// Digest of all that is planned, which names the folder of the shards.
    content: Digest,
}

impl Build {
    fn run(&self) -> Result<String> {
        let mut plan = self.plan().inspect_err(|_| self.target.release())?;
        let fingerprints = fingerprints::write(&self.target.store, &plan.content, &self.sources, &mut plan.images)?;
        let encoder = Encoder {
            sources: &self.sources,
            images: &plan.images,
            groups: &plan.groups,
            limits: self.options.limits,
            codec: CODEC,
            spool: plan.spool.as_ref(),
        };
        let (manifest, resumed) = self.write_shards(&plan, &encoder)?;
        let stays = self.write_report(&plan)?;
        let tally = count_pairs(&rank_copies(&self.sources, &plan.images, &plan.copies), self.copies);
        let card = self.card(&plan, &manifest, &tally).text();
        fingerprints::publish(&self.target.store, &manifest, fingerprints)?;
        let (digest, kept) = self.target.publish(&manifest, card, card::examples(&plan.shards, &encoder)?)?;
        let mut text = format!("{}\n{tally}", self.summary(&plan.images, &manifest, &digest, resumed));
        text.push_str(&stays);
        text.push_str(&kept);
        text.extend(plan.drawn.iter().map(drawn_sentence));
        text.extend(plan.splits.as_ref().map(|splits| use_split::summary(&plan.images, &plan.groups, splits)));
        text.push_str(&only_alike(plan.alike));
        let copies = report_key(&plan.content, "copies", "csv");
        for warning in plan::much_joined(&self.sources, &plan.images, &plan.groups, (self.copies, &copies)) {
            text.push_str(&format!("\nwarning: {warning}"));
        }
        let cut = (self.options.product, self.options.patch_px);
        for advice in advice::sentences(&self.sources, &plan.images, cut) {
            text.push_str(&format!("\nnote: {advice}"));
        }
        Ok(text)
    }

    /// The first pass: reads everything, writes nothing.
    fn plan(&self) -> Result<Plan> {
        self.target.expect_room(&self.sources, self.options.product)?;
        let spool = self.spool()?;
        let sink = spool.as_ref().map(|spool| SpoolSink { spool, codec: CODEC });
        let sink = sink.as_ref().map(|sink| sink as &dyn RowSink);
        let first_pass = || survey(&self.sources, self.options, sink, &self.costs);
        let mut images = self.costs.step(Step::Survey, first_pass)?;
        let drawn = self.sampling.as_ref().map_or_else(Vec::new, |sampling| sampling.draw(&self.sources, &mut images));
        if images.iter().all(|image| image.used.is_err()) {
            return Err(self.no_rows(&images));
        }
        let limits = self.options.limits;
        let search = || find_copies(&self.sources, &mut images, self.copies, limits, &self.costs);
        let FoundCopies { pairs: copies, alike } = self.costs.step(Step::Copies, search);
        let groups = joined_groups(&self.sources, &images, &copies);
        let splits = self.splits.map(|splits| splits.of_images(&self.sources, &images, &groups));
        let sharing = Sharing {
            config: &digest_json(&self.config),
            product: self.options.product,
            rows_per_shard: self.rows_per_shard as usize,
            splits: splits.as_deref(),
        };
        let shards = plan::shards(sharing, &self.sources, &images, &groups);
        if shards.is_empty() {
            return Err(self.no_rows(&images));
        }
        let content = Digest::of(shards.iter().map(|shard| shard.content.to_string()).collect::<String>().as_bytes());
        self.target.verify_same(&content)?;
        // What is known of the bytes to be written: an interrupted build has written some, and other builders write their part.
        let known = spool.as_ref().map_or(0, Spool::bytes);
        self.target.verify_ready(known)?;
        Ok(Plan { spool, images, copies, alike, groups, drawn, splits, shards, content })
    }

    /// Why there is no row at all.
    fn no_rows(&self, images: &[ImageRecord]) -> Error {
        let summary = summary::summary(&self.sources, images, &vec![0; self.sources.len()]);
        anyhow!(
            "no image was used, so there is no set; the reasons:\n{summary}{}",
            summary::labels_unused(&self.sources, images)
        )
    }

    /// The second pass. Returns the manifest, and what was there of an earlier attempt.
    fn write_shards(&self, plan: &Plan, encoder: &Encoder<'_>) -> Result<(Manifest, Resumed)> {
        let mut shards: Vec<Option<FinishedShard>> = vec![None; plan.shards.len()];
        let mut resumed = Resumed::default();
        let progress = Progress::start("write shards", plan.shards.len() as u64);
        let order: Vec<usize> = self.share.order(plan.shards.len()).collect();
        for together in order.chunks(AT_A_TIME) {
            let make = |number: &usize| {
                let made = self.numbered_shard(plan, *number, encoder);
                progress.tick();
                made
            };
            let made: Vec<Result<_>> = together.par_iter().with_max_len(1).map(make).collect();
            for (number, made) in together.iter().zip(made) {
                let (finished, seen) = made?;
                shards[*number] = Some(finished);
                resumed.add(seen);
            }
        }
        progress.end();
        self.costs.log();
        let product = self.options.product;
        let mut manifest = Manifest::builder(Header {
            product,
            codec: CODEC,
            builder: format!("shard-builder {VERSION}"),
            config: digest_json(&self.config),
            patch_px: match product {
                Product::Patches => self.options.patch_px,
                Product::Cells => common_side(&plan.images),
            },
        });
        shards.iter().flatten().for_each(|shard| manifest.add(shard));
        Ok((manifest.finish(), resumed))
    }

    fn card<'a>(&'a self, plan: &Plan, manifest: &Manifest, copies: &'a str) -> Card<'a> {
        let used = self.sources.iter().zip(count_by_source(self.sources.len(), &plan.images));
        let lines =
            used.filter(|(_, tally)| tally.rows > 0).map(|(located, tally)| CardLine::of(&located.source, tally));
        let groups: BTreeSet<&str> = plan.groups.iter().map(String::as_str).filter(|group| !group.is_empty()).collect();
        Card {
            product: self.options.product,
            lines: lines.collect(),
            groups: groups.len() as u64,
            flaws: summary::flaws(&self.sources, &plan.images),
            copies,
            files: DataFiles::of(manifest),
            left_out: String::new(),
        }
    }

    /// A place for what the first pass encodes. None where most shards may be there already, or are made by others.
    fn spool(&self) -> Result<Option<Spool>> {
        if self.spool_bytes == 0 || !self.share.is_whole() || !self.target.is_empty() {
            return Ok(None);
        }
        Spool::new(self.spool_bytes)
            .map(Some)
            .context("cannot make a temporary file (set TMPDIR to another folder, or use --spool-gib 0)")
    }

    /// Shard `number` of the plan without its bytes, which are in the store, and whether it was there.
    fn numbered_shard(&self, plan: &Plan, number: usize, encoder: &Encoder<'_>) -> Result<(FinishedShard, Resumed)> {
        let planned = &plan.shards[number];
        let key = match planned.split {
            Some(split) => split_shard_key(&plan.content, split.name(), number as u64),
            None => planned_shard_key(&plan.content, number as u64),
        };
        let mut seen = Resumed::default();
        let mut finished = self.shard(&key, planned, encoder, &mut seen)?;
        finished.bytes.clear();
        Ok((finished, seen))
    }

    /// The shard, made or found finished.
    fn shard(
        &self,
        key: &str,
        shard: &PlannedShard,
        encoder: &Encoder<'_>,
        resumed: &mut Resumed,
    ) -> Result<FinishedShard> {
        let (store, product) = (&self.target.store, self.options.product);
        let planned = shard.rows.len() as u64;
        let is_planned = |place: usize, there: &RowMeta| encoder.is_of(&shard.rows[place], there);
        if let Some(finished) = resumed.find(store, key, (planned, product, CODEC), is_planned)? {
            return Ok(finished);
        }
        let mut writer = ShardWriter::new(product, CODEC, ShardLimits::default());
        if let Some(split) = shard.split {
            writer = writer.of_split(use_split::shard_split(&self.sources, split));
        }
        let rows = self.costs.step(Step::Take, || encoder.rows(&shard.rows))?;
        let assemble = || {
            rows.into_iter().try_for_each(|row| writer.push(row))?;
            writer.finish(key)
        };
        let finished = self.costs.step(Step::Assemble, assemble)?;
        let upload = || finished.publish(store).with_context(|| format!("cannot write {}", store.uri_of(key)));
        self.costs.step(Step::Upload, upload)?;
        debug!(key, rows = shard.rows.len(), bytes = finished.entry.bytes, "shard");
        Ok(finished)
    }

    /// Writes the report, and returns what to print of tables that stay as they are.
    fn write_report(&self, plan: &Plan) -> Result<String> {
        let (sources, images) = (&self.sources, &plan.images);
        let tables = [
            ("images", "csv", image_table(sources, images, &plan.groups)?),
            ("labels", "csv", label_table(sources, images)?),
            ("copies", "csv", copy_table(&rank_copies(sources, images, &plan.copies))?),
            ("quality", "csv", quality_table(sources, images, self.options.product)?),
            ("config", "json", canonical_json(&self.config).into_bytes()),
        ];
        let cells = cell_table(sources, images)?;
        let sampling = self.sampling.as_ref().map(|_| sampling_table(&plan.drawn)).transpose()?;
        let all = tables.into_iter().chain(cells.map(|cells| ("cells", "csv", cells)));
        let all = all.chain(sampling.map(|sampling| ("sampling", "csv", sampling)));
        let files: Vec<(String, Vec<u8>)> =
            all.map(|(table, ending, bytes)| (report_key(&plan.content, table, ending), bytes)).collect();
        self.target.write_report(&files)
    }

    fn summary(&self, images: &[ImageRecord], manifest: &Manifest, digest: &Digest, resumed: Resumed) -> String {
        let bytes: Vec<u64> = self
            .sources
            .iter()
            .map(|located| {
                let entry = manifest.sources.iter().find(|source| source.name == located.source.name);
                entry.map_or(0, |source| source.bytes)
            })
            .collect();
        let mut text = summary::summary(&self.sources, images, &bytes);
        let shards = manifest.shards.len() as u64;
        text.push_str(&format!(
            "\n\n{} {} in {} at {}, set {}",
            thousands(manifest.rows),
            manifest.product,
            counted(shards, "shard"),
            self.target.store.uri(),
            digest.short()
        ));
        text.push_str(&format!("\nto read them with pandas, DuckDB or datasets: {}", manifest.shard_glob()));
        text.push_str(&resumed.to_string());
        text
    }
}

/// A line on what was drawn of a pile.
fn drawn_sentence(pile: &DrawnPile) -> String {
    let DrawnPile { name, there, wanted, drawn, .. } = pile;
    let [there, wanted, drawn_rows] = [there, wanted, drawn].map(|rows| thousands(*rows));
    let short = if pile.drawn < pile.wanted { "; there are no more" } else { "" };
    format!("\ndrawn: {drawn_rows} of {there} rows of {name:?}, {wanted} wanted{short}")
}

/// The side that all rows have, px; 0 where they differ.
fn common_side(images: &[ImageRecord]) -> u32 {
    let mut cuts = images.iter().flat_map(ImageRecord::cuts);
    let Some(side) = cuts.next().map(|cut| cut.w) else { return 0 };
    if cuts.all(|cut| cut.w == side && cut.h == side) { side } else { 0 }
}
