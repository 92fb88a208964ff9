//! Weights and batches of a case.

use super::{bools, settings::Case};
use crate::{
    Architecture, CropBatch, DinoError, RankShare, Settings, State, backbone,
    backbone::Feed,
    head,
    losses::DinoWeights,
    params::{Parameters, check},
};
use run_spec::config::{Centering, Ffn, Loss, TrainConfig};
use tch::{Device, Tensor};

/// A safetensors file, read.
#[derive(Debug)]
pub(super) struct File {
    entries: Vec<(String, Tensor)>,
    what: String,
}

impl File {
    pub(super) fn new(entries: Vec<(String, Tensor)>, what: String) -> Self {
        Self { entries, what }
    }

    fn find(&self, name: &str) -> Option<&Tensor> {
        let at = self.entries.binary_search_by(|(n, _)| n.as_str().cmp(name));
        at.ok().map(|at| &self.entries[at].1)
    }

    fn get(&self, name: &str) -> Result<&Tensor, DinoError> {
        self.find(name).ok_or_else(|| DinoError::Tensors {
            what: self.what.clone(),
            missing: vec![name.to_owned()],
            unexpected: Vec::new(),
            misshapen: Vec::new(),
        })
    }

    /// Axis `axis` of tensor `name`.
    fn size(&self, name: &str, axis: usize) -> Result<i64, DinoError> {
        let t = self.get(name)?;
        t.size().get(axis).copied().ok_or_else(|| DinoError::Tensors {
            what: self.what.clone(),
            missing: Vec::new(),
            unexpected: Vec::new(),
            misshapen: vec![format!("{name} {:?} without axis {axis}", t.size())],
        })
    }

    /// Images of the first loss group in the first step.
    pub(super) fn first_batch_images(&self) -> Result<u64, DinoError> {
        Ok(self.size("batch.0.0.global_crops", 0)? as u64 / 2)
    }

    /// A rank's share of the batch of step `i`.
    pub(super) fn batch(&self, i: u64, share: &RankShare, loss: &Loss, state: &State) -> Result<CropBatch, DinoError> {
        let uses_local = DinoWeights::of(loss).uses_local;
        let part = |group: i64, what: &'static str, views: i64| -> Result<Tensor, DinoError> {
            let t = self.get(&format!("batch.{i}.{group}.{what}"))?;
            let mut size = t.size();
            if size.is_empty() || size[0] % views != 0 {
                return Err(DinoError::Batch {
                    what,
                    found: size,
                    expected: format!("the first axis must be a multiple of {views}"),
                });
            }
            size.splice(0..1, [views, size[0] / views]);
            Ok(t.view(size.as_slice()))
        };
        // Groups lie side by side along the image axis; this rank may hold parts of the first and the last it touches.
        let start = share.touched().start * share.group_size();
        let join = |what: &'static str, views: i64| -> Result<Tensor, DinoError> {
            let parts = share.touched().map(|group| part(group, what, views));
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            if let Some(odd) = parts.iter().find(|t| t.size() != parts[0].size()) {
                return Err(DinoError::Batch {
                    what,
                    found: odd.size(),
                    expected: format!("loss groups are equal, and the first has {:?}", parts[0].size()),
                });
            }
            if parts[0].size()[1] != share.group_size() {
                return Err(DinoError::Batch {
                    what,
                    found: parts[0].size(),
                    expected: format!("a loss group of this case has {} images", share.group_size()),
                });
            }
            Ok(Tensor::cat(&parts, 1).narrow(1, share.first - start, share.images).contiguous())
        };
        Ok(CropBatch {
            global: join("global_crops", 2)?.to_device(state.device()),
            local: uses_local
                .then(|| join("local_crops", loss.n_local))
                .transpose()?
                .map(|t| t.to_device(state.device())),
            masks: bools(&join("masks", 2)?),
            koleo_exclusion: None,
        })
    }
}

/// The state that the weights describe.
pub(super) fn state(config: &TrainConfig, case: &Case, weights: &File, device: Device) -> Result<State, DinoError> {
    let architecture = architecture(config, weights)?;
    let mut student = Vec::new();
    let mut teacher = Vec::new();
    let mut rest = Vec::new();
    for (name, t) in &weights.entries {
        let t = t.shallow_clone();
        if let Some(name) = name.strip_prefix("student.") {
            student.push((name.to_owned(), t));
        } else if let Some(name) = name.strip_prefix("teacher.") {
            teacher.push((name.to_owned(), t));
        } else {
            rest.push((name.clone(), t));
        }
    }
    let declared: Vec<(String, Vec<i64>)> = architecture.declare().into_iter().map(|d| (d.name, d.shape)).collect();
    check(&format!("the student in {}", weights.what), &declared, &student)?;
    check(&format!("the teacher in {}", weights.what), &declared, &teacher)?;
    let student = Parameters::new(student);
    let teacher = Parameters::new(teacher);
    let settings = Settings::of(config);
    let mut state = State::from_parts(architecture, settings, device, &student, &teacher)?;

    // What is optional stands over the zeros of the new state.
    let centered = config.loss.centering == Centering::MovingAverage;
    let mut whole = state.tensors();
    let unexpected = overlay(&mut whole, rest, centered);
    if !unexpected.is_empty() {
        let (missing, misshapen) = (Vec::new(), Vec::new());
        return Err(DinoError::Tensors { what: weights.what.clone(), missing, unexpected, misshapen });
    }
    for (name, t) in &mut whole {
        if name == "adam.steps" {
            *t = Tensor::from_slice(&[case.adam_steps_done as i64]);
        }
    }
    state.load(&whole, &weights.what)?;
    Ok(state)
}

/// Puts `tensors` in the places of those of the same name in `whole`; returns the names that have no place.
fn overlay(whole: &mut Vec<(String, Tensor)>, tensors: Vec<(String, Tensor)>, centered: bool) -> Vec<String> {
    let mut unexpected = Vec::new();
    for (name, t) in tensors {
        match whole.iter_mut().find(|(n, _)| *n == name) {
            Some((_, slot)) if name != "adam.steps" => *slot = t,
            _ if name.starts_with("center_pending.") && centered => whole.push((name, t)),
            // A centre that this centering does not use is no mistake.
            _ if name.starts_with("center") && !centered => {}
            _ => unexpected.push(name),
        }
    }
    unexpected
}

/// Sizes that the settings leave to the tensors.
fn architecture(config: &TrainConfig, weights: &File) -> Result<Architecture, DinoError> {
    let block = "student.backbone.blocks.0.mlp";
    let feed = match config.model.ffn {
        Ffn::Mlp => Feed::Mlp { hidden: weights.size(&format!("{block}.fc1.weight"), 0)? },
        Ffn::Swiglu => Feed::SwiGlu { hidden: weights.size(&format!("{block}.w12.weight"), 0)? / 2 },
    };
    let positions = weights.size("student.backbone.pos_embed", 1)? - 1;
    let head = |name: &str| -> Result<head::HeadShape, DinoError> {
        let at = |part: &str| weights.size(&format!("student.{name}.{part}"), 0);
        Ok(head::HeadShape {
            dim: config.model.dim,
            hidden: at("mlp.0.weight")?,
            bottleneck: at("mlp.4.weight")?,
            prototypes: at("last_layer.weight_g")?,
        })
    };
    Ok(Architecture {
        backbone: backbone::BackboneShape {
            grid: (positions.max(0) as f64).sqrt().round() as i64,
            feed,
            ..backbone::BackboneShape::of(config)
        },
        head: head("dino_head")?,
        ibot_head: config.head.separate.then(|| head("ibot_head")).transpose()?,
    })
}
