//! The comparison that a plan makes, in words, before anything of it is run.

use results::render;
use results::stats::components::Components;
use results::stats::estimate::{FEWEST_DF, FEWEST_SEEDS};
use results::stats::power::Spread;
use results::stats::verdict::Rules;
use results::table::{POWER, Table};
use shards::{Manifest, Split, SplitKind};
use store::Store;
use terminal::counted;

use crate::records::{EvalSet, Plan};

/// What verdicts will be about: the primary comparisons, their family, and the region of practical equivalence.
pub(crate) fn words(plan: &Plan) -> String {
    let primaries: Vec<String> = plan
        .evals
        .iter()
        .map(|eval| {
            let metric = render::metric_words(eval.primary.metric.name());
            format!("{} {metric} on {}", eval.primary.probe.name(), eval.name)
        })
        .collect();
    let (arms, sets) = (plan.arms.len().saturating_sub(1), plan.evals.len());
    let family = match arms * sets {
        0 => "no arm is compared".to_owned(),
        1 => "one comparison".to_owned(),
        tests => format!("{tests} comparisons, corrected together (Holm)"),
    };
    format!("Primary: {}; {family}. Equivalent: within ±{} points.", primaries.join(", "), 100.0 * plan.equivalence)
}

/// What the planned design can find on each evaluation set, a sentence each. Differences are taken to spread as those in `known`,
/// the table of finished trials of this sweep, or else as measured on real cells.
pub(crate) fn power(plan: &Plan, known: Option<&Table>) -> Vec<String> {
    if plan.arms.len() < 2 {
        return Vec::new();
    }
    plan.evals.iter().map(|eval| detectable(plan, eval, known)).collect()
}

fn detectable(plan: &Plan, eval: &EvalSet, known: Option<&Table>) -> String {
    let rules = Rules { margin: plan.equivalence, ..Rules::default() };
    let tests = (plan.arms.len() - 1) * plan.evals.len();
    let seeds = plan.seeds.len();
    let enough = seeds.max(FEWEST_SEEDS);
    let of = |spread: &Spread| spread.minimum_detectable(enough, tests, POWER, &rules).unwrap_or(f64::INFINITY);
    let known = known.and_then(|table| widest(table, eval, of));
    if known.is_none()
        && let Some(why) = too_few_groups(eval)
    {
        return format!("On {}: {why}", eval.name);
    }
    let (spread, assumption) = known.unwrap_or_else(|| measured(eval));
    let (least, percent) = (100.0 * of(&spread), 100.0 * POWER);
    let (found, on) =
        (format!("the smallest detectable difference is {least:.1} points ({percent:.0} % power)"), &eval.name);
    if seeds < FEWEST_SEEDS {
        let have = counted(seeds, "seed");
        return format!(
            "On {on}: no interval and no verdict with {have}. With {enough} seeds {found}, assuming {assumption}."
        );
    }
    format!("On {on}: with {seeds} seeds {found}, assuming {assumption}.")
}

/// The spread of the arm that varies most among those that have finished, and the words that name it.
fn widest(table: &Table, eval: &EvalSet, detectable: impl Fn(&Spread) -> f64) -> Option<(Spread, String)> {
    let of_eval = table.lines.iter().filter(|line| line.is_primary && !line.is_baseline() && line.dataset == eval.name);
    let spreads = of_eval.filter_map(|line| {
        let difference = line.difference.as_ref()?;
        // An arm whose differences are all equal leaves their spread unknown rather than zero.
        let (Ok(_), Ok(_)) = (&difference.over_seeds_and_groups, &difference.over_seeds) else { return None };
        Some((difference.spread?, line.name(), difference.seeds))
    });
    let (spread, arm, seeds) = spreads.max_by(|a, b| detectable(&a.0).total_cmp(&detectable(&b.0)))?;
    Some((
        spread,
        format!(
            "the spread of arm `{arm}` over its {} in this sweep, the widest of all arms",
            counted(seeds, "finished seed")
        ),
    ))
}

