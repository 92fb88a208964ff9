//! A verdict as a sentence.

use results::render::metric_words;
use results::stats::Interval;
use results::stats::power::SeedsNeeded;
use results::stats::verdict::Verdict;
use results::table::{Difference, Judged, Line, Table};

/// What the table says of the arm of `line`, a primary line.
pub(crate) fn sentence(table: &Table, line: &Line) -> String {
    let arm = &line.arm;
    let reference = table.reference.as_deref().unwrap_or_default();
    let Some(difference) = &line.difference else {
        return format!("There is no verdict on {arm}: it has no seed in common with {reference}.");
    };
    match &difference.judgement {
        Some(judged) => judged_words(table, (arm, reference), line, (difference, judged)),
        None => unjudged(arm, reference, difference),
    }
}

fn judged_words(
    table: &Table,
    (arm, reference): (&str, &str),
    line: &Line,
    (difference, judged): (&Difference, &Judged),
) -> String {
    let judgement = &judged.judgement;
    let metric = metric_words(&line.metric);
    let level = percent(table.level());
    let interval = range(judgement.interval);
    match judgement.verdict {
        Verdict::Better | Verdict::Worse => format!(
            "{arm} is {} than {reference} by {} points of {metric} ({level} % interval {interval}; {} after Holm's correction over {}).",
            judgement.verdict.words(),
            points(difference.mean.abs()),
            p_words(judgement.p_holm),
            counted(table.family.tests(), "test"),
        ),
        Verdict::Equivalent => format!(
            "{arm} is equivalent to {reference}: the difference is {} points of {metric}, and its {} % interval, {}, is within ±{} points.",
            signed(difference.mean),
            percent(1.0 - 2.0 * table.rules.alpha),
            range(judgement.equivalence_interval),
            points(table.rules.margin),
        ),
        Verdict::Undecided => format!(
            "Whether {arm} differs from {reference} is undecided: {} points of {metric} ({level} % interval {interval}).{}{}",
            signed(difference.mean),
            needed(judged.seeds_needed),
            detectable(judged.detectable, difference.seeds),
        ),
    }
}

fn unjudged(arm: &str, reference: &str, difference: &Difference) -> String {
    let why = match &difference.over_seeds_and_groups {
        Err(missing) => missing.to_string(),
        Ok(_) => "its spread is not known".to_owned(),
    };
    let (seen, seeds) = (signed(difference.mean), counted(difference.seeds, "seed"));
    format!("There is no verdict on {arm}: {why}. Over {seeds} it is {seen} points from {reference}.")
}

fn needed(seeds: SeedsNeeded) -> String {
    match seeds {
        SeedsNeeded::None => String::new(),
        SeedsNeeded::More(more) => {
            let seeds = if more == 1 { "seed" } else { "seeds" };
            format!(" {more} more {seeds} would decide, if mean and spread stayed the same.")
        }
        SeedsNeeded::OutOfReach => " More seeds would not decide; more groups (images, patients) would.".to_owned(),
    }
}

fn detectable(difference: Option<f64>, seeds: usize) -> String {
    let words = |least: f64| {
        let (least, seeds) = (points(least), counted(seeds, "seed"));
        format!(" With {seeds} this design finds differences from {least} points up.")
    };
    difference.map(words).unwrap_or_default()
}

pub(crate) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn range(interval: Interval) -> String {
    format!("{} to {}", signed(interval.lo), signed(interval.hi))
}

pub(crate) fn points(fraction: f64) -> String {
    format!("{:.1}", 100.0 * fraction)
}

pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.0}", 100.0 * fraction)
}

fn signed(fraction: f64) -> String {
    let text = points(fraction.abs());
    let sign = match (text == "0.0", fraction < 0.0) {
        (true, _) => "",
        (false, true) => "−",
        (false, false) => "+",
    };
    format!("{sign}{text}")
}

fn p_words(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}
