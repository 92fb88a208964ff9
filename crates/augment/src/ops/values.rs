//! Forms in which recorded parameters come, and draws that several transforms share.

use run_spec::seed::Stream;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::pixels::filter::Kernel;
use crate::pool::Buf;

/// A nested or flat array of numbers, flattened in row order.
pub(super) fn flat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Buf<f64>, D::Error> {
    fn collect(value: &Value, out: &mut Vec<f64>) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| collect(item, out)),
            other => {
                out.push(other.as_f64().ok_or_else(|| format!("{other} is not a number"))?);
                Ok(())
            }
        }
    }
    let mut out = Vec::new();
    collect(&Value::deserialize(deserializer)?, &mut out).map_err(serde::de::Error::custom)?;
    Ok(out.into())
}

/// As [`flat`], whole numbers.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Buf<i32>, D::Error> {
    let values = flat(deserializer)?;
    Ok(Buf::collect(values.len(), values.iter().map(|&v| v as i32)))
}

/// A kernel as a list of rows.
pub(super) fn kernel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kernel, D::Error> {
    let rows: Vec<Vec<f64>> = Deserialize::deserialize(deserializer)?;
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 || rows.iter().any(|row| row.len() != width) {
        return Err(serde::de::Error::custom("a kernel needs rows of one length, at least 1"));
    }
    let weights = Buf::collect(rows.len() * width, rows.iter().flatten().map(|&w| w as f32));
    Ok(Kernel { height: rows.len(), width, weights })
}

/// Refuses a range that runs backwards or leaves `lowest..=highest`.
pub(super) fn check_range<T: PartialOrd + std::fmt::Display + Copy>(
    name: &str,
    [lo, hi]: [T; 2],
    lowest: T,
    highest: T,
) -> Result<(), String> {
    if lowest <= lo && lo <= hi && hi <= highest {
        return Ok(());
    }
    Err(format!("{name} [{lo}, {hi}] must ascend within {lowest} and {highest}"))
}

/// Refuses a range of window sides that is not odd on both ends.
pub(super) fn check_odd(name: &str, range: [i64; 2], highest: i64) -> Result<(), String> {
    check_range(name, range, 1, highest)?;
    if range.iter().all(|side| side % 2 == 1) { Ok(()) } else { Err(format!("{name} {range:?} must be odd")) }
}

/// One of the odd (or even) numbers of a range, like `random.choice(range(lo, hi + 1, 2))`.
pub(super) fn every_second([lo, hi]: [i64; 2], random: &mut Stream) -> i64 {
    lo + 2 * random.int(0, (hi - lo) / 2)
}

/// An integer of `lo..=hi`, or `lo` where the range is empty (images smaller than the reference allows).
pub(super) fn int_or_low(lo: i64, hi: i64, random: &mut Stream) -> i64 {
    random.int(lo, hi.max(lo))
}

/// `x mod m` with the sign of `m`, in f32, as `np.mod`.
pub(super) fn floor_mod(x: f32, m: f32) -> f32 {
    let rest = x % m;
    if rest < 0.0 { rest + m } else { rest }
}
