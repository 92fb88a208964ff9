//! `docs/augment-parameters.md` lists every argument with its default.

use std::collections::BTreeMap;

use augment::{Op, names};
use serde_json::Value;

/// Numbers as floats, so that `1` and `1.0` are one.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_table_of_arguments_is_that_of_the_code() {
    let page = include_str!("../../../../docs/augment-parameters.md");
    let mut listed = BTreeMap::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| ")).skip(1) {
        let cells: Vec<_> = row.split(" | ").map(str::trim).collect();
        let default = cells[2].trim_matches('`');
        let default: Value = serde_json::from_str(default).unwrap_or_else(|e| panic!("{row}: {default}: {e}"));
        let before = listed.insert((cells[0].to_owned(), cells[1].to_owned()), plain(&default));
        assert_eq!(before, None, "{row} stands there twice");
    }
    for name in names() {
        for (argument, default) in Op::named(name).unwrap().arguments() {
            let said = listed.remove(&(name.to_owned(), argument.clone()));
            assert_eq!(said, Some(plain(&default)), "{name}'s {argument} is {default}");
        }
    }
    assert!(listed.is_empty(), "no such arguments: {:?}", listed.keys());
}
