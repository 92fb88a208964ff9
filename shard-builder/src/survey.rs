//! The first pass over the sources: every file is looked at once, and nothing is written.
//!
//! It ends with all images, used or not, in one order (by source, then by path) that depends on names only. What it
//! learns (sizes, digests, labels) fixes every row of the set before the first pixel is encoded.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use image::RgbImage;
use rayon::prelude::*;
use run_spec::ids::{Digest, Product, pixel_digest};
use segmentation::{Cell, cells_of_masks, segment};
use shards::Codec;

use crate::cut::segments::{self, Agreement};
use crate::cut::{Cut, cells, patches, pixels, scale};
use crate::encode::encode_taken;
use crate::output::Progress;
use crate::quality::{Flawed, judge, measure};
use crate::source::beside::{Claims, Neighbour};
use crate::source::describe::Source;
use crate::source::files::{Globs, Root, Verdict};
use crate::source::groups::GroupBook;
use crate::source::labels::{Issue, Known, LabelBook};
use crate::source::others::Others;
use crate::source::page::{self, Pages};
use crate::source::parts::{PartBook, Place};
use crate::source::quality_rule::Action;
use crate::spool::{Spool, Spooled};
use imaging::DecodeLimits;
use near_copies::{Fingerprint, Fingerprinter};

/// A description and the folder or archive in which its dataset lies.
#[derive(Debug)]
pub(crate) struct Located {
    /// The description.
    pub(crate) source: Source,
    /// Where its files are.
    pub(crate) root: Root,
    /// The folder or archive itself, with links followed.
    pub(crate) at: PathBuf,
}

/// How images are read and cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cutting {
    /// Fields of view or cells.
    pub(crate) product: Product,
    /// Side of a patch, px. Cells take their size from the source.
    pub(crate) size: u32,
    /// What a file may ask for.
    pub(crate) limits: DecodeLimits,
    /// Micrometres of the specimen to a pixel of every row; nothing leaves each source its own scale.
    pub(crate) um_per_px: Option<f64>,
    /// Whether rows are taken and measured, as a build needs it.
    pub(crate) measured: bool,
    /// Whether near-copies are looked for, for which each image leaves a fingerprint.
    pub(crate) fingerprints: bool,
}

/// An image of a source, or what looked like one.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Position of its source.
    pub(crate) source: usize,
    /// Path inside the source; of a page after the first its name ([`page::named`]).
    pub(crate) image: String,
    /// What was seen of its content; nothing where it was not decoded.
    pub(crate) seen: Option<Seen>,
    /// How it is used, or the reason for which it is not.
    pub(crate) used: Result<Used, String>,
    /// What a reader of the report should know.
    pub(crate) notes: Vec<String>,
    /// Labels that are not used.
    pub(crate) issues: Vec<Issue>,
    /// Rows with flaws, those among them that are dropped.
    pub(crate) flawed: Vec<Flawed>,
    /// How cells found by their looks agree with its labels; all 0 where none are looked for.
    pub(crate) agreement: Agreement,
}

/// What was seen of an image.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `jpeg`, `png` …
    pub(crate) format: &'static str,
    /// Upright width, px.
    pub(crate) width: u32,
    /// Upright height, px.
    pub(crate) height: u32,
    /// Digest of the file.
    pub(crate) file: Digest,
    /// Which page of it.
    pub(crate) page: u32,
    /// Digest of the upright pixels.
    pub(crate) pixels: Digest,
    /// By which near-copies are found; none of an image that shows nothing, or where they are not looked for.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Group by the source's own rule; nothing where the rule does not cover the image.
    pub(crate) group: Option<String>,
}

impl Picture {
    /// Bytes of its rows in the spool.
    pub(crate) fn spooled_bytes(&self) -> u64 {
        self.used.iter().flat_map(|used| used.spooled.iter().flatten()).map(|spooled| spooled.bytes()).sum()
    }
}

impl Located {
    /// The file of an image, and which page of it the image is. The error is a reason for the report, as of the next.
    pub(crate) fn file(&self, image: &str, limits: DecodeLimits) -> Result<(Vec<u8>, u32), String> {
        let (file, page) = self.source.images.pages.place(image);
        Ok((self.root.read(&file, limits.file_bytes)?, page))
    }

    /// The pixels of an image.
    pub(crate) fn rgb(&self, image: &str, limits: DecodeLimits) -> Result<RgbImage, String> {
        let (bytes, page) = self.file(image, limits)?;
        let decoded = self.source.images.decode(&bytes, page, limits);
        Ok(decoded.map_err(|error| error.to_string())?.rgb)
    }
}