/// The measured spread on as many groups as the evaluation set has, and the words that name it.
fn measured(eval: &EvalSet) -> (Spread, String) {
    let groups = groups(eval);
    let spread = Components::measured_spread(groups);
    let over = groups.map_or_else(
        || {
            let groups = counted(Components::measured_groups(), "group");
            format!("the {groups} of Chula RBC-12, because those of {} cannot be read", eval.name)
        },
        |groups| format!("the {} of {}", counted(groups, "group"), eval.name),
    );
    let assumption = format!(
        "the spread of balanced accuracy measured on Chula RBC-12 (bench/statistics): {:.1} points over seeds, {:.1} over {over}",
        100.0 * spread.per_seed.sqrt(),
        100.0 * spread.floor.sqrt(),
    );
    (spread, assumption)
}

/// Why no number of seeds gives a verdict on an evaluation set, where its split has too few groups. `None` as well if the set or its split cannot be
/// read, which is an error elsewhere.
fn too_few_groups(eval: &EvalSet) -> Option<String> {
    let store = Store::open(&eval.shards.uri).ok()?;
    let split = Split::read(&store, &eval.split, &eval.shards.digest).ok()?;
    let sources = Manifest::read(&store).ok()?.sources.len();
    let mut folds = vec![0_usize; split.folds() as usize];
    for (_, fold) in split.groups() {
        if let Some(groups) = folds.get_mut(fold as usize) {
            *groups += 1;
        }
    }
    no_verdict(&folds, sources, split.kind())
}

/// As [`too_few_groups`], from the number of groups in each fold. A table counts the folds of each source apart, which a split does not know: what is
/// said here holds however the groups of several sources lie in the folds.
fn no_verdict(folds: &[usize], sources: usize, kind: SplitKind) -> Option<String> {
    let groups: usize = folds.iter().sum();
    let most_folds = match kind {
        SplitKind::GroupedKfold { .. } => groups.min(folds.len() * sources),
        SplitKind::LeaveOneSourceOut => folds.len(),
    };
    let by_groups = folds.iter().all(|&groups| groups >= 2) && groups >= folds.len().max(sources) + FEWEST_DF;
    let by_folds = most_folds >= sources + FEWEST_DF;
    if by_groups || by_folds {
        return None;
    }
    Some(format!(
        "no verdict with any number of seeds, because there are too few groups: {} in {} ({}). Needed are {FEWEST_DF} more groups than folds, with \
         two or more groups in each fold, or {FEWEST_DF} more folds than sources, with two or more folds for each source.",
        counted(groups, "group"),
        counted(folds.len(), "fold"),
        counted(sources, "source")
    ))
}

