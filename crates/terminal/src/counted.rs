use crate::thousands;

/// A number and what it counts, in the plural unless it is one: `1 shard`, `2,663 cells`, `3 classes`, `2 copies`.
///
/// `noun` is an English noun in the singular with a regular plural. It may have words before it (`evaluation set`).
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    // No number that counts things is negative or beyond 64 bits.
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {noun}") } else { format!("{} {}", thousands(number), plural(noun)) }
}

/// The plural of a regular noun.
fn plural(noun: &str) -> String {
    let consonant_and_y = |stem: &str| !stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    match noun.strip_suffix('y') {
        Some(stem) if consonant_and_y(stem) => format!("{stem}ies"),
        _ if ["s", "x", "ch", "sh"].iter().any(|end| noun.ends_with(end)) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular_and_others_are_plural() {
        assert_eq!([counted(1, "shard"), counted(0, "shard")], ["1 shard", "0 shards"]);
        assert_eq!(counted(2_663_usize, "cell"), "2,663 cells");
        assert_eq!(
            ["class", "copy", "day", "batch", "evaluation set"].map(|noun| counted(2, noun)),
            ["2 classes", "2 copies", "2 days", "2 batches", "2 evaluation sets"]
        );
    }
}
