//! The range of every number of a configuration.

use serde_json::{Map, Value, json};

use super::ConfigError;
use crate::layer::join;

/// The numbers that a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    least: f64,
    most: f64,
    /// `least` itself is not in it.
    above: bool,
    /// `most` itself is not in it.
    below: bool,
}

const fn from(least: f64) -> Range {
    within(least, f64::MAX)
}

const fn within(least: f64, most: f64) -> Range {
    Range { least, most, above: false, below: false }
}

const fn above(least: f64) -> Range {
    above_to(least, f64::MAX)
}

const fn above_to(least: f64, most: f64) -> Range {
    Range { least, most, above: true, below: false }
}

const fn from_below(least: f64, most: f64) -> Range {
    Range { least, most, above: false, below: true }
}

impl Range {
    fn holds(self, number: f64) -> bool {
        let low = if self.above { number > self.least } else { number >= self.least };
        let high = if self.below { number < self.most } else { number <= self.most };
        low && high
    }

    /// Writes the range into the JSON schema of a number.
    fn limit(self, schema: &mut Map<String, Value>) {
        let least = if self.above { "exclusiveMinimum" } else { "minimum" };
        let most = if self.below { "exclusiveMaximum" } else { "maximum" };
        schema.insert(least.to_owned(), plain(self.least));
        if self.most < f64::MAX {
            schema.insert(most.to_owned(), plain(self.most));
        }
    }

    fn words(self) -> String {
        let Self { least, most, above, below } = self;
        match (above, below, most == f64::MAX) {
            (false, _, true) => format!("a number from {least}"),
            (true, _, true) => format!("a number above {least}"),
            (false, false, false) => format!("a number from {least} to {most}"),
            (true, _, false) => format!("a number above {least}, up to {most}"),
            (false, true, false) => format!("a number from {least} and below {most}"),
        }
    }
}

const ANY_SEED: Range = from(0.0);
const COUNT: Range = within(1.0, 1e9);
const WIDTH: Range = within(1.0, 1_048_576.0);
const THREADS: Range = within(0.0, 4096.0);
const SHARE: Range = within(0.0, 1.0);
const EPSILON: Range = above_to(0.0, 1.0);
const WEIGHT: Range = from(0.0);
const EPOCHS: Range = within(0.0, 1e6);

/// Every key that holds a number, or a list or a section of numbers. A key of the defaults that is not here fails a test.
const RANGES: &[(&str, Range)] = &[
    ("seed", ANY_SEED),
    ("model.dim", WIDTH),
    ("model.depth", within(1.0, 1000.0)),
    ("model.heads", WIDTH),
    ("model.patch", within(1.0, 4096.0)),
    ("model.mlp_ratio", above_to(0.0, 64.0)),
    ("model.ln_eps", EPSILON),
    ("model.offset", SHARE),
    ("model.registers", within(0.0, 1024.0)),
    // At 1 no block would ever be kept, and what is kept is divided by the share that is.
    ("model.drop_path", from_below(0.0, 1.0)),
    ("model.layerscale_init", within(0.0, 100.0)),
    ("head.prototypes", within(1.0, 16_777_216.0)),
    ("head.hidden", WIDTH),
    ("head.bottleneck", WIDTH),
    ("head.ibot_prototypes", within(1.0, 16_777_216.0)),
    ("head.ibot_hidden", WIDTH),
    ("head.ibot_bottleneck", WIDTH),
    ("loss.n_local", within(0.0, 1000.0)),
    ("loss.local_loss_above", within(0.0, 1000.0)),
    ("loss.student_temp", above(0.0)),
    ("loss.dino_weight", WEIGHT),
    ("loss.ibot_weight", WEIGHT),
    ("loss.koleo_weight", WEIGHT),
    ("loss.sigreg_weight", WEIGHT),
    ("loss.koleo_norm_eps", EPSILON),
    ("loss.koleo_pair_eps", EPSILON),
    ("loss.koleo_log_eps", EPSILON),
    ("loss.sk_iterations", within(1.0, 1000.0)),
    ("loss.center_momentum", SHARE),
    ("optim.base_lr", from(0.0)),
    ("optim.lr", from(0.0)),
    ("optim.min_lr", from(0.0)),
    ("optim.beta1", from_below(0.0, 1.0)),
    ("optim.beta2", from_below(0.0, 1.0)),
    ("optim.eps", EPSILON),
    ("optim.wd", from(0.0)),
    ("optim.wd_end", from(0.0)),
    ("optim.clip", above(0.0)),
    ("optim.patch_embed_lr_mult", from(0.0)),
    ("optim.layerwise_decay", above_to(0.0, 1.0)),
    ("optim.warmup_epochs", EPOCHS),
    ("optim.freeze_last_layer_epochs", EPOCHS),
    ("optim.epochs", above_to(0.0, 1e6)),
    ("optim.epoch_length", COUNT),
    ("optim.loss_scale", above(0.0)),
    ("teacher.momentum", SHARE),
    ("teacher.momentum_end", SHARE),
    ("teacher.temp_start", above(0.0)),
    ("teacher.temp", above(0.0)),
    ("teacher.temp_epochs", EPOCHS),
    ("masks.probability", SHARE),
    ("masks.ratio_min", SHARE),
    ("masks.ratio_max", SHARE),
    ("data.source_weights", WEIGHT),
    ("data.sampling_temperature", from(0.001)),
    ("crops.global_size", within(1.0, 65_536.0)),
    ("crops.local_size", within(1.0, 65_536.0)),
    ("crops.global_scale", above_to(0.0, 1.0)),
    ("crops.local_scale", above_to(0.0, 1.0)),
    ("crops.ratio", above_to(0.0, 1000.0)),
    ("augmentation.n", within(0.0, 1000.0)),
    ("augmentation.flip_p", SHARE),
    ("augmentation.vflip_p", SHARE),
    ("augmentation.rot90_p", SHARE),
    ("train.batch_size", COUNT),
    ("train.loss_groups", COUNT),
    ("train.gradient_accumulation", COUNT),
    ("train.threads", THREADS),
    ("train.data_threads", THREADS),
    ("train.read_threads", within(1.0, 4096.0)),
    // What a duration holds, too: no infinity.
    ("train.step_deadline_s", above_to(0.0, 1e9)),
    ("checkpoint.every_steps", COUNT),
    ("checkpoint.keep", COUNT),
    ("checkpoint.keep_every", COUNT),
    ("log.every_steps", COUNT),
    ("log.collapse_every_steps", COUNT),
    ("log.grid_kg_per_kwh", from(0.0)),
    ("log.probe_every_steps", COUNT),
    // Seconds: up to a week.
    ("store.retry_for", within(0.0, 604_800.0)),
    ("init.seed", ANY_SEED),
];

