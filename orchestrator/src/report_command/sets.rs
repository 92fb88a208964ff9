//! What the report says of the sets of a sweep, from the records that its start has kept in the store ([`crate::set_cards`]).

use std::collections::BTreeMap;

use anyhow::Result;
use report::data::{Card, CardCell, CardTable};
use run_spec::ids::Digest;
use shards::leaks::{Comparison, Leaks};
use store::Store;

use crate::leakage;
use crate::records::{EvalSet, Plan, ShardRef};
use crate::set_cards::{self, SourceCard};

/// A fact of a page: its name and what it is.
pub(super) type Fact = (String, String);

pub(super) fn fact(name: &str, value: impl Into<String>) -> Fact {
    (name.to_owned(), value.into())
}

/// Facts and sources of a set that the sweep has a card of; nothing where it has none.
///
/// # Errors
/// A store that cannot be reached.
pub(super) fn described(store: &Store, shards: &Digest) -> Result<(Vec<Fact>, Option<CardTable>)> {
    let Some(card) = set_cards::read(store, shards)? else { return Ok((Vec::new(), None)) };
    let rows: u64 = card.sources.iter().map(|source| source.rows).sum();
    let mut licences: Vec<&str> =
        card.sources.iter().flat_map(|source| source.licences.iter().map(String::as_str)).collect();
    licences.sort_unstable();
    licences.dedup();
    let mut holds = format!("{} {}", terminal::thousands(rows), card.product);
    // Cells of several sizes have no size in common.
    if card.patch_px > 0 {
        holds += &format!(" of {} px", card.patch_px);
    }
    let facts = vec![fact("holds", holds), fact("licences", licences.join("; ")), fact("built by", card.builder)];
    let columns = ["source", "images", "images not used", "rows", "rows with flaws", "licence"];
    let table =
        CardTable { columns: columns.map(str::to_owned).to_vec(), rows: card.sources.iter().map(of_source).collect() };
    Ok((facts, Some(table)))
}

fn of_source(source: &SourceCard) -> Vec<CardCell> {
    let unknown = || CardCell::Text("not known".to_owned());
    vec![
        CardCell::Text(source.name.clone()),
        CardCell::Count(source.images),
        source.unused.map_or_else(unknown, CardCell::Count),
        CardCell::Count(source.rows),
        source.flawed.as_ref().map_or_else(unknown, |flawed| CardCell::Text(flaws(flawed))),
        CardCell::Text(source.licences.join("; ")),
    ]
}

/// How many rows that show little but field, blur or white were kept, marked or dropped.
fn flaws(by_action: &BTreeMap<String, u64>) -> String {
    let words = |action: &str| match action {
        "keep" => "kept",
        "flag" => "flagged",
        "drop" => "left out",
        _ => "of another kind",
    };
    let of = |(action, count): (&String, &u64)| format!("{} {}", terminal::thousands(*count), words(action));
    match by_action.is_empty() {
        true => "none".to_owned(),
        false => by_action.iter().map(of).collect::<Vec<_>>().join(", "),
    }
}

/// A card for each set that arms train on.
///
/// # Errors
/// A store that cannot be reached.
pub(super) fn training(store: &Store, plan: &Plan) -> Result<Vec<Card>> {
    let mut cards = Vec::new();
    for (shards, arms) in training_sets(plan) {
        let used = if arms.len() == plan.arms.len() { "all arms".to_owned() } else { arms.join(", ") };
        let mut facts = vec![fact("trains", used), fact("shard set", shards.digest.to_string())];
        let (described, table) = described(store, &shards.digest)?;
        facts.extend(described);
        cards.push(Card { title: format!("Training set {}", shards.digest.short()), facts, table });
    }
    Ok(cards)
}

/// The sets that arms train on, each with the names of its arms, in the order of the arms.
fn training_sets(plan: &Plan) -> Vec<(&ShardRef, Vec<&str>)> {
    let mut sets: Vec<(&ShardRef, Vec<&str>)> = Vec::new();
    for arm in &plan.arms {
        match sets.iter_mut().find(|(set, _)| set.digest == arm.shards.digest) {
            Some((_, arms)) => arms.push(&arm.name),
            None => sets.push((&arm.shards, vec![&arm.name])),
        }
    }
    sets
}

/// What is known of images that training and evaluation share; nothing in a sweep that trains nothing.
///
/// # Errors
/// A store that cannot be reached.
pub(super) fn leakage(store: &Store, plan: &Plan) -> Result<Option<Card>> {
    let mut rows = Vec::new();
    for (train, _) in training_sets(plan) {
        for eval in &plan.evals {
            rows.push(shared(store, train, eval)?);
        }
    }
    let columns = ["training set", "evaluation set", "looked for", "pairs", "found"].map(str::to_owned).to_vec();
    let about = "Images of a training set that are images of an evaluation set, or copies of them, as shard-builder leaks found them before the \
    sweep.";
    Ok((!rows.is_empty()).then(|| Card {
        title: "Images shared by training and evaluation".to_owned(),
        facts: vec![fact("what", about)],
        table: Some(CardTable { columns, rows }),
    }))
}

/// What is known of one pair of sets.
fn shared(store: &Store, train: &ShardRef, eval: &EvalSet) -> Result<Vec<CardCell>> {
    let text = |text: &str| CardCell::Text(text.to_owned());
    let (looked, pairs, found) = if train.digest == eval.shards.digest {
        (text("nothing"), text(""), text("it is the training set itself"))
    } else {
        match leakage::recorded(store, train, eval)? {
            Some(leaks) => {
                (CardCell::Text(looked(&leaks)), CardCell::Count(leaks.pairs()), CardCell::Text(found(&leaks)))
            }
            None => (text("nothing"), text(""), text("not known")),
        }
    };
    let mut name = eval.name.clone();
    if eval.transductive {
        name += " (transductive on purpose)";
    }
    Ok(vec![CardCell::Text(train.digest.short()), CardCell::Text(name), looked, pairs, found])
}

fn looked(leaks: &Leaks) -> String {
    let thousands = terminal::thousands;
    match leaks.compared {
        Comparison::Exact => "equal bytes and pixels".to_owned(),
        Comparison::Near => format!(
            "equal bytes and pixels; near-copies among {} of {} and {} of {} images",
            thousands(leaks.train.near),
            thousands(leaks.train.images),
            thousands(leaks.evaluation.near),
            thousands(leaks.evaluation.images)
        ),
    }
}

fn found(leaks: &Leaks) -> String {
    match leaks.pairs() {
        0 => "none".to_owned(),
        _ => format!("{}; {}", leakage::of_sources(leaks), leakage::of_kinds(leaks)),
    }
}
