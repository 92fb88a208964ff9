//! The gate before a sweep: whether a training set is known to share images with an evaluation set. Only records of
//! `shard-builder leaks` are read; nothing is compared here.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use shards::leaks::{Comparison, FoundLeaks, Leaks};
use store::Store;
use terminal::thousands;

use crate::command::shown;
use crate::records::{EvalSet, Plan, ShardRef, Trial};

/// What to do with a sweep whose training and evaluation sets share images, or were not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Leakage {
    /// The sweep does not start.
    Refuse,
    /// The sweep starts with a warning.
    Warn,
    /// The sweep starts.
    Allow,
}

/// What the gate has to say, a sentence each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gate {
    /// What must be corrected first.
    pub(crate) problems: Vec<String>,
    /// What a person should know.
    pub(crate) warnings: Vec<String>,
}

/// What two sets are known to share.
enum Known {
    /// Nothing was looked for.
    Unknown,
    /// They are one set.
    Same,
    /// What the record says.
    Recorded(Box<FoundLeaks>),
}

/// Asks for the record of each training set of `trials` and each evaluation set, but for those that the sweep file calls transductive.
pub(crate) fn check(leakage: Leakage, store: &Store, plan: &Plan, trials: &[Trial<'_>]) -> Gate {
    let mut gate = Gate::default();
    if leakage == Leakage::Allow {
        return gate;
    }
    let trained = trials.iter().filter(|trial| trial.baseline.is_none()).map(|trial| &trial.arm.shards);
    let sets: BTreeMap<_, &ShardRef> = trained.map(|set| (set.digest, set)).collect();
    for train in sets.values() {
        for eval in plan.evals.iter().filter(|eval| !eval.transductive) {
            let pair = Pair { store, train, eval };
            let (found, note) = match pair.known() {
                Ok(known) => (pair.leak(&known), pair.reach(&known)),
                Err(error) => (Some(format!("{error:#}")), None),
            };
            gate.warnings.extend(note);
            match leakage {
                Leakage::Refuse => gate.problems.extend(found),
                Leakage::Warn | Leakage::Allow => gate.warnings.extend(found),
            }
        }
    }
    gate
}

/// Keeps a copy of each record that lies beside a set in the sweep's store, where reports look for it. What cannot be read is named.
pub(crate) fn keep_records(store: &Store, plan: &Plan) {
    let sets: BTreeMap<_, &ShardRef> = plan.arms.iter().map(|arm| (arm.shards.digest, &arm.shards)).collect();
    for train in sets.values() {
        for eval in &plan.evals {
            let copied = match (Pair { store, train, eval }).known() {
                Ok(Known::Recorded(found)) => found.copy_to(store).map_err(anyhow::Error::from),
                Ok(Known::Unknown | Known::Same) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = copied {
                terminal::note(format!(
                    "reports will not say what {} and {} share: {error:#}",
                    train.uri, eval.shards.uri
                ));
            }
        }
    }
}

/// What the sweep's store holds of what a training set and an evaluation set share; `None` where nothing was looked for.
pub(crate) fn recorded(store: &Store, train: &ShardRef, eval: &EvalSet) -> Result<Option<Leaks>> {
    Ok(FoundLeaks::find(&[store], &train.digest, &eval.shards.digest)?.map(|found| found.leaks))
}

/// A training set and an evaluation set of a sweep whose records lie in `store`.
struct Pair<'a> {
    store: &'a Store,
    train: &'a ShardRef,
    eval: &'a EvalSet,
}

impl Pair<'_> {
    /// Looks for the record: beside the evaluation set, beside the training set, in the sweep's store.
    fn known(&self) -> Result<Known> {
        let Self { store, train, eval } = self;
        if train.digest == eval.shards.digest {
            return Ok(Known::Same);
        }
        let stores = [&eval.shards.uri, &train.uri].map(|uri| Store::open(uri));
        let [of_eval, of_train] = stores;
        let stores = [&of_eval?, &of_train?, *store];
        let found = FoundLeaks::find(&stores, &train.digest, &eval.shards.digest);
        let found = found.with_context(|| format!("look for what {} shares with `{}`", train.uri, eval.name))?;
        Ok(found.map_or(Known::Unknown, |found| Known::Recorded(Box::new(found))))
    }

    /// Why the arms that train on the set may not be scored on the evaluation set; nothing where they may.
    fn leak(&self, known: &Known) -> Option<String> {
        let Self { train, eval, .. } = self;
        match known {
            Known::Unknown => Some(format!(
                "{} has not been compared with evaluation set `{}` yet, so nobody knows whether they share images; run `{}` (with --out {} \
                 if you may not write into the evaluation set's folder)",
                train.uri,
                eval.name,
                shard_builder(&["leaks", &train.uri, &eval.shards.uri]),
                self.store.uri()
            )),
            Known::Same => Some(format!(
                "evaluation set `{}` is the training set itself ({}): train on another, or write `transductive: true` in its entry if that \
                 is what you want",
                eval.name, train.uri
            )),
            Known::Recorded(found) if found.leaks.pairs() == 0 => None,
            Known::Recorded(found) => Some(self.found(found)),
        }
    }

    /// What a record says, and the remedy.
    fn found(&self, found: &FoundLeaks) -> String {
        let Self { train, eval, .. } = self;
        let clean = format!("{}-without-{}", train.uri.trim_end_matches('/'), eval.name);
        let remove = shard_builder(&["remove", &train.uri, "--images-in", &found.uri(), "--out", &clean]);
        format!(
            "images of {} are copies of images of evaluation set `{}`: {} ({}; {}); make a set without them with `{remove}` and train on it, or \
             write `transductive: true` in the entry of the evaluation set, or `leakage: warn`",
            train.uri,
            eval.name,
            of_sources(&found.leaks),
            of_kinds(&found.leaks),
            found.table_uri()
        )
    }

    /// What the comparison could not see; nothing where it saw all.
    fn reach(&self, known: &Known) -> Option<String> {
        let Known::Recorded(found) = known else { return None };
        (found.leaks.compared == Comparison::Exact).then(|| {
            format!(
                "{} and evaluation set `{}` were compared by bytes and pixels alone, because one of them has no fingerprints: build it again \
                 to find near-copies",
                self.train.uri, self.eval.name
            )
        })
    }
}

