//! The command line.

use std::path::PathBuf;

mod examples;

use clap::{Args, Parser, Subcommand, ValueEnum};
use datasets::schema::FlawAction;
use imaging::DecodeLimits;
use run_spec::ids::Product;

use crate::builder_share::BuilderShare;

/// Version with the commit it was built from.
pub(crate) const VERSION: &str = env!("REDDINO_VERSION");

/// Turn blood-smear datasets into shard sets (Parquet), and check, split and compare those.
#[derive(Debug, Parser)]
#[command(name = "shard-builder", version = VERSION, max_term_width = 100)]
pub(crate) struct Cli {
    /// The command that is run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at a folder without a description, and write a first description of it.
    Describe(DescribeArgs),
    /// Cut the images of described sources into patches or cells, and write them as a shard set.
    Build(BuildArgs),
    /// Report images that are copies of each other, within and across sources and between training and evaluation.
    Duplicates(DuplicatesArgs),
    /// Find images that a training set and an evaluation set share, and write a record of them.
    Leaks(LeaksArgs),
    /// Write a new set without one source, or without copies of evaluation images, and list the results that used the old one.
    Remove(RemoveArgs),
    /// Print the differences between two shard sets.
    Diff(DiffArgs),
    /// Find cells in images or masks, and compare them with the labels.
    Segment(SegmentArgs),
    /// Write a split, which assigns each group of images to a fold.
    Split(SplitArgs),
    /// Check a shard set: digests, counts, and that no group is in two folds of a split.
    Verify(VerifyArgs),
    /// Show the contents of a shard set.
    Show(ShowArgs),
    /// Make images of synthetic blood smears, to try and to test the tools.
    Synth(SynthArgs),
    /// Print the JSON schema of a source description or of a sampling, for editors and checkers; `configs/schema/` has the same files.
    Schema(SchemaArgs),
    /// Print the code version.
    Version {
        /// Print it as a JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `schema`: of which kind of file.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// A kind of file.
    #[arg(value_name = "source|sampling", default_value = "source")]
    pub(crate) kind: SchemaKind,
}

/// A kind of file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// The description of a source.
    Source,
    /// Which rows a balanced set draws.
    Sampling,
}

/// Arguments of `describe`: the folder, and where description and contact sheet go.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The folder or archive of a dataset.
    pub(crate) folder: PathBuf,
    /// File for the description, instead of the terminal; an existing file is not overwritten.
    #[arg(long, value_name = "FILE.yaml")]
    pub(crate) out: Option<PathBuf>,
    /// Draw some images with the labels that were found.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
    /// Largest unpacked size of a tar.gz, in bytes.
    #[arg(long, value_name = "N", default_value_t = 256 << 30)]
    pub(crate) max_archive_bytes: u64,
    #[command(flatten)]
    pub(crate) decoding: DecodeArgs,
}

/// Arguments of `build`: sources, the set to write, and what is cut from the images.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A source description, or a folder of them (docs/sources.md).
    pub(crate) sources: PathBuf,
    /// Folder or URI of the new shard set: a path, file://, s3://, gs:// or az://.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Fields of view cut into squares, or one square for each cell: around its label, or where `cells` of the description finds it.
    #[arg(long, value_name = "patches|cells", default_value = "patches")]
    pub(crate) product: Product,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Number of threads; 0 takes all cores. The result does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Side of a patch, in pixels. Cells take their size from their source.
    #[arg(long, value_name = "PX", default_value_t = 224, value_parser = clap::value_parser!(u32).range(8..=8192))]
    pub(crate) size: u32,
    /// Rows in a shard [default: 1024 patches, 8192 cells].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows_per_shard: Option<u32>,
    #[command(flatten)]
    pub(crate) decoding: DecodeArgs,
    /// This is builder I of N that write one set together: the same command on N machines, each with its own I.
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    pub(crate) part: BuilderShare,
    /// Show every source at this scale, in micrometres of the specimen to a pixel. Without it each source keeps its own, as in
    /// the published training.
    #[arg(long, help_heading = "Scale", value_name = "UM", value_parser = parse_scale)]
    pub(crate) um_per_px: Option<f64>,
    /// With --um-per-px: what to do with sources of unknown scale.
    #[arg(long, help_heading = "Scale", value_name = "refuse|keep", default_value = "refuse")]
    pub(crate) unknown_scale: UnknownScale,
    /// What to do with blank rows (background only), unless the source's description says it.
    #[arg(long, help_heading = "Flawed rows and copies", value_name = "keep|flag|drop", default_value = "keep")]
    pub(crate) blank: FlawAction,
    /// What to do with rows out of focus, unless the source's description says it.
    #[arg(long, help_heading = "Flawed rows and copies", value_name = "keep|flag|drop", default_value = "keep")]
    pub(crate) out_of_focus: FlawAction,
    /// What to do with saturated rows (overexposed: more than half of the pixels at the maximum of a channel), unless the source's description says it.
    #[arg(long, help_heading = "Flawed rows and copies", value_name = "keep|flag|drop", default_value = "keep")]
    pub(crate) saturated: FlawAction,
    /// What to do with copies that were rotated, mirrored, recompressed, resized or cropped.
    #[arg(long, help_heading = "Flawed rows and copies", value_name = "join|ignore", default_value = "join")]
    pub(crate) near_copies: NearCopies,
    /// Largest size in GiB of a temporary file (under TMPDIR) that saves decoding images twice; 0: no such file.
    #[arg(long, value_name = "GIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    pub(crate) spool_gib: u32,
    /// Verify the set once it is written, as `verify` does.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Draw rows by source and label, so that the set is balanced: a file such as configs/sampling/white-cells.yaml. Without it the set has all rows.
    #[arg(long, value_name = "FILE")]
    pub(crate) sample: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) splits: SplitsArgs,
}