/// How an image is used.
#[derive(Debug)]
pub(crate) struct Used {
    /// Group by the source's own rule.
    pub(crate) group: String,
    /// Its rows, sorted by (y, x).
    pub(crate) cuts: Vec<Cut>,
    /// Pixels in no row; 0 for cells.
    pub(crate) unused_px: u64,
    /// The cell of each row, where cells were found by their looks; else empty.
    pub(crate) cells: Vec<Cell>,
    /// The encoded image of each row, where it was kept; empty without a spool.
    pub(crate) spooled: Vec<Option<Spooled>>,
}

/// A spool for what the first pass encodes, and how it is encoded.
pub(crate) type Keep<'a> = Option<(&'a Spool, Codec)>;

/// Looks at every file of every source. Rows are encoded and kept as long as their pixels are at hand, if there is a spool.
///
/// # Errors
/// A folder or table that cannot be read. A bad image is no error but an unused [`Picture`].
pub(crate) fn survey(sources: &[Located], cutting: Cutting, keep: Keep<'_>) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    for (index, located) in sources.iter().enumerate() {
        let name = &located.source.name;
        pictures.extend(survey_one(index, sources, cutting, keep).with_context(|| format!("source {name}"))?);
    }
    Ok(pictures)
}

/// The images of a source, by its listing: all that the description includes, of which it may be a part.
fn images_of(source: &Source, files: &[String]) -> Result<Vec<String>> {
    let globs = Globs::new(&source.images)?;
    let is_image = |path: &&String| globs.judge(path) == Verdict::Image && !source.images.pages.takes(path);
    Ok(files.iter().filter(is_image).cloned().collect())
}

/// Other descriptions of the files of a source: a label file that images of both claim is neither's.
fn neighbours<'a>(sources: &'a [Located], own: &Located, files: &[String]) -> Result<Vec<Neighbour<'a>>> {
    let images: BTreeSet<String> = images_of(&own.source, files)?.into_iter().collect();
    // Parts of one dataset have the same images; each knows of all.
    let others = sources.iter().filter(|other| other.at == own.at && other.source.dataset() != own.source.dataset());
    let neighbour = |other: &'a Located| {
        let mut others = images_of(&other.source, files)?;
        others.retain(|image| !images.contains(image));
        Ok(Neighbour { source: &other.source, images: others })
    };
    others.map(neighbour).collect()
}

fn survey_one(index: usize, sources: &[Located], cutting: Cutting, keep: Keep<'_>) -> Result<Vec<Picture>> {
    let located = &sources[index];
    let source = &located.source;
    let root = &located.root;
    let globs = Globs::new(&source.images)?;
    let listing = root.list()?;
    let all = images_of(source, &listing.files)?;
    let neighbours = neighbours(sources, located, &listing.files)?;
    let mask = |source: &Source, image: &str| Some(root.place(source.cells.masks.as_ref()?.file_of(image).ok()?));
    let mut masks = Claims::of(&all, |image| mask(source, image));
    for Neighbour { source, images } in &neighbours {
        masks.add(images, |image| mask(source, image));
    }
    let mut others = Others::of(source, root, &listing, &all, &neighbours)?;
    if source.cells.masks.is_some() {
        others.leave_out(|place| masks.holds(place));
        masks.add_others(&others, |image| mask(source, image));
    }
    let surveyor = Surveyor {
        index,
        source,
        labels: LabelBook::open(source, root, &all, &neighbours, &others)?,
        groups: GroupBook::open(source, root, &all, &neighbours, &others)?,
        masks,
        root,
        cutting,
        fingerprinter: Fingerprinter::new(),
        keep,
    };
    let unused = |image, reason| unused(index, image, reason);
    let parts = PartBook::open(source)?;
    let refused = if parts.reports() { listing.refused } else { Vec::new() };
    let mut pictures: Vec<Picture> = refused.into_iter().map(|refused| unused(refused.path, refused.reason)).collect();
    let mut images = Vec::new();
    for path in listing.files {
        let looks_like_image = || parts.reports() && imaging::sniff(&root.head(&path)).is_some();
        match globs.judge(&path) {
            Verdict::Image => match parts.place(&path) {
                Place::Own if source.images.pages.takes(&path) => {
                    pictures.push(unused(path, "named like a page of another file; rename it".to_owned()));
                }
                Place::Own => images.push(path),
                Place::Nowhere(why) => pictures.push(unused(path, why)),
                Place::Other => {}
            },
            Verdict::Excluded(why) if looks_like_image() => pictures.push(unused(path.clone(), why.to_owned())),
            Verdict::Unnamed if looks_like_image() => {
                pictures.push(unused(path.clone(), "named by no include glob".to_owned()));
            }
            Verdict::Excluded(_) | Verdict::Unnamed => {}
        }
    }
    let progress = Progress::start(&format!("read {}", source.name), images.len() as u64);
    let looked: Vec<Picture> = images
        .into_par_iter()
        .flat_map_iter(|image| {
            let pictures = surveyor.look(&image);
            progress.tick();
            pictures
        })
        .collect();
    progress.end();
    pictures.extend(looked);
    if parts.reports() {
        let strays = surveyor.labels.strays().into_iter();
        pictures.extend(strays.map(|(image, issues)| Picture { issues, ..unused(image, NO_IMAGE.to_owned()) }));
    }
    pictures.sort_by(|a, b| a.image.cmp(&b.image));
    Ok(pictures)
}

