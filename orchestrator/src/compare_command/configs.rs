//! What sets two arms or trials apart before anything is trained.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Side;
use crate::records::Arm;
use crate::target::Named;

/// The keys in which the two differ, with both values.
pub(super) fn text(first: &Side<'_>, second: &Side<'_>) -> String {
    if [first, second].iter().any(|side| is_baseline(side)) {
        return "A baseline is not trained, so no configurations are compared.".to_owned();
    }
    let (ours, theirs) = (keys(first), keys(second));
    let mut rows = Vec::new();
    for key in ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key))) {
        let value = |of: &BTreeMap<String, String>| of.get(key).cloned().unwrap_or_else(|| "-".to_owned());
        let (a, b) = (value(&ours), value(&theirs));
        if a != b {
            rows.push(vec![key.clone(), a, b]);
        }
    }
    if rows.is_empty() {
        return "Their configurations are the same.".to_owned();
    }
    terminal::table(&["config", "A", "B"], &[], &rows)
}

fn is_baseline(side: &Side<'_>) -> bool {
    match side.named {
        Named::Arm(_) => false,
        Named::Baseline { .. } => true,
        Named::Trial(trial) => trial.baseline.is_some(),
    }
}

/// Everything that makes an arm or trial what it is, by dotted key; nothing for a baseline.
fn keys(side: &Side<'_>) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let arm: &Arm = match side.named {
        Named::Arm(arm) => {
            flatten(arm.config.value(), "", &mut keys);
            arm
        }
        Named::Trial(trial) => {
            flatten(trial.config().value(), "", &mut keys);
            trial.arm
        }
        Named::Baseline { .. } => return keys,
    };
    keys.insert("shards.train".to_owned(), format!("{} ({})", arm.shards.uri, arm.shards.digest.short()));
    keys.extend(arm.init_weights.map(|digest| ("init.weights (content)".to_owned(), digest.short())));
    keys
}

fn flatten(value: &Value, path: &str, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, below) in fields {
                flatten(below, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, out);
            }
        }
        Value::String(text) => drop(out.insert(path.to_owned(), text.clone())),
        other => drop(out.insert(path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::plan;
    use crate::target::named;

    #[test]
    fn only_what_differs_is_listed() {
        let plan = plan();
        let side = |name: &str| Side { name: name.into(), named: named(&plan, name).unwrap(), finished: Vec::new() };
        let shown = text(&side("reference"), &side("b"));
        assert!(shown.lines().any(|line| line.split_whitespace().eq(["loss.n_local", "-", "0"])), "{shown}");
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert_eq!(text(&side("b"), &side("b")), "Their configurations are the same.");
    }
}
