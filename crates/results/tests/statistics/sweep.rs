//! One simulated sweep: predictions of several arms with effects of seed, fold and group, and a known difference.
//!
//! A cell is predicted right with a probability of its class plus effects of arm, seed, fold, group, and seed with
//! group. Every arm has its own effects, drawn with half the variance of the measured differences, so a difference of two arms
//! has the measured variance. Arms and seeds agree on a share of the cells, as real ones do: those are decided by one
//! number that all share, which leaves each probability as it is.

pub(crate) use results::stats::components::Components;
use results::stats::counts::{Counts, CountsBuilder, Place};
use results::stats::score::ClassCounts;
use run_spec::seed::{Stream, stream};

/// Size of a simulated sweep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Design {
    pub(crate) seeds: usize,
    pub(crate) sources: usize,
    pub(crate) folds: usize,
    pub(crate) groups_per_fold: usize,
    pub(crate) cells_per_group: usize,
    pub(crate) classes: usize,
    /// Arms beside the reference.
    pub(crate) arms: usize,
    /// True difference of every arm to the reference in balanced accuracy, a fraction.
    pub(crate) effect: f64,
}

const BASE: f64 = 0.6;

/// Effects on one arm. Those of sources belong to the arm alone, so that "these sources" have a difference of their own.
struct Effects<'a> {
    components: &'a Components,
    draws: Stream,
}

impl Effects<'_> {
    fn draw(&mut self, std: f64) -> f64 {
        self.draws.normal() * std * std::f64::consts::FRAC_1_SQRT_2
    }
}

/// The counts of sweep `index`. The reference is arm `0`. `source_effects` adds differences between the sources.
pub(crate) fn simulate(design: &Design, components: &Components, index: u64, source_effects: bool) -> Counts {
    let mut builder = CountsBuilder::new(design.classes);
    let mut effects = Effects { components, draws: stream(index, "simulation/effects", &[design.seeds as u64]) };
    let cells = Cells::new(design, index);
    for arm in 0..=design.arms {
        let shift = if arm == 0 { 0.0 } else { design.effect };
        let of_seed: Vec<f64> = (0..design.seeds).map(|_| shift + effects.draw(components.seed)).collect();
        predict(&mut builder, design, &cells, (arm, &of_seed, source_effects), &mut effects);
    }
    builder.build().unwrap()
}

/// What all arms and seeds share: the classes of the cells, and the number that decides those predicted alike.
struct Cells {
    shared: Vec<(u32, f64)>,
}

impl Cells {
    fn new(design: &Design, index: u64) -> Self {
        let mut draws = stream(index, "simulation/cells", &[design.seeds as u64]);
        let n = design.sources * design.folds * design.groups_per_fold * design.cells_per_group;
        let cell = |_| (draws.below(design.classes as u64) as u32, draws.unit());
        Self { shared: (0..n).map(cell).collect() }
    }
}

fn predict(
    builder: &mut CountsBuilder,
    design: &Design,
    cells: &Cells,
    (arm, of_seed, source_effects): (usize, &[f64], bool),
    effects: &mut Effects<'_>,
) {
    let components = effects.components;
    let mut groups = cells.shared.chunks_exact(design.cells_per_group);
    let arm = arm.to_string();
    for source in 0..design.sources {
        let source_effect = if source_effects { effects.draw(components.source) } else { 0.0 };
        let source = source.to_string();
        for fold in 0..design.folds {
            let fold_effect = source_effect + effects.draw(components.fold);
            let fold = fold.to_string();
            for group in 0..design.groups_per_fold {
                let cells = groups.next().unwrap();
                let group_effect = fold_effect + effects.draw(components.group);
                let group = format!("{fold}/{group}");
                let place = Place { source: &source, fold: &fold, group: &group };
                for (seed, of_seed) in of_seed.iter().enumerate() {
                    let p = BASE + of_seed + group_effect + effects.draw(components.seed_group);
                    let counts = group_counts(cells, p, design.classes, components.alike, &mut effects.draws);
                    builder.add_group((&arm, seed as u64), place, &counts).unwrap();
                }
            }
        }
    }
}

/// The counts of one group whose cells are predicted right with probability `p`, and else as any other class.
fn group_counts(cells: &[(u32, f64)], p: f64, classes: usize, alike: f64, draws: &mut Stream) -> Vec<ClassCounts> {
    let mut counts = vec![ClassCounts::default(); classes];
    for &(truth, shared) in cells {
        let own = draws.unit();
        // A share of the cells is decided by the shared number, the others by their own, stretched to [0, 1).
        let number = if own < alike { shared } else { (own - alike) / (1.0 - alike) };
        let off = if number < p { 0 } else { 1 + ((number - p) / (1.0 - p) * (classes - 1) as f64) as usize };
        let truth = truth as usize;
        counts[truth].support += 1;
        counts[(truth + off) % classes].predicted += 1;
        counts[truth].correct += u64::from(off == 0);
    }
    counts
}
