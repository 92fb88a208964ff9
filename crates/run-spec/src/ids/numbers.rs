//! Numbers that name something, each a type of its own, so that a step is never passed where an attempt is meant.
//!
//! They are for passing, storing and printing: in JSON and in text each is its bare number. Where a formula needs the number
//! itself, `get` gives it.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($number:ty);)+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($number);

        impl $name {
            /// The one with this number.
            pub const fn new(number: $number) -> Self {
                Self(number)
            }

            /// The number without its type.
            pub const fn get(self) -> $number {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }

        impl From<$number> for $name {
            fn from(number: $number) -> Self {
                Self(number)
            }
        }

        impl PartialEq<$number> for $name {
            fn eq(&self, number: &$number) -> bool {
                self.0 == *number
            }
        }
    )+ };
}

numbers! {
    /// An update of the optimiser, counted from 0 over the whole run. As a place in a run it is the number of steps done: a
    /// checkpoint of step 50 was written before step 50.
    Step(u64);
    /// One start of a run or of a trial, counted from 1. A later attempt counts more than an earlier one, however many steps
    /// each did.
    Attempt(u32);
    /// Where random streams begin: data order, views, masks and weights of a trial.
    Seed(u64);
    /// A process of a run, counted from 0 below [`World`].
    Rank(u32);
    /// How many processes share a run.
    World(u32);
}

impl Attempt {
    /// The attempt after this one, unless no number is left.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl World {
    /// The ranks of this world, in order.
    pub fn ranks(self) -> impl Iterator<Item = Rank> {
        (0..self.0).map(Rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_text_and_json_a_number_is_bare() {
        let step = Step::new(50);
        assert_eq!(format!("{step:08}-a{:04}", Attempt::new(2)), "00000050-a0002");
        assert_eq!(serde_json::to_string(&step).unwrap(), "50");
        assert_eq!(serde_json::from_str::<Step>("50").unwrap(), step);
        assert_eq!("50".parse::<Step>().unwrap(), step);
        assert!("-1".parse::<Rank>().is_err());
    }

    #[test]
    fn the_last_attempt_has_none_after_it() {
        assert_eq!(Attempt::new(1).next(), Some(Attempt::new(2)));
        assert_eq!(Attempt::new(u32::MAX).next(), None);
    }
}
