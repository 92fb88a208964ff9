//! Intervals that were tried beside the one on offer; `prove_statistics` prints their coverage, so that the choice can be seen.

use results::stats::counts::{Counts, Stratum};
use results::stats::score::{ClassCounts, Metric};
use results::stats::{Interval, quantile};
use run_spec::seed::{Stream, stream};

/// The percentile bootstrap that draws seeds, and groups within sources, both with replacement and the same for both arms.
pub(crate) fn crossed_percentile(
    counts: &Counts,
    metric: Metric,
    (arm, reference): (&str, &str),
    resamples: u64,
) -> Interval {
    let seeds = counts.seeds(arm);
    let trials = |arm: &str| seeds.iter().map(|&seed| counts.trial(arm, seed).unwrap()).collect::<Vec<_>>();
    let (ours, theirs) = (trials(arm), trials(reference));
    let groups = counts.strata().last().unwrap().groups.end;
    let (mut drawn, mut values) = (vec![0; groups], Vec::new());
    for resample in 0..resamples {
        let mut draws = stream(0, "simulation/resample", &[resample]);
        draw_groups(counts.strata(), &mut drawn, &mut draws);
        let mut sum = 0.0;
        for _ in &seeds {
            let seed = draws.below(seeds.len() as u64) as usize;
            sum += score(counts, ours[seed], &drawn, metric) - score(counts, theirs[seed], &drawn, metric);
        }
        values.push(sum / seeds.len() as f64);
    }
    let end = |q| quantile(&values, q).unwrap();
    Interval { lo: end(0.025), hi: end(0.975) }
}

fn draw_groups(strata: &[Stratum], drawn: &mut [u32], draws: &mut Stream) {
    drawn.fill(0);
    for source in strata.chunk_by(|a, b| a.source == b.source) {
        let (first, end) = (source[0].groups.start, source.last().unwrap().groups.end);
        for _ in first..end {
            drawn[first + draws.below((end - first) as u64) as usize] += 1;
        }
    }
}

fn score(counts: &Counts, trial: &[ClassCounts], drawn: &[u32], metric: Metric) -> f64 {
    let classes = counts.classes();
    let mut sums = [ClassCounts::default(); 16];
    let of = |stratum: &Stratum| {
        sums.fill(ClassCounts::default());
        for group in stratum.groups.clone().filter(|&group| drawn[group] > 0) {
            let times = u64::from(drawn[group]);
            for (sum, part) in sums.iter_mut().zip(&trial[group * classes..(group + 1) * classes]) {
                sum.support += times * part.support;
                sum.predicted += times * part.predicted;
                sum.correct += times * part.correct;
            }
        }
        metric.of(sums[..classes].iter().copied())
    };
    let mut of = of;
    counts.strata().iter().zip(counts.weights()).map(|(stratum, weight)| weight * of(stratum)).sum()
}
