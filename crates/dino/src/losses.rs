//! What each term of the loss weighs (recipe §2.5).

use run_spec::config::{DinoNormaliser, Loss};

/// Factors of the two DINO terms, and whether local crops count at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DinoWeights {
    /// On the mean cross-entropy of global crops, each against the other crop of its image.
    pub global: f64,
    /// On the sum over local crops and both teacher crops of the mean cross-entropy over images.
    pub local: f64,
    /// Local crops are run through the student. When false they need not even be made.
    pub uses_local: bool,
}

impl DinoWeights {
    /// The factors that a configuration asks for.
    ///
    /// `published`: both are divided by `2 + max(2·n_local, 1)`, whether or not the local term counts. `terms`: the
    /// terms that count, 2 global and 2 for each local crop, have equal weights that sum to 1.
    pub fn of(loss: &Loss) -> Self {
        let n = loss.n_local as f64;
        let uses_local = loss.n_local > 0 && loss.n_local > loss.local_loss_above;
        let divisor = match loss.dino_normaliser {
            DinoNormaliser::Published => 2.0 + (2.0 * n).max(1.0),
            DinoNormaliser::Terms if uses_local => 2.0 + 2.0 * n,
            DinoNormaliser::Terms => 2.0,
        };
        Self { global: 2.0 / divisor, local: 1.0 / divisor, uses_local }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_published_ones() {
        let of = |n_local, local_loss_above, dino_normaliser| {
            DinoWeights::of(&Loss { n_local, local_loss_above, dino_normaliser, ..Loss::default() })
        };
        use DinoNormaliser::{Published, Terms};
        assert_eq!(of(1, 1, Published).global, 0.5);
        assert!(!of(1, 1, Published).uses_local);
        assert!(of(1, 0, Published).uses_local);
        assert_eq!(of(0, 0, Published).global, 2.0 / 3.0);
        assert_eq!(of(8, 1, Published).global, 1.0 / 9.0);
        assert_eq!(of(8, 1, Published).local, 1.0 / 18.0);
        assert_eq!(of(0, 0, Terms).global, 1.0);
        let eight = of(8, 1, Terms);
        assert!((eight.global + 16.0 * eight.local - 1.0).abs() < 1e-15);
    }
}
