//! What the models of a sweep see in images, kept in its store: sheets of pictures that `worker look` has drawn, and a record that names them.
//!
//! ```text
//! sweeps/NAME/<sweep digest>/looks/<n>/patches.png, attention-1.png, …   as the worker wrote them
//!                                      look.json                         written last: what was looked at, and the digest of each sheet
//! ```
//! A folder without a record is what an interrupted command left. Nothing else of a sweep depends on looks.

use anyhow::{Context, Result};
use bytes::Bytes;
use run_spec::ids::{Digest, Seed};
use serde::{Deserialize, Serialize};
use store::Store;

use crate::records::Plan;

const RECORD: &str = "look.json";

/// What was looked at, and the sheets that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    /// Where the images were.
    pub(crate) images: String,
    /// The arms that looked, in the order of the sheets' columns.
    pub(crate) arms: Vec<String>,
    /// The seed of their trials.
    pub(crate) seed: Seed,
    /// The sheets, in the order in which they are shown.
    pub(crate) sheets: Vec<SheetRef>,
}

/// One sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SheetRef {
    /// Name of its file, a PNG, beside the record.
    pub(crate) file: String,
    /// What it shows.
    pub(crate) title: String,
    /// Digest of the file.
    pub(crate) digest: Digest,
}

/// The folder of the looks of a plan.
fn root(plan: &Plan) -> String {
    format!("{}/looks", plan.key())
}

/// The folder of look `number`.
pub(crate) fn folder(plan: &Plan, number: u32) -> String {
    format!("{}/{number}", root(plan))
}

/// The numbers of all folders, the newest first, each with whether it has a record.
///
/// # Errors
/// A store that cannot be reached.
pub(crate) fn numbers(store: &Store, plan: &Plan) -> Result<Vec<(u32, bool)>> {
    let root = root(plan);
    let mut found: Vec<(u32, bool)> = Vec::new();
    for key in store.list(&root)? {
        let Some((number, file)) = key.strip_prefix(&root).and_then(|rest| rest.strip_prefix('/')?.split_once('/'))
        else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        match found.iter_mut().find(|(known, _)| *known == number) {
            Some((_, whole)) => *whole |= file == RECORD,
            None => found.push((number, file == RECORD)),
        }
    }
    found.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(found)
}

/// Writes the record of look `number`, whose sheets lie there already.
///
/// # Errors
/// A sheet that is missing, and the store's.
pub(crate) fn keep(store: &Store, plan: &Plan, number: u32, look: &Look) -> Result<()> {
    store.create_record(&format!("{}/{RECORD}", folder(plan, number)), look).context("record what was looked at")?;
    Ok(())
}

/// The newest look with a record, and its number; `None` if there is no look yet.
///
/// # Errors
/// A store that cannot be reached, a record that is damaged.
pub(crate) fn newest(store: &Store, plan: &Plan) -> Result<Option<(u32, Look)>> {
    let Some((number, _)) = numbers(store, plan)?.into_iter().find(|(_, whole)| *whole) else { return Ok(None) };
    Ok(Some((number, store.read_record(&format!("{}/{RECORD}", folder(plan, number)))?)))
}

/// The bytes of a sheet.
///
/// # Errors
/// A file that is missing or is not the one that was recorded.
pub(crate) fn sheet(store: &Store, plan: &Plan, number: u32, sheet: &SheetRef) -> Result<Bytes> {
    let key = format!("{}/{}", folder(plan, number), sheet.file);
    let bytes = store.get(&key)?;
    anyhow::ensure!(Digest::of(&bytes) == sheet.digest, "{} is damaged: its digest is another", store.uri_of(&key));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::plan;

    #[test]
    fn the_newest_look_with_a_record_is_shown_and_a_changed_sheet_is_noticed() {
        let store = Store::open("memory://looks").unwrap();
        let plan = plan();
        assert_eq!(newest(&store, &plan).unwrap(), None);
        let sheet = SheetRef { file: "patches.png".into(), title: "patches".into(), digest: Digest::of(b"png") };
        let look =
            Look { images: "./cells".into(), arms: vec!["b".into()], seed: 4.into(), sheets: vec![sheet.clone()] };
        for number in [1, 2, 10] {
            store.create(&format!("{}/patches.png", folder(&plan, number)), "png".into()).unwrap();
        }
        keep(&store, &plan, 2, &look).unwrap();
        assert_eq!(numbers(&store, &plan).unwrap(), [(10, false), (2, true), (1, false)]);
        assert_eq!(newest(&store, &plan).unwrap(), Some((2, look)));
        assert_eq!(super::sheet(&store, &plan, 2, &sheet).unwrap(), "png");
        let other = SheetRef { digest: Digest::of(b"other"), ..sheet };
        assert!(super::sheet(&store, &plan, 2, &other).unwrap_err().to_string().contains("is damaged"));
    }
}
