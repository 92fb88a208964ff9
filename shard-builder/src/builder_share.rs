//! Which shards a builder makes first when several write one set.
//!
//! A shard's own key is the claim: it is create-only and names what the shard holds, so whoever finds it there goes on. Each
//! builder makes its own shards from the front, then helps the others from the back. Builders never talk, none waits for
//! another, and what a killed one leaves undone the others do. The last ones may make the same shard at once; its bytes are
//! the same.

use std::str::FromStr;

/// Builder `index` of `of`, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuilderShare {
    index: usize,
    of: usize,
}

impl BuilderShare {
    /// Whether there is no other builder.
    pub(crate) fn is_whole(self) -> bool {
        self.of == 1
    }

    /// All numbers below `shards`, in the order in which this builder looks at them.
    pub(crate) fn order(self, shards: usize) -> impl Iterator<Item = usize> {
        let own = move |number: &usize| number % self.of == self.index;
        (0..shards).filter(own).chain((0..shards).rev().filter(move |number| !own(number)))
    }
}

impl FromStr for BuilderShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index: index - 1, of }),
            _ => Err(format!("`{text}` is not I/N; write it with I from 1 to N, such as 2/4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builder_sees_every_shard_once_and_its_own_first() {
        let part: BuilderShare = "2/3".parse().expect("a part");
        assert_eq!(part.order(8).collect::<Vec<_>>(), [1, 4, 7, 6, 5, 3, 2, 0]);
        assert_eq!("1/1".parse::<BuilderShare>().expect("a part").order(3).collect::<Vec<_>>(), [0, 1, 2]);
        for wrong in ["0/2", "3/2", "1", "a/b", "1/0", ""] {
            assert!(wrong.parse::<BuilderShare>().is_err(), "{wrong}");
        }
    }
}
