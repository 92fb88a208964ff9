//! What no single value shows: whether the values of a configuration fit each other.

use super::{ConfigError, Sampling, TrainConfig};

impl TrainConfig {
    /// Checks what no single value shows.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`], naming the key.
    pub fn validate(&self, what: &str) -> Result<(), ConfigError> {
        let demand = |right: bool, key: &str, message: String| {
            if right {
                Ok(())
            } else {
                Err(ConfigError::BadValue { what: what.to_owned(), key: key.to_owned(), message })
            }
        };
        let positive = |value: i64, key: &str| demand(value > 0, key, format!("{value} is not positive"));
        for (value, key) in [
            (self.model.dim, "model.dim"),
            (self.model.depth, "model.depth"),
            (self.model.heads, "model.heads"),
            (self.model.patch, "model.patch"),
            (self.head.prototypes, "head.prototypes"),
            (self.head.hidden, "head.hidden"),
            (self.head.bottleneck, "head.bottleneck"),
            (self.loss.sk_iterations, "loss.sk_iterations"),
            (self.optim.epoch_length as i64, "optim.epoch_length"),
            (self.train.batch_size as i64, "train.batch_size"),
            (self.train.loss_groups as i64, "train.loss_groups"),
            (self.train.gradient_accumulation as i64, "train.gradient_accumulation"),
            (self.train.read_threads as i64, "train.read_threads"),
            (self.checkpoint.every_steps as i64, "checkpoint.every_steps"),
            (self.checkpoint.keep as i64, "checkpoint.keep"),
            (self.log.every_steps as i64, "log.every_steps"),
            (self.log.collapse_every_steps as i64, "log.collapse_every_steps"),
        ] {
            positive(value, key)?;
        }
        for (value, key) in [
            (self.head.ibot_prototypes, "head.ibot_prototypes"),
            (self.head.ibot_hidden, "head.ibot_hidden"),
            (self.head.ibot_bottleneck, "head.ibot_bottleneck"),
        ] {
            let Some(value) = value else { continue };
            positive(value, key)?;
            demand(
                self.head.separate,
                key,
                "iBOT has no head of its own; set head.separate: true, or null here".to_owned(),
            )?;
        }
        demand(
            self.model.dim % self.model.heads == 0,
            "model.heads",
            format!("{} heads do not divide model.dim {}", self.model.heads, self.model.dim),
        )?;
        for (size, key) in [(self.crops.global_size, "crops.global_size"), (self.crops.local_size, "crops.local_size")]
        {
            demand(
                size > 0 && size % self.model.patch == 0,
                key,
                format!("{size} is not a positive multiple of model.patch {}", self.model.patch),
            )?;
        }
        demand(
            self.train.batch_size.is_multiple_of(self.train.loss_groups),
            "train.loss_groups",
            format!("{} groups do not divide train.batch_size {}", self.train.loss_groups, self.train.batch_size),
        )?;
        demand(
            // What a duration holds, too: no infinity.
            self.train.step_deadline_s > 0.0 && self.train.step_deadline_s <= 1e9,
            "train.step_deadline_s",
            format!("{} is no time to wait in seconds", self.train.step_deadline_s),
        )?;
        demand(self.loss.n_local >= 0, "loss.n_local", "a number of crops is not negative".to_owned())?;
        demand(
            self.loss.koleo_weight == 0.0 || self.train.batch_size / self.train.loss_groups >= 2,
            "loss.koleo_weight",
            "KoLeo needs at least two images in a loss group: raise train.batch_size or set it to 0".to_owned(),
        )?;
        let weights = &self.data.source_weights;
        for (source, weight) in weights {
            demand(
                *weight >= 0.0 && weight.is_finite(),
                &format!("data.source_weights.{source}"),
                format!("{weight} is no weight: 0 or a positive number is"),
            )?;
        }
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
            temperature >= 1e-3 && temperature.is_finite(),
            "data.sampling_temperature",
            format!("{temperature} is no temperature: at least 0.001 is"),
        )?;
        demand(
            self.data.sampling == Sampling::Temperature || temperature == 1.0,
            "data.sampling_temperature",
            "it acts with data.sampling: temperature only; set that, or leave it at 1".to_owned(),
        )?;
        let (global, local, ratio) = (self.crops.global_scale, self.crops.local_scale, self.crops.ratio);
        for (range, top, key) in [
            (global, 1.0, "crops.global_scale"),
            (local, 1.0, "crops.local_scale"),
            (ratio, f64::INFINITY, "crops.ratio"),
        ] {
            demand(
                0.0 < range[0] && range[0] <= range[1] && range[1] <= top,
                key,
                format!("{range:?} is not a range of shares [low, high]"),
            )?;
        }
        for (p, key) in [
            (self.masks.probability, "masks.probability"),
            (self.masks.ratio_min, "masks.ratio_min"),
            (self.masks.ratio_max, "masks.ratio_max"),
            (self.augmentation.flip_p, "augmentation.flip_p"),
            (self.augmentation.vflip_p, "augmentation.vflip_p"),
            (self.augmentation.rot90_p, "augmentation.rot90_p"),
            (self.model.drop_path, "model.drop_path"),
            (self.teacher.momentum, "teacher.momentum"),
            (self.teacher.momentum_end, "teacher.momentum_end"),
            (self.loss.center_momentum, "loss.center_momentum"),
        ] {
            demand((0.0..=1.0).contains(&p), key, format!("{p} is not between 0 and 1"))?;
        }
        demand(
            self.masks.ratio_min <= self.masks.ratio_max,
            "masks.ratio_min",
            "it is above masks.ratio_max".to_owned(),
        )?;
        for (t, key) in [
            (self.loss.student_temp, "loss.student_temp"),
            (self.teacher.temp_start, "teacher.temp_start"),
            (self.teacher.temp, "teacher.temp"),
            (self.optim.epochs, "optim.epochs"),
            (self.optim.clip, "optim.clip"),
            (self.model.mlp_ratio, "model.mlp_ratio"),
        ] {
            demand(t > 0.0 && t.is_finite(), key, format!("{t} is not positive"))?;
        }
        demand(self.total_steps() > 0, "optim.epochs", "epochs × epoch_length is less than one step".to_owned())
    }
}