/// Splits that other readers see.
#[derive(Debug, Args)]
#[command(next_help_heading = "Splits")]
pub(crate) struct SplitsArgs {
    /// Which rows `datasets.load_dataset` gives as `train` and which as `test`: by the role of their source, or by group.
    #[arg(long, value_name = "none|role|grouped", default_value = "none")]
    pub(crate) splits: SplitArg,
    /// Share of the rows of training sources that are `test`, with --splits grouped.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_share)]
    pub(crate) test_share: f64,
    /// Seed of the choice of groups, with --splits grouped.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) test_seed: u64,
}

/// How rows are split for other readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitArg {
    /// All rows are `train`, as readers take a set without splits.
    None,
    /// Rows of sources with `role: evaluation` are `test`.
    Role,
    /// These, and groups of the other sources; no group is in both.
    Grouped,
}

/// Arguments of `leaks`: the two sets, and where the record goes.
#[derive(Debug, Args)]
pub(crate) struct LeaksArgs {
    /// Folder or URI of the shard set that is trained on.
    pub(crate) train: String,
    /// Folder or URI of the shard set that is evaluated on.
    pub(crate) evaluation: String,
    /// Store for the record, in its folder `leaks/`, for example that of a sweep [default: the evaluation set's folder].
    #[arg(long, value_name = "URI")]
    pub(crate) out: Option<String>,
    /// Pairs on the contact sheet.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) pairs: u32,
    /// Number of threads; 0 takes all cores. The result does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
}

/// Arguments of `remove`: a set, what to leave out, and the new set.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Folder or URI of the shard set.
    pub(crate) uri: String,
    /// The source to leave out.
    #[arg(long, value_name = "NAME", required_unless_present = "images_in", conflicts_with = "images_in")]
    pub(crate) source: Option<String>,
    /// An evaluation set, or the record that `leaks` wrote: all images that are copies of images of that set are left out.
    #[arg(long, value_name = "URI")]
    pub(crate) images_in: Option<String>,
    /// Folder or URI of the new set.
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// A folder or store of runs or sweeps whose records are searched for the old set. May be repeated.
    #[arg(long, value_name = "URI")]
    pub(crate) results: Vec<String>,
}

/// Arguments of `diff`: the two sets to compare.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Folder or URI of a shard set.
    pub(crate) a: String,
    /// Folder or URI of the set that it is compared with.
    pub(crate) b: String,
}

/// Arguments of `segment`: sources, and the folder for the cells that are found.
#[derive(Debug, Args)]
pub(crate) struct SegmentArgs {
    /// A source description, or a folder of them (docs/sources.md).
    pub(crate) sources: PathBuf,
    /// Folder for `cells.csv` and for pictures with outlines.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Usual diameter of a red cell in pixels, instead of that in the description (`cells.segment`).
    #[arg(long, value_name = "PX")]
    pub(crate) diameter: Option<f64>,
    /// Pictures with outlines per source.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) pictures: u32,
    /// Number of threads; 0 takes all cores. The result does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) decoding: DecodeArgs,
}

/// Where the datasets lie.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where the datasets are")]
pub(crate) struct PlaceArgs {
    /// Folder that holds one folder, or one zip, tar, tar.gz or tgz, per source.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Folder or archive of one source, instead of a folder under --data. May be repeated.
    #[arg(long, value_name = "NAME=PATH", value_parser = parse_root)]
    pub(crate) root: Vec<(String, PathBuf)>,
    /// Leave out sources without a folder instead of stopping.
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// Leave out sources whose licence is not known to be permissive (MIT, BSD, Apache 2.0, CC0, CC BY and their like).
    #[arg(long, value_name = "any|permissive", default_value = "any")]
    pub(crate) licences: Licences,
    /// Largest unpacked size of a tar.gz, in bytes; it is unpacked into a temporary file.
    #[arg(long, value_name = "N", default_value_t = 256 << 30)]
    pub(crate) max_archive_bytes: u64,
}

/// Which licences sources may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Licences {
    /// Every licence, known or not.
    Any,
    /// Those that let anyone use, change and pass on the images.
    Permissive,
}