/// A picture of which nothing is known but that it is not used.
fn unused(source: usize, image: String, reason: String) -> Picture {
    Picture {
        source,
        image,
        seen: None,
        used: Err(reason),
        notes: Vec::new(),
        issues: Vec::new(),
        flawed: Vec::new(),
        agreement: Agreement::default(),
    }
}

/// Why what only a table names is not used.
const NO_IMAGE: &str = "named by a table of labels, and the description includes no such image";

/// Why a page is not used that is no image of its own.
const AID: &str = "the file calls this page a smaller copy or a mask of another";

/// A file that was read.
struct File<'a> {
    path: &'a str,
    digest: Digest,
    bytes: Vec<u8>,
}

struct Surveyor<'a> {
    index: usize,
    source: &'a Source,
    root: &'a Root,
    labels: LabelBook<'a>,
    groups: GroupBook<'a>,
    /// Files of masks by the images that they belong to.
    masks: Claims,
    cutting: Cutting,
    fingerprinter: Fingerprinter,
    keep: Keep<'a>,
}

impl Surveyor<'_> {
    /// The image in a file, or one for each of its pages.
    fn look(&self, path: &str) -> Vec<Picture> {
        let bytes = match self.root.read(path, self.cutting.limits.file_bytes) {
            Ok(bytes) => bytes,
            Err(reason) => return vec![unused(self.index, path.to_owned(), reason)],
        };
        let pages = match self.source.images.pages {
            Pages::First => vec![true],
            Pages::All => imaging::pages(&bytes),
        };
        let capped = pages.len() == imaging::MOST_PAGES;
        let file = File { path, digest: Digest::of(&bytes), bytes };
        let page = |(page, own)| {
            let mut picture = unused(self.index, page::named(path, page), AID.to_owned());
            if own {
                picture.used = self.use_of(&file, page, &mut picture);
            }
            picture
        };
        let mut pictures: Vec<Picture> = (1..).zip(pages).map(page).collect();
        if capped {
            pictures[0].notes.push(format!("of a file {} pages are read, and no more", imaging::MOST_PAGES));
        }
        pictures
    }

    fn use_of(&self, file: &File<'_>, page: u32, picture: &mut Picture) -> Result<Used, String> {
        let decoded = self.source.images.decode(&file.bytes, page, self.cutting.limits);
        let decoded = decoded.map_err(|error| error.to_string())?;
        let (width, height) = decoded.rgb.dimensions();
        picture.notes = decoded.notes;
        let group = self.groups.group_of(file.path);
        picture.seen = Some(Seen {
            format: decoded.format,
            width,
            height,
            file: file.digest,
            page,
            pixels: pixel_digest(width, height, &decoded.rgb),
            fingerprint: if self.cutting.fingerprints { self.fingerprinter.fingerprint(&decoded.rgb) } else { None },
            group: group.clone().ok(),
        });
        let group = group?;
        let (known, issues) = self.labels.look_up(file.path, width, height);
        picture.issues = issues;
        let mut used = self.cut(picture, group, known, &decoded.rgb)?;
        if let Some(target) = self.cutting.um_per_px {
            match self.cutting.product {
                Product::Patches => scale::patches_to(&mut used.cuts, self.cutting.size),
                Product::Cells => scale::cells_to_scale(&mut used.cuts, self.source.um_per_px, target),
            }
        }
        if self.cutting.measured {
            self.take_rows(picture, &mut used, &decoded.rgb)?;
        }
        Ok(used)
    }

    /// Takes the pixels of all rows while they are at hand: measures them, drops what the source drops, keeps the rest in the spool.
    fn take_rows(&self, picture: &mut Picture, used: &mut Used, rgb: &RgbImage) -> Result<(), String> {
        let rule = &self.source.quality;
        let take = |cut: &Cut| {
            let taken = pixels::take(rgb, cut);
            let measures = measure(&taken, rule);
            let flawed = judge(measures, rule).map(|(flaws, action)| Flawed {
                x: cut.x,
                y: cut.y,
                w: cut.w,
                h: cut.h,
                measures,
                flaws,
                action,
            });
            let dropped = flawed.as_ref().is_some_and(|flawed| flawed.action == Action::Drop);
            // What cannot be encoded is found out again, and said, when it is to be written.
            let spooled = self.keep.filter(|_| !dropped).and_then(|(spool, codec)| {
                encode_taken(codec, taken, cut).ok().and_then(|encoded| spool.keep(&encoded))
            });
            (flawed, dropped, spooled)
        };
        let taken: Vec<_> = used.cuts.par_iter().map(take).collect();
        let mut stays = taken.iter().map(|(_, dropped, _)| !dropped);
        used.cuts.retain(|_| stays.next().unwrap_or(true));
        let mut stays = taken.iter().map(|(_, dropped, _)| !dropped);
        used.cells.retain(|_| stays.next().unwrap_or(true));
        for (flawed, dropped, spooled) in taken {
            if self.keep.is_some() && !dropped {
                used.spooled.push(spooled);
            }
            picture.flawed.extend(flawed);
        }
        if used.cuts.is_empty() {
            return Err("none of its rows passes the quality rule".to_owned());
        }
        Ok(())
    }

    /// Cells with outlines, where the description says how to find them.
    fn outlined(&self, picture: &Picture, rgb: &RgbImage) -> Result<Option<Vec<Cell>>, String> {
        let rule = &self.source.cells;
        match (&rule.segment, &rule.masks) {
            (Some(how), _) => Ok(Some(segment(rgb, how))),
            (None, Some(how)) => {
                let file = how.file_of(&picture.image).map_err(|reason| format!("masks {reason}"))?;
                let place = self.root.place(file.clone());
                if place == self.root.place(picture.image.clone()) {
                    return Err(format!(
                        "masks {file}: is the image itself; write in cells.masks.file where its masks lie"
                    ));
                }
                if let Some(several) = self.masks.several(&place) {
                    let apart = "name them by `{folder}` or `{name}`";
                    return Err(format!("masks {file}: may be of any of {several}; {apart}"));
                }
                let limits = self.cutting.limits;
                let bytes =
                    self.root.read(&file, limits.file_bytes).map_err(|reason| format!("masks {file}: {reason}"))?;
                let cells = cells_of_masks(&bytes, rgb.dimensions(), &how.options(), limits);
                cells.map(Some).map_err(|error| format!("masks {file}: {error}"))
            }
            (None, None) => Ok(None),
        }
    }

    /// The rows of a decoded image.
    fn cut(&self, picture: &mut Picture, group: String, known: Known, rgb: &RgbImage) -> Result<Used, String> {
        let (width, height) = rgb.dimensions();
        match self.cutting.product {
            Product::Patches => {
                let label = match &known {
                    Known::Whole(label) => Some(label.as_str()),
                    Known::Nothing(_) | Known::Marks(_) => None,
                };
                // Squares that have the wanted size once they are scaled.
                let size = match self.cutting.um_per_px {
                    Some(target) => scale::source_side(self.cutting.size, self.source.um_per_px, target),
                    None => self.cutting.size,
                };
                let grid = patches::grid(width, height, size, &self.source.patches, label)?;
                Ok(Used { group, cuts: grid.cuts, unused_px: grid.unused_px, cells: Vec::new(), spooled: Vec::new() })
            }
            Product::Cells if let Some(found) = self.outlined(picture, rgb)? => {
                let found = segments::segments(found, (width, height), &known, &self.source.cells);
                picture.issues.extend(found.issues);
                picture.agreement = found.agreement;
                if found.cells.is_empty() {
                    return Err("no cell was found in it".to_owned());
                }
                let (cuts, cells) = found.cells.into_iter().unzip();
                Ok(Used { group, cuts, unused_px: 0, cells, spooled: Vec::new() })
            }
            Product::Cells => {
                let (cuts, issues) = cells::cells(width, height, known, &self.source.cells)?;
                picture.issues.extend(issues);
                if cuts.is_empty() {
                    return Err("none of its labels gives a cell".to_owned());
                }
                Ok(Used { group, cuts, unused_px: 0, cells: Vec::new(), spooled: Vec::new() })
            }
        }
    }
}
