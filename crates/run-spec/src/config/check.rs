//! What no single value shows: whether the values of a configuration fit each other.

use super::{ConfigError, Sampling, TrainConfig};

impl TrainConfig {
    /// Checks what no single value shows.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`], naming the key.
    pub fn validate(&self, what: &str) -> Result<(), ConfigError> {
        super::ranges::check(&self.to_value()).map_err(|error| error.of(what))?;
        let demand = |right: bool, key: &str, message: String| {
            if right {
                Ok(())
            } else {
                Err(ConfigError::BadValue { what: what.to_owned(), key: key.to_owned(), message })
            }
        };
        for (value, key) in [
            (self.head.ibot_prototypes, "head.ibot_prototypes"),
            (self.head.ibot_hidden, "head.ibot_hidden"),
            (self.head.ibot_bottleneck, "head.ibot_bottleneck"),
        ] {
            demand(
                self.head.separate || value.is_none(),
                key,
                "iBOT has no head of its own; set head.separate: true, or null here".to_owned(),
            )?;
        }
        demand(
            self.model.dim % self.model.heads == 0,
            "model.heads",
            format!("{} heads do not divide model.dim {}: choose a number that does", self.model.heads, self.model.dim),
        )?;
        for (size, key) in [(self.crops.global_size, "crops.global_size"), (self.crops.local_size, "crops.local_size")]
        {
            demand(
                size % self.model.patch == 0,
                key,
                format!("{size} is not a multiple of model.patch {}: choose one", self.model.patch),
            )?;
        }
        demand(
            self.train.batch_size.is_multiple_of(self.train.loss_groups),
            "train.loss_groups",
            format!(
                "{} groups do not divide train.batch_size {}: choose a number that does",
                self.train.loss_groups, self.train.batch_size
            ),
        )?;
        demand(
            self.loss.koleo_weight == 0.0 || self.train.batch_size / self.train.loss_groups >= 2,
            "loss.koleo_weight",
            "KoLeo needs at least two images in a loss group: raise train.batch_size or set it to 0".to_owned(),
        )?;
        let weights = &self.data.source_weights;
        let by_weights = self.data.sampling == Sampling::Weights;
        demand(
            by_weights || weights.is_empty(),
            "data.source_weights",
            "it acts with data.sampling: weights only; set that, or leave the weights out".to_owned(),
        )?;
        demand(
            !by_weights || weights.values().any(|weight| *weight > 0.0),
            "data.source_weights",
            "data.sampling: weights needs a weight for each source, at least one of them above 0".to_owned(),
        )?;
        let temperature = self.data.sampling_temperature;
        demand(
            self.data.sampling == Sampling::Temperature || temperature == 1.0,
            "data.sampling_temperature",
            "it acts with data.sampling: temperature only; set that, or leave it at 1".to_owned(),
        )?;
        let (global, local, ratio) = (self.crops.global_scale, self.crops.local_scale, self.crops.ratio);
        for (range, key) in [(global, "crops.global_scale"), (local, "crops.local_scale"), (ratio, "crops.ratio")] {
            demand(range[0] <= range[1], key, format!("{range:?} is not [least, most]: swap the two"))?;
        }
        demand(
            self.masks.ratio_min <= self.masks.ratio_max,
            "masks.ratio_min",
            "it is above masks.ratio_max: swap the two".to_owned(),
        )?;
        demand(
            self.total_steps() > 0,
            "optim.epochs",
            "epochs × epoch_length is less than one step: raise one of them".to_owned(),
        )
    }
}
