//! Globs that choose arms or trials by name.

use anyhow::{Context, Result};
use globset::{Glob, GlobSet, GlobSetBuilder};
use run_spec::ids::Seed;
use run_spec::layer::{nearest, suggestion};

use crate::sweep_file::SweepFile;

/// A set of globs; the empty set matches nothing.
#[derive(Debug, Clone)]
pub(crate) struct Globs(GlobSet);

impl Globs {
    /// Compiles the globs; one that cannot be read is an error.
    pub(crate) fn new(globs: &[String]) -> Result<Self> {
        let mut builder = GlobSetBuilder::new();
        for glob in globs {
            builder.add(Glob::new(glob).with_context(|| format!("{glob:?} is not a glob"))?);
        }
        Ok(Self(builder.build().context("compile globs")?))
    }

    /// Compiles globs each of which must match at least one of `names`.
    ///
    /// # Errors
    /// The place of the first that does not, and a sentence that names the nearest.
    pub(crate) fn matching(globs: &[String], names: &[&str]) -> Result<Self, (usize, String)> {
        for (index, glob) in globs.iter().enumerate() {
            let compiled =
                Glob::new(glob).map_err(|error| (index, format!("{glob:?} is not a glob: {}", error.kind())))?;
            let matcher = compiled.compile_matcher();
            if !names.iter().any(|name| matcher.is_match(name)) {
                return Err((index, format!("{glob:?} matches none{}", meant(glob, names))));
            }
        }
        Self::new(globs).map_err(|error| (0, format!("{error:#}")))
    }

    /// The globs of `--only`, over the arms and trials of `file`.
    ///
    /// # Errors
    /// A glob that matches none of them.
    pub(crate) fn of_trials(globs: &[String], file: &SweepFile) -> Result<Self> {
        let arms = file.arm_specs()?;
        let trials = arms.iter().flat_map(|arm| file.seeds.iter().map(|seed| format!("{}/seed-{seed}", arm.name)));
        let trials: Vec<String> = trials.collect();
        let names: Vec<&str> =
            arms.iter().map(|arm| arm.name.as_str()).chain(trials.iter().map(String::as_str)).collect();
        Self::matching(globs, &names).map_err(|(_, message)| anyhow::anyhow!("--only {message}"))
    }

    /// Whether any glob matches `name`.
    pub(crate) fn any(&self, name: &str) -> bool {
        self.0.is_match(name)
    }

    /// Whether a trial is chosen: no globs choose all; a glob matches the arm or `ARM/seed-N`.
    pub(crate) fn chooses(&self, arm: &str, seed: Seed) -> bool {
        self.0.is_empty() || self.any(arm) || self.any(&format!("{arm}/seed-{seed}"))
    }
}

/// The name that a glob may mean, or some that there are.
fn meant(glob: &str, names: &[&str]) -> String {
    let plain: String = glob.chars().filter(|c| !"*?[]{}!".contains(*c)).collect();
    match nearest(&plain, names.iter().copied()) {
        Some(near) => suggestion(near),
        None => {
            let shown: Vec<&str> = names.iter().copied().take(5).collect();
            let more = if names.len() > shown.len() { ", …" } else { "" };
            format!("; there are {}{more}", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_choose_by_arm_or_by_trial() {
        let globs = Globs::new(&["koleo*".to_owned(), "ref/seed-1".to_owned()]).unwrap();
        assert!(globs.chooses("koleo-on", 0.into()) && globs.chooses("ref", 1.into()));
        assert!(!globs.chooses("ref", 0.into()) && !globs.chooses("ref", 11.into()));
        assert!(Globs::new(&[]).unwrap().chooses("any", 0.into()) && !Globs::new(&[]).unwrap().any("any"));
    }

    #[test]
    fn a_glob_that_matches_nothing_is_refused_with_the_nearest_name() {
        let refused = |glob: &str| Globs::matching(&[glob.to_owned()], &["reference", "koleo-on"]).unwrap_err().1;
        assert_eq!(refused("koleo-of*"), "\"koleo-of*\" matches none; did you mean `koleo-on`?");
        assert_eq!(refused("x"), "\"x\" matches none; there are reference, koleo-on");
        assert!(refused("[a").starts_with("\"[a\" is not a glob: "));
        assert!(Globs::matching(&["koleo*".to_owned()], &["reference", "koleo-on"]).unwrap().any("koleo-on"));
    }
}
