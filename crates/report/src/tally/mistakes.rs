//! Wrong predictions that are worth looking at.

use results::predictions::SeenCell;

use super::{OfArm, Tally};
use crate::data::{Kind, Mistake, Mistakes};

/// Mistakes shown of one arm.
const SHOWN: usize = 48;
/// Arms whose mistakes are shown beside the reference's: their pictures are what a reader looks through one by one.
const ARMS: usize = 12;

/// What the trials of one arm said of one cell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OfCell {
    /// Trials that were wrong.
    wrong: u16,
    /// The class that the last of them predicted.
    predicted: u16,
    /// Sum of the probabilities of what they predicted; not a number where the probe gives none.
    sure: f32,
}

/// Notes what a trial said of cell `number`.
pub(super) fn note(cells: &mut Vec<OfCell>, number: usize, seen: &SeenCell<'_>) {
    if cells.len() <= number {
        cells.resize(number + 1, OfCell::default());
    }
    if seen.truth != seen.predicted {
        let cell = &mut cells[number];
        cell.wrong = cell.wrong.saturating_add(1);
        cell.predicted = u16::try_from(seen.predicted).unwrap_or(u16::MAX);
        cell.sure += seen.probability.unwrap_or(f32::NAN);
    }
}

impl Tally {
    /// The surest mistakes of the reference, and of each arm those that the reference does not make. A mistake counts where
    /// all seeds make it.
    pub fn mistakes(&self) -> Vec<Mistakes> {
        let Some(reference) = self.arms.iter().find(|arm| arm.kind == Kind::Reference) else { return Vec::new() };
        let of_reference = Mistakes {
            title: reference.name.clone(),
            how: "Cells that every seed of the reference got wrong, the most certain first.".to_owned(),
            cells: self.surest(reference, |_| true),
        };
        let others = self.arms.iter().filter(|arm| arm.kind == Kind::Arm).take(ARMS).map(|arm| Mistakes {
            title: format!("{}, where {} is right", arm.name, reference.name),
            how: format!("Cells that every seed of {} got wrong and every seed of the reference got right.", arm.name),
            cells: self.surest(arm, |number| reference.cells.get(number).is_some_and(|cell| cell.wrong == 0)),
        });
        std::iter::once(of_reference).chain(others).filter(|group| !group.cells.is_empty()).collect()
    }

    fn surest(&self, arm: &OfArm, counts: impl Fn(usize) -> bool) -> Vec<Mistake> {
        let always = |cell: &OfCell| arm.trials > 0 && usize::from(cell.wrong) == arm.trials;
        let mut found: Vec<(usize, &OfCell)> =
            arm.cells.iter().enumerate().filter(|&(number, cell)| always(cell) && counts(number)).collect();
        found.sort_by(|a, b| b.1.sure.total_cmp(&a.1.sure));
        found.truncate(SHOWN);
        found.into_iter().map(|(number, cell)| self.mistake(arm, number, cell)).collect()
    }

    fn mistake(&self, arm: &OfArm, number: usize, cell: &OfCell) -> Mistake {
        let place = &self.places[number];
        let mean = f64::from(cell.sure) / arm.trials as f64;
        Mistake {
            tile: u32::try_from(number).ok(),
            truth: self.classes[place.truth].clone(),
            predicted: self.classes.get(usize::from(cell.predicted)).cloned().unwrap_or_default(),
            probability: mean.is_finite().then(|| super::rounded(mean)),
            source: place.source.clone(),
            group: place.group.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use results::stats::score::Metric;

    use super::*;

    #[test]
    fn a_mistake_is_one_of_all_seeds_and_the_surest_comes_first() {
        let mut tally = Tally::new(["a", "b", "c"].map(str::to_owned).to_vec(), Metric::Accuracy);
        let mut add = |arm: (&str, Kind), predicted: [usize; 4], sure: [f32; 4]| {
            let shown: Result<(), Infallible> = tally.add(arm, |see| {
                for (predicted, probability) in predicted.into_iter().zip(sure) {
                    let probability = Some(probability);
                    see(SeenCell { source: "x", fold: "0", group: "slide", truth: 0, predicted, probability });
                }
                Ok(())
            });
            assert_eq!(shown, Ok(()));
        };
        add(("base", Kind::Reference), [1, 0, 1, 0], [0.5, 0.9, 0.75, 0.9]);
        add(("base", Kind::Reference), [1, 1, 2, 0], [0.5, 0.9, 0.75, 0.9]);
        add(("other", Kind::Arm), [1, 1, 1, 2], [0.5, 0.5, 0.5, 0.5]);
        let groups = tally.mistakes();
        let seen =
            |group: usize| groups[group].cells.iter().map(|cell| (cell.tile, cell.probability)).collect::<Vec<_>>();
        assert_eq!(seen(0), [(Some(2), Some(0.75)), (Some(0), Some(0.5))]);
        // Cell 1 was wrong under one seed of the reference.
        assert_eq!(seen(1), [(Some(3), Some(0.5))]);
        assert_eq!((groups[0].cells[0].predicted.as_str(), groups[1].cells[0].predicted.as_str()), ("c", "c"));
    }
}
