//! Joins groups that share images. The joined group has the smallest name, so names do not depend on the order of joining.

use std::collections::{BTreeMap, HashMap};

/// Groups by name, and which of them are joined.
#[derive(Debug, Default)]
pub struct GroupUnion {
    parent: BTreeMap<String, String>,
}

impl GroupUnion {
    /// The smallest name among all groups joined with `group`.
    pub fn name<'a>(&'a self, group: &'a str) -> &'a str {
        let mut name = group;
        while let Some(parent) = self.parent.get(name) {
            name = parent;
        }
        name
    }

    /// Joins the groups `a` and `b`, and all that were joined with either.
    pub fn join(&mut self, a: &str, b: &str) {
        let (a, b) = (self.name(a).to_owned(), self.name(b).to_owned());
        match a.cmp(&b) {
            std::cmp::Ordering::Less => drop(self.parent.insert(b, a)),
            std::cmp::Ordering::Greater => drop(self.parent.insert(a, b)),
            std::cmp::Ordering::Equal => {}
        }
    }

    /// Joins the groups of all items that have the same key.
    pub fn join_equal<'a, K: std::hash::Hash + Eq>(&mut self, items: impl IntoIterator<Item = (K, &'a str)>) {
        let mut first: HashMap<K, &str> = HashMap::new();
        for (key, group) in items {
            match first.get(&key) {
                Some(before) => self.join(before, group),
                None => drop(first.insert(key, group)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_groups_have_the_smallest_name_in_any_order() {
        let pairs = [("b", "c"), ("d", "e"), ("c", "e"), ("x", "y")];
        let mut names = Vec::new();
        for turn in 0..pairs.len() {
            let mut joined = GroupUnion::default();
            let mut pairs = pairs;
            pairs.rotate_left(turn);
            for (a, b) in pairs {
                joined.join(b, a);
            }
            names.push(["b", "c", "d", "e", "x", "y", "z"].map(|group| joined.name(group).to_owned()));
        }
        assert!(names.iter().all(|row| *row == ["b", "b", "b", "b", "x", "x", "z"]), "{names:?}");
    }

    #[test]
    fn equal_keys_join() {
        let mut joined = GroupUnion::default();
        joined.join_equal([(1, "q"), (2, "r"), (1, "p")]);
        assert_eq!((joined.name("q"), joined.name("r")), ("p", "r"));
    }
}
