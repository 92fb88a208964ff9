//! Whether a score ranks what is wanted above the rest: areas under the ROC and the precision-recall curve, as scikit-learn's
//! `roc_auc_score` and `average_precision_score` compute them. Ties count half in the first, and as one step in the second.

/// The probability that a wanted item scores above another one, ties counting half; `None` without both kinds.
///
/// `items` holds the score of each item and whether it is wanted.
pub fn auroc(items: &[(f64, bool)]) -> Option<f64> {
    let wanted = items.iter().filter(|(_, wanted)| *wanted).count() as f64;
    let others = items.len() as f64 - wanted;
    let (mut below, mut area) = (0.0, 0.0);
    for (hits, misses) in steps(items, f64::total_cmp) {
        area += hits * (below + misses / 2.0);
        below += misses;
    }
    (wanted > 0.0 && others > 0.0).then(|| area / (wanted * others))
}

/// The mean precision over the wanted items, from the highest score down (no interpolation); `None` without a wanted item.
pub fn average_precision(items: &[(f64, bool)]) -> Option<f64> {
    let wanted = items.iter().filter(|(_, wanted)| *wanted).count() as f64;
    let (mut found, mut taken, mut sum) = (0.0, 0.0, 0.0);
    for (hits, misses) in steps(items, |a, b| b.total_cmp(a)) {
        found += hits;
        taken += hits + misses;
        sum += hits / wanted * (found / taken);
    }
    (wanted > 0.0).then_some(sum)
}

/// For each different score, in this order, how many items are wanted and how many are not.
fn steps(items: &[(f64, bool)], order: impl Fn(&f64, &f64) -> std::cmp::Ordering) -> Vec<(f64, f64)> {
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| order(&a.0, &b.0));
    sorted
        .chunk_by(|a, b| a.0 == b.0)
        .map(|equal| {
            let hits = equal.iter().filter(|(_, wanted)| *wanted).count();
            (hits as f64, (equal.len() - hits) as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_order_scores_one_and_a_tie_counts_half() {
        assert_eq!(auroc(&[(1.0, false), (2.0, true), (3.0, true)]), Some(1.0));
        assert_eq!(auroc(&[(1.0, false), (1.0, true)]), Some(0.5));
        assert_eq!(auroc(&[(3.0, false), (2.0, true)]), Some(0.0));
        assert_eq!(average_precision(&[(3.0, false), (2.0, true)]), Some(0.5));
        assert_eq!(average_precision(&[(1.0, false), (1.0, true), (1.0, false), (1.0, false)]), Some(0.25));
        assert_eq!((auroc(&[(1.0, true)]), average_precision(&[(1.0, false)])), (None, None));
    }
}