/// What to do with sources of unknown scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnknownScale {
    /// The build stops and names them.
    Refuse,
    /// They keep their own scale.
    Keep,
}

/// What to do with near-copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NearCopies {
    /// They share a group, so no split can divide them.
    Join,
    /// Do not search for near-copies. Images with equal bytes or pixels still share a group.
    Ignore,
}

/// Arguments of `duplicates`: sources, and the folder for the copies that are found.
#[derive(Debug, Args)]
pub(crate) struct DuplicatesArgs {
    /// A source description, or a folder of them (docs/sources.md).
    pub(crate) sources: PathBuf,
    /// Folder for `duplicates.csv` and `duplicates.png`.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// A source on which models are evaluated, besides those that say `role: evaluation`. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) evaluation: Vec<String>,
    /// Search with short codes, as is always done from 20,000 images on; otherwise all pairs are compared.
    #[arg(long)]
    pub(crate) index: bool,
    /// Pairs on the contact sheet, the worst first.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) pairs: u32,
    /// Number of threads; 0 takes all cores. The result does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
    #[command(flatten)]
    pub(crate) decoding: DecodeArgs,
}

/// Arguments of `split`: a set, and how its groups are dealt to folds.
#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// Folder or URI of the shard set.
    pub(crate) uri: String,
    /// Name of the split: letters, digits, `-`, `_`.
    #[arg(long)]
    pub(crate) name: String,
    /// How groups are assigned to folds.
    #[arg(long)]
    pub(crate) kind: SplitKind,
    /// Folds of a grouped k-fold split.
    #[arg(long, default_value_t = 5)]
    pub(crate) folds: u32,
    /// Seed of a grouped k-fold split.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// How groups are shared out to folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitKind {
    /// Folds with about the same number of rows of each label, as far as whole groups allow.
    GroupedKfold,
    /// Each source is one fold. An image that is in two sources belongs to the first.
    LeaveOneSourceOut,
}

/// Arguments of `verify`: a set, and what of it is proved.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Folder or URI of the shard set.
    pub(crate) uri: String,
    #[command(flatten)]
    pub(crate) recut: RecutArgs,
}

/// Cutting rows again from their sources.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cutting rows again")]
pub(crate) struct RecutArgs {
    /// Cut random rows again from the sources that are described here, and compare their pixels.
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) sources: Option<PathBuf>,
    /// Rows that are cut again.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "sources")]
    pub(crate) recut: u64,
    /// Seed of the choice of rows.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sources")]
    pub(crate) recut_seed: u64,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Arguments of `show`: a set, and the contact sheet to draw.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Folder or URI of the shard set.
    pub(crate) uri: String,
    /// Draw a labelled sample of each source.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) contact_sheet: Option<PathBuf>,
    /// Write a page with small pictures of the rows, to be filtered by source, label, quality and copies. It opens from disk.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
    /// Most rows on the page, at even distances.
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    pub(crate) html_rows: u64,
    /// Samples of each source on the contact sheet.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) samples: u32,
}

/// Arguments of `synth`: the folder to write, and how much is drawn.
#[derive(Debug, Args)]
pub(crate) struct SynthArgs {
    /// Folder to write: data/, sources/, eval-sources/ and README.md
    #[arg(long, value_name = "DIR", required_unless_present = "sheet")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub(crate) seed: u64,
    /// How many images to make, and how large
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) scale: SynthScale,
    /// Images for each training source, instead of the scale's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) images: Option<u64>,
    /// Make a labelled sheet: a row for each shape, a column for each evaluation source
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
}

/// How much of a synthetic set is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SynthScale {
    /// For the quickstart: thin smears of four sources, in which cells may touch, but do not overlap; some 7,000 labelled cells.
    Quickstart,
    /// For tests: one small field per source, three evaluation fields per source.
    Tiny,
    /// For trying the tools: six fields of about 680×456 px per source; a few thousand labelled cells.
    Small,
    /// For an afternoon: 40 fields of about 1000×700 px per source; about 30,000 labelled cells.
    Medium,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("write a share between 0 and 1, such as 0.2".to_owned()),
    }
}

fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(um) if (0.001..=100.0).contains(&um) => Ok(um),
        _ => Err("write a number of micrometres from 0.001 to 100, such as 0.1".to_owned()),
    }
}

fn parse_root(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, dir)) if !name.is_empty() && !dir.is_empty() => Ok((name.to_owned(), PathBuf::from(dir))),
        _ => Err("write NAME=DIR, with the name of the source".to_owned()),
    }
}

/// What an image file may ask for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct DecodeArgs {
    /// Largest image that is decoded, in pixels.
    #[arg(long, value_name = "N", default_value_t = 256_000_000)]
    max_pixels: u64,
}

impl DecodeArgs {
    /// The limits; errors about them name the flag.
    pub(crate) fn limits(&self) -> DecodeLimits {
        DecodeLimits { pixels: self.max_pixels, setting: Some("--max-pixels"), ..DecodeLimits::default() }
    }
}
