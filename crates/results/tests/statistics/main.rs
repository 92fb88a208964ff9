//! Proof by simulation that intervals hold the truth as often as they say, and that verdicts are seldom false.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking; the proof is a table")]

mod candidates;
mod coverage;
mod sweep;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use coverage::Coverage;
use results::stats::paired::Paired;
use results::stats::score::Metric;
use sweep::{Components, Design, simulate};

/// Three arms and a reference on 4 sources of 5 folds, 8 groups of 12 cells each.
fn design(seeds: usize, effect: f64) -> Design {
    Design { seeds, sources: 4, folds: 5, groups_per_fold: 8, cells_per_group: 12, classes: 6, arms: 3, effect }
}

/// The known difference: four points.
const EFFECT: f64 = 0.04;

/// The measured components, with folds that differ by a point: the estimate is zero, which five folds cannot tell from that.
fn measured() -> Components {
    let measured = Components::measured();
    Components { fold: measured.fold.max(0.01), ..measured }
}

fn holds_in_300_sweeps(seeds: usize) {
    for effect in [0.0, EFFECT] {
        let coverage = Coverage::of(&design(seeds, effect), &measured(), 300);
        let shares = [coverage.seeds_and_groups_percent(), coverage.sources_percent()];
        assert!(shares.iter().all(|share| (91.0..=99.0).contains(share)), "{shares:?} %: {coverage:?}");
        assert!(coverage.false_families_percent() <= 6.0, "{coverage:?}");
    }
}

#[test]
fn intervals_of_three_seeds_hold_the_truth() {
    holds_in_300_sweeps(3);
}

#[test]
fn intervals_of_five_seeds_hold_the_truth() {
    holds_in_300_sweeps(5);
}

#[test]
fn intervals_of_ten_seeds_hold_the_truth() {
    holds_in_300_sweeps(10);
}

/// `sources` sources of 3 folds, 4 groups of 12 cells each.
fn many_sources(seeds: usize, sources: usize, effect: f64) -> Design {
    Design { sources, folds: 3, groups_per_fold: 4, arms: 1, ..design(seeds, effect) }
}

/// What a seed does to all sources alike does not show between them, and the more sources there are the more it matters.
#[test]
fn intervals_over_many_new_sources_hold_the_truth_where_seeds_differ() {
    let (_, differing) = other_components()[1];
    for (seeds, sources) in [(3, 8), (3, 10), (5, 10)] {
        for components in [measured(), differing] {
            let coverage = Coverage::of_sources(&many_sources(seeds, sources, 0.0), &components, 300);
            let share = coverage.sources_percent();
            // With many sources the correction for shared images alone holds the truth in 99 %.
            assert!((91.0..=99.7).contains(&share), "{sources} sources, {seeds} seeds: {share} %");
            assert!(coverage.sources_p_percent() <= 6.0, "{coverage:?}");
        }
    }
}

/// One source as small as it may be: five folds of one group, one fold of five groups, two folds of three.
fn smallest(seeds: usize) -> [Design; 3] {
    let of = |folds, groups_per_fold| Design { sources: 1, folds, groups_per_fold, arms: 3, ..design(seeds, 0.0) };
    [of(5, 1), of(1, 5), of(2, 3)]
}

#[test]
fn intervals_of_the_smallest_designs_hold_the_truth() {
    for design in [3, 5, 10].into_iter().flat_map(smallest) {
        let coverage = Coverage::of(&design, &measured(), 300);
        let share = coverage.seeds_and_groups_percent();
        assert!(share >= 91.0, "{design:?}: {share} %");
        assert!(coverage.false_families_percent() <= 6.0, "{design:?}: {coverage:?}");
    }
}

