//! Learning rate, weight decay, EMA momentum and teacher temperature as functions of the iteration.
//!
//! The curve is DINOv2's: a linear warm-up that includes both of its ends, then half a cosine, then the final value for
//! ever. Nothing here has state, so a resumed run needs only its iteration.

use crate::config::{Optim, Teacher, TrainConfig};

/// What an iteration is run with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knobs {
    /// Learning rate (before the multipliers of parameter groups).
    pub lr: f64,
    /// Learning rate of the last layer: 0 while it is frozen, else `lr`.
    pub last_layer_lr: f64,
    /// Weight decay (before the multipliers of parameter groups).
    pub wd: f64,
    /// EMA momentum of the teacher.
    pub momentum: f64,
    /// Temperature of the teacher's softmax.
    pub teacher_temp: f64,
}

/// The schedules of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedules {
    lr: Curve,
    wd: Curve,
    momentum: Curve,
    teacher_temp: Curve,
    frozen_steps: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Curve {
    start: f64,
    base: f64,
    end: f64,
    warmup: u64,
    total: u64,
}

impl Curve {
    fn at(&self, iteration: u64) -> f64 {
        if iteration < self.warmup.min(self.total) {
            let last = self.warmup.saturating_sub(1);
            if last == 0 {
                return self.start;
            }
            if iteration == last {
                return self.base;
            }
            return self.start + iteration as f64 * ((self.base - self.start) / last as f64);
        }
        if iteration >= self.total {
            return self.end;
        }
        let progress = (iteration - self.warmup) as f64 / (self.total - self.warmup) as f64;
        self.end + 0.5 * (self.base - self.end) * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

impl Schedules {
    /// The schedules of a configuration.
    pub fn new(config: &TrainConfig) -> Self {
        Self::from_parts(&config.optim, &config.teacher, config.train.batch_size)
    }

    /// The schedules of these sections with `images` per step over all ranks.
    pub fn from_parts(optim: &Optim, teacher: &Teacher, images: u64) -> Self {
        let steps = |epochs: f64| (epochs * optim.epoch_length as f64) as u64;
        let total = steps(optim.epochs);
        let peak = optim.lr.unwrap_or(optim.base_lr * (images as f64 / 1024.0).sqrt());
        let plain = |base, end| Curve { start: base, base, end, warmup: 0, total };
        let temp_steps = steps(teacher.temp_epochs);
        Self {
            lr: Curve { start: 0.0, base: peak, end: optim.min_lr, warmup: steps(optim.warmup_epochs), total },
            wd: plain(optim.wd, optim.wd_end),
            momentum: plain(teacher.momentum, teacher.momentum_end),
            teacher_temp: Curve {
                start: teacher.temp_start,
                base: teacher.temp,
                end: teacher.temp,
                warmup: temp_steps,
                total: temp_steps,
            },
            frozen_steps: steps(optim.freeze_last_layer_epochs),
        }
    }

    /// The knobs of `iteration`, counted from 0.
    pub fn at(&self, iteration: u64) -> Knobs {
        let lr = self.lr.at(iteration);
        Knobs {
            lr,
            last_layer_lr: if iteration < self.frozen_steps { 0.0 } else { lr },
            wd: self.wd.at(iteration),
            momentum: self.momentum.at(iteration),
            teacher_temp: self.teacher_temp.at(iteration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_small_config_has_its_published_values() {
        // Two GPUs of 280 images, 10 epochs of 1950 steps: recipe table 3.1.
        let mut config = TrainConfig::default();
        config.train.batch_size = 560;
        config.optim.epoch_length = 1950;
        let s = Schedules::new(&config);
        assert_eq!(s.at(0).lr, 0.0);
        assert!((s.at(194).lr - 1.47902e-4).abs() < 1e-9, "{}", s.at(194).lr);
        assert!((s.at(195).lr - 1.47902e-4).abs() < 1e-9);
        assert_eq!(s.at(19_500).lr, 1e-6);
        assert!((s.at(0).wd - 0.04).abs() < 1e-16 && s.at(19_500).wd == 0.2);
        assert!((s.at(0).momentum - 0.994).abs() < 1e-15 && s.at(19_500).momentum == 1.0);
        // The warm-up of 30 epochs never ends within 10: the temperature reaches about 0.05.
        assert_eq!(s.at(0).teacher_temp, 0.04);
        assert!((s.at(19_499).teacher_temp - 0.05).abs() < 1e-5);
    }

    #[test]
    fn half_way_the_cosine_is_half_way() {
        let optim = Optim {
            epochs: 1.0,
            epoch_length: 100,
            warmup_epochs: 0.0,
            lr: Some(1.0),
            min_lr: 0.0,
            ..Optim::default()
        };
        let s = Schedules::from_parts(&optim, &Teacher::default(), 8);
        assert!((s.at(50).lr - 0.5).abs() < 1e-12);
        assert_eq!(s.at(100).lr, 0.0);
    }

    #[test]
    fn a_frozen_last_layer_has_no_learning_rate() {
        let optim = Optim { freeze_last_layer_epochs: 0.5, epoch_length: 10, warmup_epochs: 0.0, ..Optim::default() };
        let s = Schedules::from_parts(&optim, &Teacher::default(), 8);
        assert_eq!(s.at(4).last_layer_lr, 0.0);
        assert_eq!(s.at(5).last_layer_lr, s.at(5).lr);
        assert!(s.at(4).lr > 0.0);
    }
}