/// The number of groups of an evaluation set; `None` if its split cannot be read, which is an error elsewhere.
fn groups(eval: &EvalSet) -> Option<usize> {
    let split = Split::read(&Store::open(&eval.shards.uri).ok()?, &eval.split, &eval.shards.digest).ok()?;
    Some(split.groups().count())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use results::stats::counts::{CountsBuilder, Place};
    use results::table::{Evaluated, TableOptions};
    use results::{ResultRow, ResultsError};

    use super::*;
    use crate::command::tests::plan;
    use crate::tables;

    #[test]
    fn primaries_family_and_region_are_named() {
        let expected =
            "Primary: linear_standardised weighted F1 on cells; one comparison. Equivalent: within ±1 points.";
        assert_eq!(words(&plan()), expected);
        let mut more = plan();
        more.arms.push(more.arms[1].clone());
        assert!(words(&more).contains("2 comparisons, corrected together (Holm)"));
    }

    #[test]
    fn what_a_design_can_find_is_said_from_measured_spreads_and_three_seeds_are_asked_for() {
        let mut plan = plan();
        let few = power(&plan, None).join("\n");
        assert!(
            few.starts_with(
                "On cells: no interval and no verdict with 1 seed. With 3 seeds the smallest detectable difference is "
            ),
            "{few}"
        );
        assert!(few.contains(" points (80 % power), assuming the spread of balanced accuracy measured on "), "{few}");
        let not_its_own = "over the 317 groups of Chula RBC-12, because those of cells cannot be read.";
        assert!(few.ends_with(not_its_own), "{few}");
        let points = |text: &str| {
            let rest = text.split("difference is ").nth(1).unwrap();
            rest.split(' ').next().unwrap().parse::<f64>().unwrap()
        };
        plan.seeds = (0..10).map(Into::into).collect();
        let many = power(&plan, None).join("\n");
        assert!(
            many.starts_with("On cells: with 10 seeds the smallest detectable difference is ")
                && points(&many) < points(&few),
            "{many}"
        );
        plan.arms.truncate(1);
        assert!(power(&plan, None).is_empty());
    }

    #[test]
    fn a_split_with_too_few_groups_is_promised_nothing() {
        let grouped = SplitKind::GroupedKfold { seed: 0 };
        let few = no_verdict(&[2, 2], 1, grouped).unwrap();
        assert!(
            few.contains("too few groups: 4 groups in 2 folds (1 source). Needed are 4 more groups than folds"),
            "{few}"
        );
        assert!(no_verdict(&[1, 5], 1, grouped).is_some(), "a fold with one group");
        assert!(no_verdict(&[3, 3], 3, grouped).is_some());
        assert!(no_verdict(&[2, 2], 2, SplitKind::LeaveOneSourceOut).is_some());
        for (folds, sources) in [(vec![3, 3], 1), (vec![1; 5], 1), (vec![20, 20], 3), (vec![1, 11], 4)] {
            assert_eq!(no_verdict(&folds, sources, grouped), None, "{folds:?} of {sources} sources");
        }
        assert_eq!(no_verdict(&[3, 3], 2, SplitKind::LeaveOneSourceOut), None);
    }

    /// Rows of the reference and of an arm that differs by `gain` with each of three seeds; predictions of groups that differ.
    fn finished(gain: [u64; 3]) -> Table {
        let mut builder = CountsBuilder::new(2);
        let mut rows = Vec::new();
        for seed in 0..3 {
            for (arm, gain) in [("reference", 0), ("b", gain[seed as usize])] {
                for group in 0..5 {
                    let place = Place { source: "a", fold: "0", group: ["p", "q", "r", "s", "t"][group as usize] };
                    let right = 10 + gain + if arm == "b" { group % 2 } else { 0 };
                    builder.add((arm, seed), place, (0, 0), right).unwrap();
                    builder.add((arm, seed), place, (0, 1), 40 - right).unwrap();
                }
                let (probe, metric) = ("linear_standardised".into(), "weighted_f1".into());
                rows.push(ResultRow { arm: arm.into(), seed: seed.into(), probe, metric, ..tables::tests::row() });
            }
        }
        let counts = BTreeMap::from([("linear_standardised".to_owned(), builder.build().unwrap())]);
        let evaluated = Evaluated { classes: vec!["round".into(), "spiky".into()], counts };
        let options = TableOptions { reference: Some("reference".into()), ..TableOptions::default() };
        Table::with_predictions(&rows, &[], &options, |_, _| Ok::<_, ResultsError>(evaluated.clone())).unwrap()
    }

    #[test]
    fn an_arm_whose_seeds_are_all_equal_says_nothing_about_the_spread() {
        let mut plan = plan();
        plan.seeds = vec![0.into(), 1.into(), 2.into()];
        let of = |table: &Table| power(&plan, Some(table)).join("\n");
        assert!(
            of(&finished([1, 3, 2])).contains("assuming the spread of arm `b` over its 3 finished seeds in this sweep"),
            "{}",
            of(&finished([1, 3, 2]))
        );
        assert!(of(&finished([0; 3])).contains("measured on Chula RBC-12"), "{}", of(&finished([0; 3])));
    }
}
