//! What a person should know of a set that was built, and can change in the descriptions.

use std::collections::BTreeSet;

use datasets::cutting::Cut;
use datasets::reading::LocatedSource;
use datasets::schema::{Border, CellRule, Fill, LabelRule};
use datasets::survey::{ImageRecord, count_by_source};
use run_spec::ids::Product;

/// Share of a source's pixels in no patch from which on it is mentioned.
const MUCH_BORDER: f64 = 0.1;

/// Sentences on pixels and labels that the set does not use, on cells at the edge of an image, and on labels that are perhaps not classes.
pub(crate) fn sentences(
    sources: &[LocatedSource],
    images: &[ImageRecord],
    (product, patch_px): (Product, u32),
) -> Vec<String> {
    let mut found = Vec::new();
    let counts = count_by_source(sources.len(), images);
    for (index, (LocatedSource { source, .. }, counts)) in sources.iter().zip(counts).enumerate() {
        if counts.rows == 0 {
            continue;
        }
        if product == Product::Patches {
            let share = counts.pixels_unused as f64 / counts.pixels.max(1) as f64;
            let drops = matches!(source.patches.border, Border::Drop | Border::Centre);
            found.extend((drops && share >= MUCH_BORDER).then(|| border(&source.name, share, patch_px)));
            found.extend(has_places(&source.label).then(|| {
                format!(
                    "source {}: its labels mark places in the images, so patches have no label; --product cells cuts out the labelled cells",
                    source.name
                )
            }));
        }
        let of_source = || images.iter().filter(|image| image.source == index);
        if product == Product::Cells {
            let over = of_source().map(over_the_edge).sum::<u64>();
            found.extend((over > 0).then(|| edge(&source.name, (over, counts.rows), &source.cells)));
        }
        let labels: BTreeSet<&str> =
            of_source().flat_map(ImageRecord::cuts).filter_map(|cut| cut.label.as_deref()).collect();
        let from_path = matches!(source.label, LabelRule::Folder { .. } | LabelRule::Pattern { .. });
        if let (true, true, Some(label)) = (from_path && counts.used > 1, labels.len() == 1, labels.first()) {
            found.push(format!(
                "source {}: all {} images have one label, `{label}`, which their path gives; if that is not a class of cells, write \
                 `label: {{ from: none }}`",
                source.name,
                terminal::thousands(counts.used)
            ));
        }
    }
    found
}

fn border(name: &str, share: f64, patch_px: u32) -> String {
    format!(
        "source {name}: {:.1} % of the pixels are in no patch, since the sides of its images are not multiples of {patch_px} px; write \
         `patches: {{ border: shift }}` in its description to use them",
        100.0 * share
    )
}

/// How many rows of an image reach over its edge.
fn over_the_edge(image: &ImageRecord) -> u64 {
    let Some(info) = &image.info else { return 0 };
    let (width, height) = (i64::from(info.width), i64::from(info.height));
    let is_over = |cut: &&Cut| {
        let (x, y) = (i64::from(cut.x), i64::from(cut.y));
        x < 0 || y < 0 || x + i64::from(cut.w) > width || y + i64::from(cut.h) > height
    };
    image.cuts().iter().filter(is_over).count() as u64
}

fn edge(name: &str, (over, rows): (u64, u64), rule: &CellRule) -> String {
    let outside = match rule.pad {
        Fill::Reflect => "the mirrored image",
        Fill::White => "white",
        Fill::Black => "black",
    };
    let listed = match rule.has_outlines() {
        true => ". `at_edge` in report/cells-*.csv is true for cells that touch the edge",
        false => "",
    };
    format!(
        "source {name}: the squares of {} of {} reach over the edge of their image; what lies outside is {outside} (`pad` of `cells`: reflect, \
         white or black), so a cell that the edge cuts has a false shape{listed}",
        terminal::thousands(over),
        terminal::counted(rows, "cell")
    )
}

/// Whether a rule gives labels to places in an image, and not to the whole image.
fn has_places(rule: &LabelRule) -> bool {
    use LabelRule::{CsvClass, Folder, None, Pattern};
    !matches!(rule, None | Folder { .. } | Pattern { .. } | CsvClass { .. })
}
