//! Collapse, and the number in which it shows: without centering or Sinkhorn-Knopp, all images choose one prototype.

use crate::support::runs::{batch, new, tiny};
use collective::Solo;
use dino::Losses;
use run_spec::{config::Centering, schedule::Schedules};

/// Trains a tiny model for 60 steps: its last losses, and the mean entropy of the teacher's targets in nats, as the metrics of
/// a run show them.
fn after_training(centering: Centering) -> (Losses, f64) {
    let mut c = tiny();
    (c.loss.centering, c.loss.koleo_weight, c.loss.n_local) = (centering, 0.0, 0);
    (c.train.batch_size, c.teacher.momentum) = (16, 0.9);
    (c.optim.epoch_length, c.optim.lr) = (60, Some(3e-3));
    let schedules = Schedules::new(&c);
    let mut state = new(&c);
    let mut learn = |step| state.step(&batch(&c, step, 0, 1), &schedules.at(step), &Solo::new()).unwrap();
    let last = (0..60).map(&mut learn).last().unwrap();
    (last.losses, last.teacher_entropy)
}

#[test]
fn without_centering_all_images_choose_one_prototype_and_the_entropy_shows_it() {
    for centering in [Centering::SinkhornKnopp, Centering::MovingAverage] {
        let (losses, entropy) = after_training(centering);
        assert!(entropy > 1.0 && losses.total > 1.0, "{centering}: {entropy} nats, {losses:?}");
    }
    // The student foretells it at once: nothing is left to learn, neither from images nor from masked patches.
    let (losses, entropy) = after_training(Centering::None);
    assert!(entropy < 1e-3 && losses.dino_global < 0.01 && losses.ibot < 0.01, "{entropy} nats, {losses:?}");
}