/// Components beside the measured ones, so that the proof does not hang on one measurement.
fn other_components() -> [(&'static str, Components); 5] {
    let measured = measured();
    [
        ("measured", measured),
        ("seeds 3 points", Components { seed: 0.03, ..measured }),
        ("seeds alike", Components { seed: 0.0, ..measured }),
        ("folds 3 points", Components { fold: 0.03, ..measured }),
        ("folds alike", Components { fold: 0.0, ..measured }),
    ]
}

/// The coverage in percent with which a 95 % interval is offered, conservative ones included.
const PROVEN: std::ops::RangeInclusive<f64> = 93.0..=99.0;

/// The same for new sources: where sources share nothing at all, the corrected resampled t alone covers 98.95 % with eight of them and
/// 99.06 % with ten, in exact terms.
const PROVEN_OF_SOURCES: std::ops::RangeInclusive<f64> = 93.0..=99.5;

/// Three, five and ten seeds without and with a difference.
const DESIGNS: [(usize, f64); 6] = [(3, 0.0), (3, EFFECT), (5, 0.0), (5, EFFECT), (10, 0.0), (10, EFFECT)];

/// A simulation that has not run yet.
type Job = Box<dyn Fn() -> Coverage + Send + Sync>;
/// What a design and its simulation are called in the tables of the proof.
type Proved = (String, Coverage);

#[test]
fn prove_statistics() {
    if std::env::var_os("REDDINO_PROVE_STATISTICS").is_none() {
        println!("SKIPPED: 2,000 sweeps a design take a quarter of an hour; `make prove-statistics` simulates them");
        return;
    }
    let failed: Vec<String> = [prove_sources(), prove_smallest(), prove_tables()].concat();
    print_candidates();
    assert!(failed.is_empty(), "outside 93-99 % or above 6 % of false claims: {failed:#?}");
}

/// Simulates each of `jobs` on the processors that there are, in their order.
fn simulated(jobs: Vec<(String, Job)>) -> Vec<Proved> {
    let next = AtomicUsize::new(0);
    let found: Vec<OnceLock<Coverage>> = jobs.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        while let Some((job, place)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(index).zip(found.get(index))
        } {
            place.set(job.1()).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let coverages = found.iter().map(|place| *place.get().unwrap());
    jobs.iter().map(|(name, _)| name.clone()).zip(coverages).collect()
}

/// The designs of the documentation: those that are not proven, by name.
fn prove_tables() -> Vec<String> {
    let mut jobs: Vec<(String, Job)> = Vec::new();
    for (name, components) in other_components() {
        for (seeds, effect) in DESIGNS {
            let job = move || Coverage::of(&design(seeds, effect), &components, 2000);
            jobs.push((format!("| {name} | {seeds} | {effect}"), Box::new(job)));
        }
    }
    println!(
        "\n| components | seeds | effect | new seeds and groups | width | new sources | false families | equivalent | decided |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut failed = Vec::new();
    for (name, c) in simulated(jobs) {
        let percent = |n: f64| 100.0 * n / c.arms as f64;
        let (groups, sources, wrong) = (c.seeds_and_groups_percent(), c.sources_percent(), c.false_families_percent());
        let (width, equivalent, decided) = (percent(c.width), percent(c.equivalent as f64), percent(c.decided as f64));
        println!("{name} | {groups:.1} | {width:.1} | {sources:.1} | {wrong:.1} | {equivalent:.1} | {decided:.1} |");
        if !PROVEN.contains(&groups) || !PROVEN.contains(&sources) || wrong > 6.0 {
            failed.push(name);
        }
    }
    failed
}

/// Eight and ten sources, which the spread of the seeds matters to most.
fn prove_sources() -> Vec<String> {
    let mut jobs: Vec<(String, Job)> = Vec::new();
    for (name, components) in &other_components()[..3] {
        for (sources, seeds) in [(8, 3), (8, 5), (8, 10), (10, 3), (10, 5), (10, 10)] {
            let components = *components;
            let job = move || Coverage::of_sources(&many_sources(seeds, sources, 0.0), &components, 2000);
            jobs.push((format!("| {name} | {sources} | {seeds}"), Box::new(job)));
        }
    }
    println!("| components | sources | seeds | new sources | p below 0.05 |\n|---|--:|--:|--:|--:|");
    let mut failed = Vec::new();
    for (name, c) in simulated(jobs) {
        let (sources, p) = (c.sources_percent(), c.sources_p_percent());
        println!("{name} | {sources:.1} | {p:.1} |");
        if !PROVEN_OF_SOURCES.contains(&sources) || p > 6.0 {
            failed.push(name);
        }
    }
    failed
}

/// The smallest designs that are permitted.
fn prove_smallest() -> Vec<String> {
    let mut jobs: Vec<(String, Job)> = Vec::new();
    for (name, components) in &other_components()[..3] {
        for design in [3, 5, 10].into_iter().flat_map(smallest) {
            let components = *components;
            let name = format!("| {name} | {} | {} | {}", design.folds, design.groups_per_fold, design.seeds);
            jobs.push((name, Box::new(move || Coverage::of(&design, &components, 2000))));
        }
    }
    println!("\n| components | folds | groups a fold | seeds | new seeds and groups | false families |");
    println!("|---|--:|--:|--:|--:|--:|");
    let mut failed = Vec::new();
    for (name, c) in simulated(jobs) {
        let (groups, wrong) = (c.seeds_and_groups_percent(), c.false_families_percent());
        println!("{name} | {groups:.1} | {wrong:.1} |");
        if !PROVEN.contains(&groups) || wrong > 6.0 {
            failed.push(name);
        }
    }
    failed
}

/// Coverage of what is not on offer, in 500 sweeps.
fn print_candidates() {
    println!(
        "\n| components | seeds | percentile bootstrap of seeds and groups | t over seeds alone, taken for new groups too |"
    );
    println!("|---|--:|--:|--:|");
    for (name, components) in &other_components()[..2] {
        for seeds in [3, 5, 10] {
            let [percentile, seeds_alone] = candidates_percent(seeds, components);
            println!("| {name} | {seeds} | {percentile:.1} | {seeds_alone:.1} |");
        }
    }
}

fn candidates_percent(seeds: usize, components: &Components) -> [f64; 2] {
    let design = Design { arms: 1, ..design(seeds, EFFECT) };
    let mut hits = [0, 0];
    for index in 0..500 {
        let counts = simulate(&design, components, index, false);
        let metric = Metric::BalancedAccuracy;
        let paired = Paired::new(&counts, "1", "0", metric).unwrap();
        let percentile = candidates::crossed_percentile(&counts, metric, ("1", "0"), 400);
        for (hits, interval) in hits.iter_mut().zip([percentile, paired.over_seeds().unwrap().interval(0.95)]) {
            *hits += u32::from(interval.lo <= EFFECT && EFFECT <= interval.hi);
        }
    }
    hits.map(|hits| f64::from(hits) / 5.0)
}
