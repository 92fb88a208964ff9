//! The full training state as one safetensors file: what the checkpoint holds, and what the configuration implies about the
//! steps to come, so that other code can go on. docs/weights.md lists every key and shape.

use run_spec::config::TrainConfig;
use run_spec::plan::{Place, Plan};
use run_spec::schedule::{Knobs, Schedules};
use tch::Tensor;

use crate::error::ExportError;
use crate::{Model, NamedFile, Result};

/// The whole training state as `training_state.safetensors`, and the run's record.
///
/// * `tensors` of the checkpoint.
/// * `plan` the walk over the shard set that was trained on.
///
/// # Errors
/// A seed beyond what a signed number holds.
pub fn whole_state(model: &Model<'_>, tensors: Vec<(String, Tensor)>, plan: &Plan) -> Result<Vec<NamedFile>> {
    let walk = (plan, model.record.rows);
    let tensors = complete(tensors, model.config, model.checkpoint.step.get(), walk)?;
    let facts = model.facts("the whole training state: docs/weights.md");
    let weights = dino::tensor_bytes::to_bytes_with_facts(&tensors, &facts)?;
    Ok(vec![("training_state.safetensors", weights), ("run.json", serde_json::to_vec_pretty(model.record)?)])
}

/// Adds schedules, random keys and data position to the tensors of the checkpoint before `step` of a run that walks `rows` rows by `plan`.
///
/// # Errors
/// A seed beyond what a signed number holds.
fn complete(
    mut tensors: Vec<(String, Tensor)>,
    config: &TrainConfig,
    step: u64,
    (plan, rows): (&Plan, u64),
) -> Result<Vec<(String, Tensor)>> {
    let number = |n: u64, what: &'static str| match i64::try_from(n) {
        Ok(n) => Ok(Tensor::from_slice(&[n])),
        Err(_) => Err(ExportError::TooWide { what, number: n }),
    };
    let batch = plan.global_batch();
    let next: Vec<i64> = plan.rows_at(step, Place::SOLO).iter().map(|draw| draw.row as i64).collect();
    for (name, n) in [
        ("position.step", step),
        ("position.next_draw", step * batch),
        ("position.rows", rows),
        ("rng.seed", config.seed),
        ("rng.init_seed", config.init_seed()),
    ] {
        tensors.push((name.to_owned(), number(n, name)?));
    }
    tensors.push(("position.next_rows".to_owned(), Tensor::from_slice(&next)));
    let schedules = Schedules::new(config);
    let knobs: Vec<Knobs> = (0..config.total_steps()).map(|step| schedules.at(step)).collect();
    let mut column = |name: &str, of: fn(&Knobs) -> f64| {
        let values: Vec<f64> = knobs.iter().map(of).collect();
        tensors.push((format!("schedule.{name}"), Tensor::from_slice(&values)));
    };
    column("lr", |k| k.lr);
    column("last_layer_lr", |k| k.last_layer_lr);
    column("wd", |k| k.wd);
    column("momentum", |k| k.momentum);
    column("teacher_temp", |k| k.teacher_temp);
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_rows_and_every_steps_schedule_are_told() {
        let mut config = TrainConfig { seed: 7, ..TrainConfig::default() };
        (config.train.batch_size, config.optim.epochs, config.optim.epoch_length) = (4, 2.0, 5);
        let plan = Plan::uniform(7, 11, 4);
        let tensors = complete(Vec::new(), &config, 3, (&plan, 11)).unwrap();
        let get = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t).unwrap();
        let rows = Vec::<i64>::try_from(get("position.next_rows")).unwrap();

        assert_eq!(rows, (12..16).map(|draw| plan.row_at(draw) as i64).collect::<Vec<_>>());
        assert_eq!(get("position.next_draw").int64_value(&[0]), 12);
        assert_eq!(get("schedule.lr").size(), [10]);
        assert_eq!(get("schedule.wd").double_value(&[3]), Schedules::new(&config).at(3).wd);
        config.seed = u64::MAX;
        assert!(complete(Vec::new(), &config, 3, (&plan, 11)).unwrap_err().to_string().contains("rng.seed"));
    }
}
