//! How much differences of two arms vary, as measured on real cells: what a design is planned by before any of it has run.

use serde::Deserialize;

use super::power::Spread;
use super::summary;

/// Standard deviations of the difference of two arms in balanced accuracy, as fractions. `bench/statistics` says on what they were
/// measured, and by which command.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Components {
    /// From one seed to the next.
    pub seed: f64,
    /// From one source to the next; a guess, since one source was measured.
    pub source: f64,
    /// From one fold to the next, beyond what their groups explain.
    pub fold: f64,
    /// From one group (image) of a fold to the next, shared by all seeds.
    pub group: f64,
    /// Of one group under one seed, beyond chance in its cells.
    pub seed_group: f64,
    /// Share of the cells that two arms predict alike beyond chance.
    pub alike: f64,
}

/// The file of the measurement.
#[derive(Deserialize)]
struct File {
    measured: Measured,
    components: Components,
}

/// What was measured.
#[derive(Deserialize)]
struct Measured {
    groups: usize,
    difference_by_seed: Vec<f64>,
}

fn file() -> File {
    serde_json::from_str(include_str!("components.json")).expect("a test reads the same file")
}

impl Components {
    /// The measured components.
    pub fn measured() -> Self {
        file().components
    }

    /// The number of groups of the set on which they were measured.
    pub fn measured_groups() -> usize {
        file().measured.groups
    }

    /// The spread of a difference on an evaluation set of `groups` groups, or of as many as were measured: over seeds as it was
    /// measured, over groups by their number.
    pub fn measured_spread(groups: Option<usize>) -> Spread {
        let File { measured, components } = file();
        let over_seeds =
            summary(&measured.difference_by_seed).and_then(|summary| summary.std).unwrap_or(components.seed);
        let groups = groups.unwrap_or(measured.groups).max(1) as f64;
        Spread::assumed(over_seeds, components.group / groups.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_spread_falls_with_the_number_of_groups() {
        let of = |groups| Components::measured_spread(groups);
        assert!(Components::measured().group > 0.0 && of(None).per_seed > 0.0);
        assert_eq!(of(None), of(Some(Components::measured_groups())));
        let [few, many] = [100, 400].map(|groups| of(Some(groups)));
        assert!((few.floor / many.floor - 4.0).abs() < 1e-9 && few.per_seed == many.per_seed);
    }
}
