//! Ids and digests: the names under which patches, shard sets, trials and results are known for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

mod numbers;

pub use numbers::{Attempt, Rank, Seed, Step, World};

/// A BLAKE3 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of all that a reader gives, which need not fit into memory.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// A digest computed elsewhere (a streaming hasher).
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest: 64 hexadecimal digits are expected")]
pub struct BadDigest(String);

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest(text.chars().take(80).collect());
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a shard set holds: whole patches of the field of view, or single cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// Non-overlapping squares of the source image.
    Patches,
    /// Crops around labelled or segmented cells.
    Cells,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patches => "patches",
            Self::Cells => "cells",
        })
    }
}

impl FromStr for Product {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "patches" => Ok(Self::Patches),
            "cells" => Ok(Self::Cells),
            other => Err(format!("product {other:?} is unknown: patches or cells")),
        }
    }
}

/// What makes a patch the patch it is. `image` is the path inside the source, with `/` between parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchKey<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// Path of the image inside the source.
    pub image: &'a str,
    /// Left edge in the source image, in pixels; negative where a crop begins outside.
    pub x: i64,
    /// Top edge in the source image, in pixels.
    pub y: i64,
    /// Width in source pixels.
    pub w: u32,
    /// Height in source pixels.
    pub h: u32,
    /// Whether it is a patch or a cell.
    pub product: Product,
}

/// The id of a patch: BLAKE3 of its key, each text preceded by its length so that no two keys collide.
pub fn patch_id(key: &PatchKey<'_>) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("reddino patch id v1");
    for text in [key.source, key.image, &key.product.to_string()] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    for number in [key.x, key.y, i64::from(key.w), i64::from(key.h)] {
        hasher.update(&number.to_le_bytes());
    }
    Digest(*hasher.finalize().as_bytes())
}

/// The digest of decoded pixels: `rgb` is height × width × 3, row-major, RGB.
///
/// Blank patches and copies share it, whatever file they came from.
pub fn pixel_digest(width: u32, height: u32, rgb: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("reddino pixel digest v1");
    hasher.update(&width.to_le_bytes());
    hasher.update(&height.to_le_bytes());
    hasher.update(rgb);
    Digest(*hasher.finalize().as_bytes())
}

/// Canonical JSON (RFC 8785): sorted keys, no spaces, shortest numbers, so that equal values have equal bytes.
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&value.to_string()),
        Value::Number(number) => out.push_str(&canonical_number(number)),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            // RFC 8785 sorts by UTF-16 code units, which differs from byte order outside the basic plane.
            keys.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
            }
            out.push('}');
        }
    }
}

/// ECMAScript's spelling of a number. Integers beyond 2⁵³ keep their digits, since seeds use all 64 bits.
fn canonical_number(number: &serde_json::Number) -> String {
    if let Some(n) = number.as_i64() {
        return n.to_string();
    }
    if let Some(n) = number.as_u64() {
        return n.to_string();
    }
    let x = number.as_f64().unwrap_or(0.0);
    if x == 0.0 {
        return "0".to_owned();
    }
    // `{:e}` gives the shortest digits that read back as x, as ECMAScript asks; only the layout differs.
    let text = format!("{:e}", x.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = digits.len() as i32;
    let point = exponent + 1;
    let body = if (count..=21).contains(&point) {
        format!("{digits}{}", "0".repeat((point - count) as usize))
    } else if (1..=21).contains(&point) {
        format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let (head, tail) = digits.split_at(1);
        let dot = if tail.is_empty() { "" } else { "." };
        format!("{head}{dot}{tail}e{sign}{}", exponent.abs())
    };
    if x < 0.0 { format!("-{body}") } else { body }
}

/// The digest of a value's canonical JSON.
pub fn digest_json(value: &Value) -> Digest {
    Digest::of(canonical_json(value).as_bytes())
}

/// The digest of a trial: resolved config (without its seed), shard-set digest and code version.
///
/// Two trials with the same digest and the same seed are the same experiment, and the second need not run.
pub fn trial_digest(config: &Value, shards: &Digest, code: &str) -> Digest {
    digest_json(&serde_json::json!({ "config": config, "shards": shards, "code": code }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_json_follows_rfc_8785() {
        // Appendix B and section 3.2.2 of the RFC.
        let cases = [
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (4.5, "4.5"),
            (0.002, "0.002"),
            (1e30, "1e+30"),
            (333333333.3333333, "333333333.3333333"),
            (-0.0, "0"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (-1.5e-9, "-1.5e-9"),
            (2.0, "2"),
        ];
        for (x, text) in cases {
            assert_eq!(canonical_json(&json!(x)), text);
        }
        let value = json!({"b": [1, true, null], "a": {"z": "é\"\n", "\u{20ac}": 1}, "10": 0.5});
        assert_eq!(canonical_json(&value), "{\"10\":0.5,\"a\":{\"z\":\"é\\\"\\n\",\"€\":1},\"b\":[1,true,null]}");
    }

    #[test]
    fn an_integer_and_the_same_float_have_one_digest() {
        assert_eq!(digest_json(&json!({"n": 2})), digest_json(&json!({"n": 2.0})));
        assert_ne!(digest_json(&json!({"n": u64::MAX})), digest_json(&json!({"n": u64::MAX - 1})));
    }

    #[test]
    fn every_part_of_a_patch_key_counts() {
        let key = PatchKey { source: "a", image: "b/c.png", x: 0, y: 224, w: 224, h: 224, product: Product::Patches };
        let base = patch_id(&key);
        for other in [
            PatchKey { source: "ab", image: "/c.png", ..key },
            PatchKey { x: 224, y: 0, ..key },
            PatchKey { product: Product::Cells, ..key },
            PatchKey { h: 223, ..key },
        ] {
            assert_ne!(base, patch_id(&other), "{other:?}");
        }
    }

    #[test]
    fn pixels_of_another_shape_are_other_pixels() {
        assert_ne!(pixel_digest(2, 1, &[0; 6]), pixel_digest(1, 2, &[0; 6]));
    }

    #[test]
    fn a_digest_reads_back_and_nonsense_is_refused() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("zz".parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
    }
}
