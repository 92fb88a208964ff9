//! The comparison that a plan makes, in words, before anything of it is run.

use results::render;

use crate::records::Plan;

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
    let (arms, sets) = (plan.arms.len() - 1, plan.evals.len());
    let family = match arms * sets {
        0 => "no arm is compared".to_owned(),
        1 => "one comparison".to_owned(),
        tests => format!("{tests} comparisons, which Holm's correction counts as one family"),
    };
    format!("Primary: {}; {family}. Equivalent: within ±{} points.", primaries.join(", "), 100.0 * plan.equivalence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::plan;

    #[test]
    fn primaries_family_and_region_are_named() {
        let expected =
            "Primary: linear_standardised weighted F1 on cells; one comparison. Equivalent: within ±1 points.";
        assert_eq!(words(&plan()), expected);
        let mut more = plan();
        more.arms.push(more.arms[1].clone());
        assert!(words(&more).contains("2 comparisons, which Holm's correction counts as one family"));
    }
}
