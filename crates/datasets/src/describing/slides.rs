//! Whole slides in an unknown folder: which files they are, how fine they are, and what their files do not say.

use std::fmt::Write;

use imaging::DecodeLimits;
use imaging::picture_table::Tile;
use imaging::slide::Slide;

use crate::reading::Root;
use crate::schema::text::shortened;
use crate::schema::{ending_of, name_of};

/// Endings that only files of slide scanners have.
const SCANNERS: [&str; 2] = [".svs", ".ndpi"];
/// A picture without coarser levels is a slide from this side on, px: no camera on a microscope has so many.
const SIDE: u32 = 16_384;
/// Files that are looked at, at most: of more, some at equal distances.
const MOST: usize = 200;
/// Overviews on the contact sheet.
const TILES: usize = 8;

/// The slides of a folder.
#[derive(Debug, Default)]
pub(super) struct FoundSlides {
    /// Paths of the slides that were opened.
    pub(super) paths: Vec<String>,
    /// Paths of further files that are slides by their names.
    unopened: Vec<String>,
    /// One file in so many was looked at.
    step: usize,
    /// Files that are slides by their names and cannot be read, with the reason.
    refused: Vec<(String, String)>,
    /// The fewest and the most levels.
    levels: Option<(usize, usize)>,
    /// Width and height of the largest, in px of its finest level.
    largest: (u32, u32),
    /// µm per px of the finest level, of each slide that says it.
    scales: Vec<f64>,
    /// µm per px of all levels of the first slide that says its scale.
    of_levels: Vec<f64>,
    /// Other pictures among the files that were looked at.
    others: usize,
}

impl FoundSlides {
    /// Opens what may be slides among the pictures of a folder, or among some of many. `None` where none is one.
    pub(super) fn of(root: &Root, images: &[String], limits: DecodeLimits) -> Option<Self> {
        let mut slides = Self { step: images.len().div_ceil(MOST).max(1), ..Self::default() };
        for (number, path) in images.iter().enumerate() {
            let by_name = SCANNERS.contains(&ending_of(path).as_str());
            let may_be = by_name || [".tif", ".tiff"].contains(&ending_of(path).as_str());
            if !number.is_multiple_of(slides.step) {
                slides.unopened.extend(by_name.then(|| path.clone()));
                continue;
            }
            if !may_be {
                slides.others += 1;
                continue;
            }
            let opened = root.part(path).and_then(|file| Slide::open(file, limits).map_err(|error| error.to_string()));
            match opened {
                Ok(slide) if by_name || is_large(&slide.levels()) => {
                    slides.add(path, &slide.levels(), slide.um_per_px())
                }
                Err(reason) if by_name => slides.refused.push((path.clone(), reason)),
                _ => slides.others += 1,
            }
        }
        let found = slides.all().next().is_some();
        found.then_some(slides)
    }

    /// Whether there are at least as many slides as other pictures.
    pub(super) fn are_most(&self) -> bool {
        self.paths.len() + self.refused.len() >= self.others
    }

    /// Paths of the files that are known to be slides, those that cannot be read or were not opened included.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.paths.iter().chain(&self.unopened).chain(self.refused.iter().map(|(path, _)| path))
    }

    fn add(&mut self, path: &str, levels: &[(u32, u32)], um_per_px: Option<f64>) {
        self.paths.push(path.to_owned());
        let (fewest, most) = self.levels.unwrap_or((levels.len(), levels.len()));
        self.levels = Some((fewest.min(levels.len()), most.max(levels.len())));
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let finest = levels.first().copied().unwrap_or_default();
        if area(finest) > area(self.largest) {
            self.largest = finest;
        }
        if let Some(um) = um_per_px {
            self.scales.push(um);
            if self.of_levels.is_empty() {
                let of = |&(width, _): &(u32, u32)| um * f64::from(finest.0) / f64::from(width.max(1));
                self.of_levels = levels.iter().map(of).collect();
            }
        }
    }

    /// The lines of the description that are about slides.
    pub(super) fn written(&self, text: &mut String) {
        let (width, height) = self.largest;
        if let Some((fewest, most)) = self.levels {
            let levels = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
            let opened = if self.step == 1 { "them".to_owned() } else { format!("one file in {}", self.step) };
            let _ = writeln!(
                text,
                "# Recognised by opening {opened}: {} with {levels} levels, the largest {width} × {height} px. They are read field by field\n\
                 # (docs/slides.md).",
                counted(self.paths.len(), "whole slide"),
            );
        }
        for (path, reason) in self.refused.iter().take(3) {
            let _ = writeln!(text, "# Could not read {}: {}", shortened(path), shortened(reason));
        }
        self.write_scale(text);
        text.push_str("slides: {}\n");
    }

    fn write_scale(&self, text: &mut String) {
        let (least, most) = self.scales.iter().fold((f64::MAX, 0.0f64), |(a, b), um| (a.min(*um), b.max(*um)));
        let without = self.paths.len() - self.scales.len();
        if !self.scales.is_empty() {
            let range = if (most - least) < 5e-5 { format!("{most:.4}") } else { format!("{least:.4} to {most:.4}") };
            let _ = writeln!(text, "# Recognised by the files: the finest level has {range} µm per pixel.");
        }
        if without > 0 {
            let _ = writeln!(
                text,
                "# Could not tell: the scale of {}. If you know it, write `um_per_px`: µm per pixel of the finest level.",
                counted(without, "slide")
            );
        }
        if let Some(coarser) = self.of_levels.get(1) {
            let all: Vec<String> = self.of_levels.iter().map(|um| format!("{um:.3}")).collect();
            let _ = writeln!(
                text,
                "# guessed: the finest level is read. The levels of the first slide have {} µm per pixel.\n\
                 # Possible: slides: {{ level_um_per_px: {coarser:.3} }}, to read a coarser one",
                all.join(", ")
            );
        }
    }

    /// Overviews of some of the slides.
    pub(super) fn tiles(&self, root: &Root, limits: DecodeLimits) -> Vec<Tile> {
        let step = self.paths.len().div_ceil(TILES).max(1);
        let tile = |path: &String| {
            let picture = Slide::open(root.part(path).ok()?, limits).ok()?.overview().ok()?;
            Some(Tile {
                picture: super::sheet::small(&picture),
                caption: vec![name_of(path).to_owned(), "whole slide".to_owned()],
            })
        };
        self.paths.iter().step_by(step).filter_map(tile).collect()
    }
}

/// Whether a picture of these levels is a slide.
fn is_large(levels: &[(u32, u32)]) -> bool {
    levels.len() > 1 || levels.first().is_some_and(|&(width, height)| width.max(height) >= SIDE)
}

/// `1 slide`, `2 slides`.
fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
