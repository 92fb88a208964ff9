//! Images of a survey that are copies of each other, within and across sources.

use imaging::{DecodeLimits, RgbImage};
use near_copies::{CopyKind, Fingerprinter, FoundCopies, INDEX_FROM, Pair, SearchContext, Subject};

use super::record::ImageRecord;
use super::sink::Progress;
use crate::reading::LocatedSource;
use crate::schema::Role;

/// Which copies are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopySearch {
    /// Equal bytes and equal pixels.
    Exact,
    /// Near-copies too.
    Near,
    /// Near-copies too, sought by short codes whatever the number of images.
    Indexed,
}

/// Finds the images that show the same, by their positions in `images`. Their fingerprints come back as they were.
pub fn find_copies(
    sources: &[LocatedSource],
    images: &mut [ImageRecord],
    search: CopySearch,
    limits: DecodeLimits,
    progress: &dyn Progress,
) -> FoundCopies {
    let (mut positions, mut subjects) = (Vec::new(), Vec::new());
    for (position, image) in images.iter_mut().enumerate() {
        if let Some(info) = &mut image.info {
            positions.push(position);
            let fingerprint = if search == CopySearch::Exact { None } else { info.fingerprint.take() };
            subjects.push(Subject { file: (info.file, info.page), pixels: info.pixels, fingerprint });
        }
    }
    let index_from = if search == CopySearch::Indexed { 0 } else { INDEX_FROM };
    let context = Context { sources, images, positions: &positions, limits, index_from, progress };
    let found = near_copies::find(&subjects, &Fingerprinter::new(), &context);
    if search != CopySearch::Exact {
        give_back(images, &positions, subjects);
    }
    let pair = |pair: Pair| Pair { a: positions[pair.a], b: positions[pair.b], kind: pair.kind };
    FoundCopies { pairs: found.pairs.into_iter().map(pair).collect(), ..found }
}

/// Puts the fingerprints of subjects back where they were.
fn give_back(images: &mut [ImageRecord], positions: &[usize], subjects: Vec<Subject>) {
    for (&position, subject) in positions.iter().zip(subjects) {
        if let Some(info) = &mut images[position].info {
            info.fingerprint = subject.fingerprint;
        }
    }
}

/// Gives the search the pixels of surveyed images.
struct Context<'a> {
    sources: &'a [LocatedSource],
    images: &'a [ImageRecord],
    /// The position of each subject's image.
    positions: &'a [usize],
    limits: DecodeLimits,
    index_from: usize,
    progress: &'a dyn Progress,
}

impl SearchContext for Context<'_> {
    fn pixels(&self, subject: usize) -> Option<RgbImage> {
        let image = &self.images[self.positions[subject]];
        self.sources[image.source].rgb(&image.image, self.limits).ok()
    }

    fn run(&self, step: &str, parts: usize, work: &mut dyn FnMut(&(dyn Fn() + Sync))) {
        self.progress.run(step, parts, work);
    }

    fn index_from(&self) -> usize {
        self.index_from
    }
}

/// What two copies have between them, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crosses {
    /// One is for training and one for evaluation.
    Roles,
    /// They are in two sources of one role.
    Sources,
    /// They are two images of one source.
    Images,
}

impl Crosses {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roles => "training and evaluation",
            Self::Sources => "sources",
            Self::Images => "images",
        }
    }
}

/// Two copies, as a report lists them.
#[derive(Debug, Clone, Copy)]
pub struct CopyPair<'a> {
    /// What they have between them.
    pub crosses: Crosses,
    /// In which way they are copies.
    pub kind: CopyKind,
    /// The images, in the order of the survey.
    pub sides: [CopySide<'a>; 2],
}

/// One of two copies.
#[derive(Debug, Clone, Copy)]
pub struct CopySide<'a> {
    /// Position of its source.
    pub source: usize,
    /// Name of its source.
    pub name: &'a str,
    /// Role of its source.
    pub role: Role,
    /// Path inside the source.
    pub image: &'a str,
    /// Group by the source's own rule; empty where the rule does not cover the image.
    pub group: &'a str,
}

/// The pairs of copies, the worst first: by what they have between them, then the pair that is least alike, because a person should
/// look at it.
pub fn rank_copies<'a>(sources: &'a [LocatedSource], images: &'a [ImageRecord], pairs: &[Pair]) -> Vec<CopyPair<'a>> {
    let side = |position: usize| {
        let record = &images[position];
        let source = &sources[record.source].source;
        let group = record.info.as_ref().and_then(|info| info.group.as_deref()).unwrap_or_default();
        CopySide { source: record.source, name: &source.name, role: source.role, image: &record.image, group }
    };
    let ranked = |pair: &Pair| {
        let sides = [side(pair.a), side(pair.b)];
        let crosses = match sides {
            [a, b] if a.role != b.role => Crosses::Roles,
            [a, b] if a.source != b.source => Crosses::Sources,
            _ => Crosses::Images,
        };
        CopyPair { crosses, kind: pair.kind, sides }
    };
    let mut ranked: Vec<CopyPair<'a>> = pairs.iter().map(ranked).collect();
    // The sort is stable and the pairs come in the order of their names.
    ranked.sort_by(|p, q| p.crosses.cmp(&q.crosses).then(p.kind.score().total_cmp(&q.kind.score())));
    ranked
}
