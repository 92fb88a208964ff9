//! Sources in fixed shares of the draws: by given weights, or by their rows and a temperature.
//!
//! Draws come in blocks of [`BLOCK`]. Each block gives every source its quota, in an order of the block's own, and the draws
//! that a source gets over all blocks go through its rows as a plan of that source alone would: each row once a pass. So a
//! share is exact, no source repeats a row before it has shown all, and any draw is found without those before it.

use super::permute;
use crate::config::{ConfigError, Data, Sampling};
use crate::ids::Digest;
use crate::layer::nearest;
use std::ops::Range;

/// Draws within which every source gets its quota; shares are rounded to one in so many.
const BLOCK: u64 = 1 << 16;

/// The rows of one source in a shard set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRows {
    /// Name of the source, as in the manifest.
    pub name: String,
    /// Where its rows lie, in order; no two overlap.
    pub runs: Vec<Range<u64>>,
}

impl SourceRows {
    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        self.runs.iter().map(|run| run.end - run.start).sum()
    }
}

/// The shares of all sources that are drawn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shares {
    sources: Vec<Share>,
}

#[derive(Debug, PartialEq, Eq)]
struct Share {
    /// Names the source's own walk, so that it stays the same whatever other sources there are.
    domain: String,
    rows: u64,
    /// Rows before each run, and where the run begins.
    runs: Vec<(u64, u64)>,
    /// Draws in each block, and those of the sources before it.
    quota: u64,
    before: u64,
}

impl Shares {
    /// What `data` asks for; nothing where that is uniform.
    pub(super) fn of(data: &Data, sources: &[SourceRows]) -> Result<Option<Self>, ConfigError> {
        let weights = match data.sampling {
            Sampling::Uniform => return Ok(None),
            Sampling::Weights => given(data, sources)?,
            Sampling::Temperature => tempered(data.sampling_temperature, sources),
        };
        let mut before = 0;
        let mut shares = Vec::new();
        for (source, quota) in sources.iter().zip(quotas(&weights)) {
            if quota == 0 {
                continue;
            }
            let mut rows = 0;
            let mut runs = Vec::with_capacity(source.runs.len());
            for run in &source.runs {
                runs.push((rows, run.start));
                rows += run.end - run.start;
            }
            let domain = format!("plan/source/{}", Digest::of(source.name.as_bytes()));
            shares.push(Share { domain, rows, runs, quota, before });
            before += quota;
        }
        Ok(Some(Self { sources: shares }))
    }

    /// The row of a draw.
    pub(super) fn row_at(&self, seed: u64, draw: u64) -> u64 {
        let block = draw / BLOCK;
        let place = permute((seed, "plan/block"), block, draw % BLOCK, BLOCK);
        let share = &self.sources[self.sources.partition_point(|share| share.before <= place) - 1];
        let own = block * share.quota + (place - share.before);
        let row = permute((seed, &share.domain), own / share.rows, own % share.rows, share.rows);
        let (before, start) = share.runs[share.runs.partition_point(|(before, _)| *before <= row) - 1];
        start + (row - before)
    }
}

