//! Drawn parameters have the distributions that Albumentations draws from (`tests/golden/make_augment_draws.py`).

use std::collections::BTreeMap;
use std::path::Path;

use augment::{Op, PixelBuffer};
use run_spec::seed::stream;
use serde_json::Value;

/// Count, sum, sum of squares, least, greatest.
type Sums = (f64, f64, f64, f64, f64);

/// Adds the numbers of `Name { key: numbers, … }`, as `Debug` prints parameters, to the sums of their keys.
///
/// A field within a field counts for the outer one; the sides of a kernel are not counted.
fn add(printed: &str, sums: &mut BTreeMap<String, Sums>) {
    let (mut depth, mut key, mut inner) = (0, String::new(), String::new());
    for token in printed.split_inclusive(['{', '}', ',', '[', ']', '(', ')', ':', ' ']) {
        let word = token.trim_end_matches(['{', '}', ',', '[', ']', '(', ')', ':', ' ']);
        if token.ends_with(':') {
            inner = word.to_owned();
            if depth == 1 {
                key = inner.clone();
            }
        } else if let Ok(number) = word.parse::<f64>()
            && !["height", "width"].contains(&inner.as_str())
        {
            let s = sums.entry(key.clone()).or_insert((0.0, 0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY));
            *s = (s.0 + 1.0, s.1 + number, s.2 + number * number, s.3.min(number), s.4.max(number));
        }
        depth += i32::from(token.ends_with('{')) - i32::from(token.ends_with('}'));
    }
}

/// Parameters of the reference that ours has not: a side that GlassBlur inherits and never uses, and what ISONoise makes
/// its fields of, where ours keeps the fields (which are compared).
const NOT_KEPT: [(&str, &str); 3] = [("GlassBlur", "ksize"), ("ISONoise", "color_shift"), ("ISONoise", "intensity")];

#[test]
fn drawn_parameters_have_the_moments_of_the_reference() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/augment/draws.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let side = |name: &str| golden[name].as_u64().unwrap() as usize;
    let (height, width, bright) = (side("height"), side("width"), side("bright_columns"));
    let pixels = (0..height * width * 3).map(|i| if i / 3 % width < bright { 255 } else { 0 });
    let image = PixelBuffer::new(height, width, pixels.collect()).unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, keys) in golden["transforms"].as_object().unwrap() {
        let keys: Vec<_> = keys
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| !NOT_KEPT.contains(&(name.as_str(), key.as_str())))
            .collect();
        if keys.is_empty() {
            continue;
        }
        let op = Op::named(name).unwrap();
        let large = keys.iter().any(|(_, k)| k["per_draw"].as_f64().unwrap() >= 50.0);
        let draws = if large { 1000 } else { 10_000 };
        let mut sums = BTreeMap::new();
        for draw in 0..draws {
            add(&format!("{:?}", op.draw(&image, &mut stream(7, name, &[draw]))), &mut sums);
        }
        for (key, want) in keys {
            let own = if key == "vertices_list" { "corners" } else { key };
            let Some(&(n, sum, squares, low, high)) = sums.get(own) else {
                wrong.push(format!("{name}: {key} is not drawn, {:?} are", sums.keys()));
                continue;
            };
            let want = |what: &str| want[what].as_f64().unwrap();
            let (mean, per_draw) = (sum / n, n / draws as f64);
            let std = (squares / n - mean * mean).max(0.0).sqrt();
            // Numbers of one draw may move together (a field of one variance), so draws are counted, not numbers.
            let noise = want("std") * (1.0 / draws as f64 + 1.0 / want("draws")).sqrt();
            let tiny = 1e-9 + 1e-6 * want("mean").abs();
            let report = |what: &str, got: f64, want: f64| format!("{name} {key}: {what} {got:.5}, not {want:.5}");
            if (mean - want("mean")).abs() > 5.0 * noise + tiny {
                wrong.push(report("mean", mean, want("mean")));
            }
            let spread = if large { 0.12 } else { 0.05 };
            if (std - want("std")).abs() > spread * want("std") + 1e-6 {
                wrong.push(report("spread", std, want("std")));
            }
            if (per_draw / want("per_draw") - 1.0).abs() > 0.02 + 2.0 / (draws as f64).sqrt() {
                wrong.push(report("numbers in a draw", per_draw, want("per_draw")));
            }
            // As far out as ten thousands of draws get, and, where the range is closed, no farther.
            let room = if large { 2.0 } else { 0.6 } * want("std") + 1e-6;
            if low < want("min") - room || high > want("max") + room {
                wrong.push(format!("{name} {key}: {low}..{high} leaves {}..{}", want("min"), want("max")));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 43, "only {compared} parameters were compared");
}