/// How many images of which training source are copies.
pub(crate) fn of_sources(leaks: &Leaks) -> String {
    let of = |source: &shards::leaks::LeakedSource| {
        format!("{} of {} images of source {}", thousands(source.leaked), thousands(source.images), source.source)
    };
    leaks.train.sources.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// How many pairs there are of each kind.
pub(crate) fn of_kinds(leaks: &Leaks) -> String {
    let counts =
        [(leaks.bytes, "by bytes"), (leaks.pixels, "by pixels"), (leaks.near, "near"), (leaks.names, "by name")];
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = some.map(|(count, words)| format!("{} {words}", thousands(*count))).collect();
    format!("pairs: {}", words.join(", "))
}

/// A command line of the program that builds sets.
fn shard_builder(args: &[&str]) -> String {
    shown("shard-builder", &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use run_spec::ids::Digest;
    use shards::leaks::{Leak, LeakKind, LeakSide, LeakedSource};

    use super::*;
    use crate::command::tests::plan;

    fn record(compared: Comparison, leaked: u64) -> Leaks {
        let side = |name: &[u8]| LeakSide {
            shards: Digest::of(name),
            images: 40,
            near: 40,
            small: 0,
            sources: (leaked > 0)
                .then(|| LeakedSource { source: "a".into(), leaked, images: 40 })
                .into_iter()
                .collect(),
        };
        let text = || "x".to_owned();
        let leak = |_| Leak {
            kind: LeakKind::Near,
            score: 0.9,
            train_source: text(),
            train_image: text(),
            evaluation_source: text(),
            evaluation_image: text(),
        };
        let leaks: Vec<Leak> = (0..leaked).map(leak).collect();
        Leaks::new("test".into(), compared, (side(b"./patches"), side(b"./cells")), &leaks, 0)
    }

    #[test]
    fn found_copies_and_unknown_ones_are_refused_warned_of_or_passed_over() {
        let mut plan = plan();
        let store = Store::open("memory://leakage-gate").unwrap();
        let ask = |plan: &Plan, leakage| check(leakage, &store, plan, &plan.trials());
        assert_eq!(ask(&plan, Leakage::Refuse), Gate::default(), "the sweep file calls the set transductive");
        plan.evals[0].transductive = false;
        let unknown = ask(&plan, Leakage::Refuse).problems;
        assert_eq!(unknown.len(), 1, "both arms train on one set: {unknown:?}");
        assert!(unknown[0].contains("`shard-builder leaks ./patches ./cells`"), "{unknown:?}");
        assert_eq!(ask(&plan, Leakage::Allow), Gate::default());
        let warned = ask(&plan, Leakage::Warn);
        assert_eq!((warned.problems.len(), warned.warnings), (0, unknown));

        record(Comparison::Exact, 0).publish(&store, Vec::new(), None).unwrap();
        let exact = ask(&plan, Leakage::Refuse);
        assert!(exact.problems.is_empty() && exact.warnings[0].contains("by bytes and pixels alone"), "{exact:?}");

        record(Comparison::Near, 3).publish(&store, Vec::new(), None).unwrap();
        let found = ask(&plan, Leakage::Refuse).problems;
        for said in [
            "3 of 40 images of source a (pairs: 3 near; memory://leakage-gate/leaks/",
            "--out ./patches-without-cells`",
        ] {
            assert!(found[0].contains(said), "{found:?}");
        }
        plan.arms.iter_mut().for_each(|arm| arm.shards.digest = plan.evals[0].shards.digest);
        assert!(ask(&plan, Leakage::Refuse).problems[0].contains("is the training set itself"));
    }
}