/// A whole number without its point.
fn plain(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
}

/// Writes the range of every number into `schema`, the JSON schema of a configuration with all its sections in place.
pub(super) fn limit_all(schema: &mut Value) {
    for (key, range) in RANGES {
        let place = key.split('.').fold(&mut *schema, |value, part| &mut value["properties"][part]);
        limit(place, *range);
    }
}

/// The numbers may be the value itself, the items of a list, or the values of a section.
fn limit(place: &mut Value, range: Range) {
    let inner = ["items", "additionalProperties"].into_iter().find(|inner| place[*inner].is_object());
    match (inner, place) {
        (Some(inner), place) => limit(&mut place[inner], range),
        (None, Value::Object(schema)) => range.limit(schema),
        (None, _) => {}
    }
}

/// Checks every number of a resolved configuration.
///
/// # Errors
/// [`ConfigError::BadValue`] with the key, its range and no file.
pub(super) fn check(resolved: &Value) -> Result<(), ConfigError> {
    RANGES.iter().try_for_each(|(key, range)| within_range(at(resolved, key), key, *range))
}

fn at<'a>(value: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(value, |value, part| &value[part])
}

fn within_range(value: &Value, key: &str, range: Range) -> Result<(), ConfigError> {
    match value {
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| within_range(item, &format!("{key}[{index}]"), range))
        }
        Value::Object(map) => map.iter().try_for_each(|(name, item)| within_range(item, &join(key, name), range)),
        value => match value.as_f64() {
            Some(number) if !range.holds(number) => Err(ConfigError::BadValue {
                what: String::new(),
                key: key.to_owned(),
                // As a person writes it: -5, not -5.0.
                message: format!("{} is expected, not {number}", range.words()),
            }),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrainConfig;
    use serde_json::json;

    /// Dotted keys of all that may be a number: `null` is one that has not been written.
    fn numbers(value: &Value, path: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(key, value)| numbers(value, &join(path, key), out));
            }
            Value::Number(_) | Value::Null => out.push(path.to_owned()),
            Value::Array(items) if items.iter().all(Value::is_number) && !items.is_empty() => out.push(path.to_owned()),
            _ => {}
        }
    }

    #[test]
    fn every_number_has_a_range() {
        let mut keys = Vec::new();
        numbers(&TrainConfig::default().to_value(), "", &mut keys);
        // These are text where they are written.
        let text = ["log.tensorboard", "log.prometheus", "log.probe_shards", "log.probe_split", "init.weights"];
        keys.retain(|key| !text.contains(&key.as_str()));
        let without: Vec<_> = keys.iter().filter(|key| RANGES.iter().all(|(known, _)| known != key)).collect();
        assert!(without.is_empty(), "{without:?}");
        assert!(keys.len() > 60, "{keys:?}");
    }

    #[test]
    fn every_range_refuses_what_is_outside_and_names_itself() {
        let defaults = TrainConfig::default().to_value();
        for (key, range) in RANGES.iter().filter(|(_, range)| range.least == 0.0 || range.least == 1.0) {
            let outside = if range.above { range.least } else { range.least - 1.0 };
            let found = at(&defaults, key);
            let number = if outside.fract() == 0.0 && !found.is_f64() { json!(outside as i64) } else { json!(outside) };
            let value = match found {
                Value::Array(_) => json!([number, 1.0]),
                Value::Object(_) => json!({"a": number}),
                _ => number,
            };
            let error = TrainConfig::default().with_deltas(&json!({*key: value}), "a.yaml").unwrap_err().to_string();
            assert!(error.starts_with(&format!("a.yaml: `{key}")), "{error}");
            assert!(error.contains(" is expected, not "), "{error}");
        }
    }

    #[test]
    fn ranges_are_said_in_words() {
        let words =
            [from(0.001), above(0.0), within(0.0, 1.0), above_to(0.0, 1.0), from_below(0.0, 1.0)].map(Range::words);
        let expected = [
            "a number from 0.001",
            "a number above 0",
            "a number from 0 to 1",
            "a number above 0, up to 1",
            "a number from 0 and below 1",
        ];
        assert_eq!(words, expected);
    }
}
