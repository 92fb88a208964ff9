//! Features that no training made: what trained features have to beat. The next one is a file here and a line in [`ALL`].

mod histogram;
mod random;
mod shape;

use std::fmt::Debug;

use anyhow::Result;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use dino::Encoder;
use probe::Features;
use run_spec::config::TrainConfig;

use crate::features::Extractor;

/// All baselines, in the order of tables.
pub(crate) const ALL: [&dyn Baseline; 3] = [&random::Random, &histogram::Histogram, &shape::HandMade];

/// A flag about a baseline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// Its name, without dashes.
    pub(crate) name: &'static str,
    /// What it does, for `--help`.
    pub(crate) help: &'static str,
    /// Whether it takes the baseline in, or leaves it out.
    pub(crate) takes_in: bool,
}

/// A way to get features without training.
pub(crate) trait Baseline: Debug + Sync {
    /// The name on the command line and in the column `features` of result rows.
    fn name(&self) -> &'static str;

    /// What it is, for `--help`.
    fn about(&self) -> &'static str;

    /// The flag by which `worker probe` takes it in or leaves it out.
    fn flag(&self) -> Flag;

    /// Whether it depends on the configuration of a model.
    fn needs_model(&self) -> bool;

    /// The model that gives the features, where one does: its patches can be looked at too.
    ///
    /// # Errors
    /// LibTorch's.
    fn encoder(&self, _config: &TrainConfig, _device: tch::Device) -> Result<Option<Encoder>> {
        Ok(None)
    }

    /// Features of all rows of a set, in order.
    ///
    /// # Errors
    /// A row that cannot be read; LibTorch's.
    fn features(&self, config: &TrainConfig, device: tch::Device, extractor: &Extractor<'_>) -> Result<Features>;
}

/// Reads the name of a baseline on the command line.
pub(crate) fn parser() -> impl TypedValueParser<Value = &'static dyn Baseline> {
    let names = ALL.map(|baseline| PossibleValue::new(baseline.name()).help(baseline.about()));
    PossibleValuesParser::new(names).try_map(|name| {
        let found = ALL.into_iter().find(|baseline| baseline.name() == name);
        found.ok_or_else(|| format!("{name} is not a baseline"))
    })
}

/// The baselines that `worker probe` is to score: all that no flag leaves out, and those that a flag takes in.
#[derive(Debug, Clone)]
pub(crate) struct Wanted(pub(crate) Vec<&'static dyn Baseline>);

impl Args for Wanted {
    fn augment_args(command: Command) -> Command {
        ALL.iter().fold(command, |command, baseline| {
            let Flag { name, help, .. } = baseline.flag();
            command.arg(Arg::new(name).long(name).action(ArgAction::SetTrue).help(help))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Wanted {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let wanted = |baseline: &&dyn Baseline| matches.get_flag(baseline.flag().name) == baseline.flag().takes_in;
        Ok(Self(ALL.into_iter().filter(wanted).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        wanted: Wanted,
        #[arg(value_parser = parser())]
        one: Option<&'static dyn Baseline>,
    }

    #[test]
    fn each_baseline_is_named_and_left_out_or_taken_in_by_its_own_flag() {
        let wanted = |flags: &[&str]| -> Vec<&str> {
            let line = Line::try_parse_from([&["worker"], flags].concat()).unwrap();
            line.wanted.0.iter().map(|baseline| baseline.name()).collect()
        };
        assert_eq!(wanted(&[]), ["random", "histogram"]);
        assert_eq!(wanted(&["--no-random"]), ["histogram"]);
        assert!(wanted(&["--no-random", "--no-histogram"]).is_empty());
        assert_eq!(wanted(&["--no-random", "--shape"]), ["histogram", "shape"]);
        assert_eq!(Line::try_parse_from(["worker", "random"]).unwrap().one.unwrap().name(), "random");
        let refused = Line::try_parse_from(["worker", "teacher"]).unwrap_err().to_string();
        assert!(refused.contains("random") && refused.contains("histogram"), "{refused}");
    }
}
