//! What no single value shows: whether the values of a configuration fit each other.

use super::{ConfigError, Sampling, TrainConfig};

/// Something that must hold between values.
struct Rule {
    holds: bool,
    /// The key to change where it does not.
    key: &'static str,
    /// What is wrong, and the remedy.
    message: String,
}

fn rule(holds: bool, key: &'static str, message: impl Into<String>) -> Rule {
    Rule { holds, key, message: message.into() }
}

impl TrainConfig {
    /// Checks what no single value shows.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`], naming the key.
    pub fn validate(&self, what: &str) -> Result<(), ConfigError> {
        self.demand(
            what,
            &[
                Self::ibot_head,
                Self::model,
                Self::local_crops,
                Self::loss_groups,
                Self::sampling,
                Self::ranges,
                Self::online_probe,
            ],
        )
    }

    /// Checks what matters to a model that is not trained: nothing draws local crops for it, counts loss groups or steps.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`], naming the key.
    pub fn validate_untrained(&self, what: &str) -> Result<(), ConfigError> {
        self.demand(what, &[Self::model])
    }

    /// The ranges of single values come first: the rules compute with them.
    fn demand(&self, what: &str, rules: &[fn(&Self) -> Vec<Rule>]) -> Result<(), ConfigError> {
        super::ranges::check(&self.to_value()).map_err(|error| error.of(what))?;
        match rules.iter().flat_map(|rules| rules(self)).find(|rule| !rule.holds) {
            None => Ok(()),
            Some(Rule { key, message, .. }) => {
                Err(ConfigError::BadValue { what: what.to_owned(), key: key.to_owned(), message })
            }
        }
    }

    fn ibot_head(&self) -> Vec<Rule> {
        let head = &self.head;
        let own = [
            (head.ibot_prototypes, "head.ibot_prototypes"),
            (head.ibot_hidden, "head.ibot_hidden"),
            (head.ibot_bottleneck, "head.ibot_bottleneck"),
        ];
        let remedy = "iBOT has no head of its own; set head.separate: true, or null here";
        own.into_iter().map(|(value, key)| rule(head.separate || value.is_none(), key, remedy)).collect()
    }

    fn model(&self) -> Vec<Rule> {
        let (dim, heads) = (self.model.dim, self.model.heads);
        let remedy = format!("{heads} heads do not divide model.dim {dim}: choose a number that does");
        vec![
            rule(dim % heads == 0, "model.heads", remedy),
            self.in_patches(self.crops.global_size, "crops.global_size"),
        ]
    }

    fn local_crops(&self) -> Vec<Rule> {
        vec![self.in_patches(self.crops.local_size, "crops.local_size")]
    }

    fn in_patches(&self, size: i64, key: &'static str) -> Rule {
        let patch = self.model.patch;
        rule(size % patch == 0, key, format!("{size} is not a multiple of model.patch {patch}: choose one"))
    }

    fn loss_groups(&self) -> Vec<Rule> {
        let (batch, groups) = (self.train.batch_size, self.train.loss_groups);
        vec![
            rule(
                batch.is_multiple_of(groups),
                "train.loss_groups",
                format!("{groups} groups do not divide train.batch_size {batch}: choose a number that does"),
            ),
            rule(
                self.loss.koleo_weight == 0.0 || batch / groups >= 2,
                "loss.koleo_weight",
                "KoLeo needs at least two images in a loss group: raise train.batch_size or set it to 0",
            ),
        ]
    }

    fn online_probe(&self) -> Vec<Rule> {
        let (log, checkpoint) = (&self.log, &self.checkpoint);
        let every = log.probe_every_steps;
        let named = log.probe_shards.is_some() && log.probe_split.is_some();
        let falls_on_a_probe = |every| checkpoint.every_steps.is_multiple_of(every);
        let set = "it needs a labelled shard set and a split: set log.probe_shards and log.probe_split";
        vec![
            rule(every.is_none() || named, "log.probe_every_steps", set),
            rule(
                !checkpoint.keep_best || every.is_some(),
                "checkpoint.keep_best",
                "the best is that of the online probe: set log.probe_every_steps",
            ),
            rule(
                !checkpoint.keep_best || every.is_none_or(falls_on_a_probe),
                "checkpoint.every_steps",
                "checkpoint.keep_best needs a score of each checkpoint: choose a multiple of log.probe_every_steps",
            ),
        ]
    }

    fn sampling(&self) -> Vec<Rule> {
        let (data, weights) = (&self.data, &self.data.source_weights);
        let by_weights = data.sampling == Sampling::Weights;
        vec![
            rule(
                by_weights || weights.is_empty(),
                "data.source_weights",
                "it acts with data.sampling: weights only; set that, or leave the weights out",
            ),
            rule(
                !by_weights || weights.values().any(|weight| *weight > 0.0),
                "data.source_weights",
                "data.sampling: weights needs a weight for each source, at least one of them above 0",
            ),
            rule(
                data.sampling == Sampling::Temperature || data.sampling_temperature == 1.0,
                "data.sampling_temperature",
                "it acts with data.sampling: temperature only; set that, or leave it at 1",
            ),
        ]
    }

    fn ranges(&self) -> Vec<Rule> {
        let (crops, masks) = (&self.crops, &self.masks);
        let least_most = [
            (crops.global_scale, "crops.global_scale"),
            (crops.local_scale, "crops.local_scale"),
            (crops.ratio, "crops.ratio"),
        ];
        let swapped = |(range, key): ([f64; 2], _)| {
            rule(range[0] <= range[1], key, format!("{range:?} is not [least, most]: swap the two"))
        };
        let steps = "epochs × epoch_length is less than one step: raise one of them";
        least_most
            .into_iter()
            .map(swapped)
            .chain([
                rule(
                    masks.ratio_min <= masks.ratio_max,
                    "masks.ratio_min",
                    "it is above masks.ratio_max: swap the two",
                ),
                rule(self.total_steps() > 0, "optim.epochs", steps),
            ])
            .collect()
    }
}
