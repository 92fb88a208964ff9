//! Globs that choose arms or trials by name.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};

/// A set of globs; the empty set matches nothing.
#[derive(Debug, Clone)]
pub(crate) struct Globs(GlobSet);

impl Globs {
    /// Compiles the globs.
    pub(crate) fn new(globs: &[String]) -> Result<Self> {
        let mut builder = GlobSetBuilder::new();
        for glob in globs {
            builder.add(Glob::new(glob).with_context(|| format!("{glob:?} is not a glob"))?);
        }
        Ok(Self(builder.build().context("compile globs")?))
    }

    /// Whether any glob matches `name`.
    pub(crate) fn any(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    /// Whether a trial is chosen: no globs choose all; a glob matches the arm or `ARM/seed-N`.
    pub(crate) fn chooses(&self, arm: &str, seed: u64) -> bool {
        self.0.is_empty() || self.any(arm) || self.any(&format!("{arm}/seed-{seed}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_choose_by_arm_or_by_trial() {
        let globs = Globs::new(&["koleo*".to_owned(), "ref/seed-1".to_owned()]).unwrap();
        assert!(globs.chooses("koleo-on", 0) && globs.chooses("ref", 1));
        assert!(!globs.chooses("ref", 0) && !globs.chooses("ref", 11));
        assert!(Globs::new(&[]).unwrap().chooses("any", 0) && !Globs::new(&[]).unwrap().any("any"));
    }
}
