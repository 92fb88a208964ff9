//! Places of cells with what is known of them.

use std::collections::BTreeSet;

use super::Tally;
use crate::data::Map;

impl Tally {
    /// The map on which each cell, in the order of the evaluation set, has a place. `note` says of what it is, and how it was made.
    /// `None` where there are more or fewer places than cells.
    pub fn map(&self, note: &str, places: &[[f32; 2]]) -> Option<Map> {
        if places.len() != self.places.len() || places.is_empty() {
            return None;
        }
        let (sources, source) = numbered(self.places.iter().map(|place| place.source.as_str()));
        let (folds, fold) = numbered(self.places.iter().map(|place| place.fold.as_str()));
        let predicted = (self.predicted.len() == places.len()).then(|| self.predicted.clone());
        Some(Map {
            note: note.to_owned(),
            classes: self.classes.clone(),
            sources,
            folds,
            x: places.iter().map(|place| shortened(place[0])).collect(),
            y: places.iter().map(|place| shortened(place[1])).collect(),
            truth: self.places.iter().map(|place| place.truth as u32).collect(),
            predicted,
            source: Some(source),
            fold: Some(fold),
            tile: Some((0..places.len() as u32).collect()),
        })
    }
}

/// The different names, sorted, and the position of each of `values` among them.
fn numbered<'a>(values: impl Iterator<Item = &'a str> + Clone) -> (Vec<String>, Vec<u32>) {
    let names: Vec<&str> = values.clone().collect::<BTreeSet<_>>().into_iter().collect();
    let number = |value: &str| names.binary_search(&value).unwrap_or_default() as u32;
    let numbers = values.map(number).collect();
    (names.into_iter().map(str::to_owned).collect(), numbers)
}

/// A screen shows no more than a thousandth.
fn shortened(value: f32) -> f32 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use results::stats::score::Metric;

    use super::*;
    use crate::data::Kind;
    use results::predictions::SeenCell;

    #[test]
    fn each_cell_has_a_place_and_what_the_first_seed_of_the_reference_predicted() {
        let mut tally = Tally::new(["a", "b"].map(str::to_owned).to_vec(), Metric::Accuracy);
        for (kind, predicted) in [(Kind::Arm, [0, 0]), (Kind::Reference, [0, 1]), (Kind::Reference, [1, 1])] {
            let name = if kind == Kind::Arm { "other" } else { "base" };
            let shown: Result<(), Infallible> = tally.add((name, kind), |see| {
                for (source, predicted) in ["y", "x"].into_iter().zip(predicted) {
                    see(SeenCell { source, fold: "0", group: "slide", truth: 1, predicted, probability: None });
                }
                Ok(())
            });
            assert_eq!(shown, Ok(()));
        }
        let map = tally.map("a map", &[[0.12345, 1.0], [2.0, 3.0]]).unwrap();
        assert_eq!(
            (map.x, map.predicted, map.source, map.tile),
            (vec![0.123, 2.0], Some(vec![0, 1]), Some(vec![1, 0]), Some(vec![0, 1]))
        );
        assert_eq!(map.sources, ["x", "y"]);
        assert_eq!(tally.map("a map", &[[0.0, 0.0]]), None);
    }
}