fn given(data: &Data, sources: &[SourceRows]) -> Result<Vec<f64>, ConfigError> {
    let bad = |key: String, message: String| ConfigError::BadValue { what: "configuration".to_owned(), key, message };
    let names = || sources.iter().map(|source| source.name.as_str());
    for name in data.source_weights.keys() {
        if !names().any(|known| known == name) {
            let hint = nearest(name, names()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let why = format!("the shard set has no source of this name{hint}");
            return Err(bad(format!("data.source_weights.{name}"), why));
        }
    }
    let weight = |name: &str| {
        data.source_weights.get(name).copied().ok_or_else(|| {
            let why = format!("source `{name}` of the shard set has no weight; give it one (0 leaves it out)");
            bad("data.source_weights".to_owned(), why)
        })
    };
    names().map(weight).collect()
}

fn tempered(temperature: f64, sources: &[SourceRows]) -> Vec<f64> {
    // Relative to the largest, so that a low temperature overflows nothing.
    let largest = sources.iter().map(SourceRows::rows).max().unwrap_or(1).max(1) as f64;
    sources.iter().map(|source| (source.rows() as f64 / largest).powf(1.0 / temperature)).collect()
}

/// Draws of each source in a block: largest remainders, at least one for a weight above 0.
fn quotas(weights: &[f64]) -> Vec<u64> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let sum: f64 = weights.iter().map(|weight| weight / largest).sum();
    let exact: Vec<f64> = weights.iter().map(|weight| weight / largest / sum * BLOCK as f64).collect();
    let least = |i: usize| u64::from(weights[i] > 0.0);
    let mut quotas: Vec<u64> = exact.iter().enumerate().map(|(i, share)| (*share as u64).max(least(i))).collect();
    let lacks = |i: usize, quotas: &[u64]| exact[i] - quotas[i] as f64;
    loop {
        let total: u64 = quotas.iter().sum();
        // On a tie the first source, so that nothing depends on the order of evaluation.
        let by = |better: &dyn Fn(f64, f64) -> bool, may: &dyn Fn(usize) -> bool| {
            (0..exact.len())
                .filter(|i| may(*i))
                .reduce(|a, b| if better(lacks(b, &quotas), lacks(a, &quotas)) { b } else { a })
        };
        let (change, add) = match total.cmp(&BLOCK) {
            std::cmp::Ordering::Less => (by(&|b, a| b > a, &|i| weights[i] > 0.0), true),
            std::cmp::Ordering::Greater => (by(&|b, a| b < a, &|i| quotas[i] > least(i)), false),
            std::cmp::Ordering::Equal => return quotas,
        };
        let Some(i) = change else { return quotas };
        quotas[i] = if add { quotas[i] + 1 } else { quotas[i] - 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ResolvedConfig;
    use crate::plan::{Place, Plan};
    use std::collections::{BTreeMap, BTreeSet};

    /// Three sources of 1,000, 300 and 7 rows; the second lies in two parts.
    fn sources() -> Vec<SourceRows> {
        let source = |name: &str, runs: &[Range<u64>]| SourceRows { name: name.to_owned(), runs: runs.to_vec() };
        vec![
            source("large", std::slice::from_ref(&(100..1100))),
            source("middle", &[0..100, 1100..1300]),
            source("small", std::slice::from_ref(&(1300..1307))),
        ]
    }

    fn name_of(row: u64) -> &'static str {
        match row {
            100..1100 => "large",
            0..1300 => "middle",
            _ => "small",
        }
    }

    fn plan(yaml: &str) -> Plan {
        let config =
            ResolvedConfig::from_yaml(&format!("seed: 3\ntrain: {{batch_size: 64}}\n{yaml}"), "a.yaml", &[]).unwrap();
        Plan::of(&config, &sources()).unwrap()
    }

    fn counts(plan: &Plan, draws: Range<u64>) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        draws.for_each(|draw| *counts.entry(name_of(plan.row_at(draw))).or_default() += 1);
        counts
    }

    #[test]
    fn weights_are_kept_to_one_in_a_block() {
        let plan = plan("data: {sampling: weights, source_weights: {large: 1, middle: 2, small: 1}}");
        for block in 0..2 {
            let of = block * BLOCK..(block + 1) * BLOCK;
            assert_eq!(
                counts(&plan, of),
                BTreeMap::from([("large", BLOCK / 4), ("middle", BLOCK / 2), ("small", BLOCK / 4)])
            );
        }
        // Within a block the order is mixed: a step of 64 holds about 16, 32 and 16.
        let per_step: Vec<u64> = (0..100).map(|step| counts(&plan, step * 64..(step + 1) * 64)["middle"]).collect();
        let mean = per_step.iter().sum::<u64>() as f64 / 100.0;
        assert!((mean - 32.0).abs() < 1.5, "{mean}");
        assert!(per_step.iter().collect::<BTreeSet<_>>().len() > 5, "{per_step:?}");
    }

    #[test]
    fn each_source_shows_all_its_rows_before_it_shows_one_again() {
        let plan = plan("data: {sampling: temperature, sampling_temperature: 2}");
        let mut seen: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        // Whole blocks, since draws of one block reach a source's passes out of order.
        (0..2 * BLOCK).map(|draw| plan.row_at(draw)).for_each(|row| seen.entry(name_of(row)).or_default().push(row));
        for (source, rows) in seen {
            let distinct: BTreeSet<u64> = rows.iter().copied().collect();
            let mut times: BTreeMap<u64, u64> = BTreeMap::new();
            rows.iter().for_each(|row| *times.entry(*row).or_default() += 1);
            let passes = rows.len() as u64 / distinct.len() as u64;
            assert!(times.values().all(|n| (passes..=passes + 1).contains(n)), "{source}: {passes} passes, {times:?}");
        }
    }

    #[test]
    fn temperature_moves_shares_from_those_of_rows_to_equal_ones() {
        let share = |temperature: f64| {
            let plan = plan(&format!("data: {{sampling: temperature, sampling_temperature: {temperature}}}"));
            counts(&plan, 0..BLOCK)["small"] as f64 / BLOCK as f64
        };
        let roots = [1000f64, 300.0, 7.0].map(f64::sqrt);
        assert!((share(1.0) - 7.0 / 1307.0).abs() < 2e-5, "{}", share(1.0));
        assert!((share(2.0) - roots[2] / roots.iter().sum::<f64>()).abs() < 2e-5, "{}", share(2.0));
        assert!((share(1e6) - 1.0 / 3.0).abs() < 1e-4, "{}", share(1e6));
        assert!(share(0.01) > 0.0, "the smallest source keeps a draw in a block");
    }

    #[test]
    fn ranks_share_out_the_same_batch_and_a_source_left_out_is_never_drawn() {
        let plan = plan("data: {sampling: weights, source_weights: {large: 0, middle: 3, small: 1}}");
        let whole = plan.rows_at(1000, Place::SOLO);
        let parts: Vec<_> = (0..3).flat_map(|rank| plan.rows_at(1000, Place { rank, world: 3 })).collect();
        assert_eq!(parts, whole);
        assert!(!counts(&plan, 0..BLOCK).contains_key("large"));
    }

    #[test]
    fn quotas_fill_a_block_whatever_the_weights() {
        for weights in [vec![1.0], vec![1e-30, 1.0], vec![1.0, 1.0, 1.0], vec![0.0, 1e300, 1e300], vec![1e-9; 1000]] {
            let quotas = quotas(&weights);
            assert_eq!(quotas.iter().sum::<u64>(), BLOCK, "{weights:?}");
            assert!(quotas.iter().zip(&weights).all(|(quota, weight)| (*quota > 0) == (*weight > 0.0)));
        }
    }

    #[test]
    fn weights_name_every_source_and_no_other() {
        let refused = |yaml: &str| {
            let config = ResolvedConfig::from_yaml(yaml, "a.yaml", &[]).unwrap();
            Plan::of(&config, &sources()).unwrap_err().to_string()
        };
        let near = refused("data: {sampling: weights, source_weights: {larg: 1, middle: 1, small: 1}}");
        assert!(near.contains("data.source_weights.larg") && near.contains("did you mean `large`"), "{near}");
        let missing = refused("data: {sampling: weights, source_weights: {large: 1, middle: 1}}");
        assert!(missing.contains("`small`") && missing.contains("0 leaves it out"), "{missing}");
        let config = |yaml: &str| ResolvedConfig::from_yaml(yaml, "a.yaml", &[]).unwrap_err().to_string();
        assert!(config("data: {source_weights: {a: 1}}").contains("data.sampling: weights only"));
        assert!(config("data: {sampling: weights}").contains("needs a weight"));
        assert!(
            config("data: {sampling: temperature, sampling_temperature: 0}")
                .contains("a number from 0.001 is expected, not 0")
        );
        assert!(
            config("data: {sampling: weights, source_weights: {a: -1}}")
                .contains("a number from 0 is expected, not -1")
        );
    }
}
