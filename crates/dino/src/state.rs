//! All that training carries from step to step: student, teacher, moments, centres. Nothing else is needed to go on.

use crate::{
    Architecture, DinoError, Network,
    centering::Center,
    init,
    optim::Adam,
    params::{Parameters, check},
    weights::{self, Adopted},
};
use collective::{Collective, Reducer, max_};
use run_spec::config::{Loss, Optim, Precision, TrainConfig, Wire};
use run_spec::plan::Place;
use tch::{Device, Kind, Tensor};
use torch_shim::optimise;

/// The part of a configuration that a step reads, apart from the architecture.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Loss terms and centering.
    pub loss: Loss,
    /// How AdamW and the clipping of gradients go.
    pub optim: Optim,
    /// Images of a step over all ranks.
    pub batch_size: u64,
    /// Equal parts of the global batch (see `docs/adr/0004-loss-groups.md`).
    pub loss_groups: u64,
    /// Arithmetic of forward and backward.
    pub precision: Precision,
    /// Blocks keep their inputs only, and run again in backward.
    pub activation_checkpointing: bool,
    /// Parts in which a rank's images go through the networks, one after the other.
    pub gradient_accumulation: u64,
    /// Each rank holds and updates its share of the moments.
    pub zero1: bool,
    /// The dtype in which gradients travel between ranks.
    pub wire: Wire,
    /// Seed of stochastic depth.
    pub seed: u64,
}

impl Settings {
    /// The settings that a configuration asks for.
    pub fn of(config: &TrainConfig) -> Self {
        Self {
            loss: config.loss.clone(),
            optim: config.optim.clone(),
            batch_size: config.train.batch_size,
            loss_groups: config.train.loss_groups,
            precision: config.train.precision,
            activation_checkpointing: config.train.activation_checkpointing,
            gradient_accumulation: config.train.gradient_accumulation,
            zero1: config.train.zero1,
            wire: config.train.wire,
            seed: config.seed,
        }
    }

    /// The dtype of weights, moments and losses.
    pub fn kind(&self) -> Kind {
        match self.precision {
            Precision::F64 => Kind::Double,
            _ => Kind::Float,
        }
    }

    /// The dtype that autocast lowers matrix products to.
    pub(crate) fn half(&self) -> Option<Kind> {
        match self.precision {
            Precision::Bf16 => Some(Kind::BFloat16),
            Precision::F16 => Some(Kind::Half),
            _ => None,
        }
    }
}

/// The gradient scale of half precision (as `torch.amp.GradScaler`): halved when a gradient overflows, doubled after
/// 2000 steps without.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scaler {
    pub(crate) scale: f64,
    pub(crate) good_steps: u64,
}

impl Scaler {
    /// After a step that was taken.
    pub(crate) fn grown(self) -> Self {
        match self.good_steps + 1 {
            2000.. => Self { scale: self.scale * 2.0, good_steps: 0 },
            good_steps => Self { good_steps, ..self },
        }
    }
}

/// What the names of first and second moments begin with.
pub(crate) const MOMENTS: [&str; 2] = ["adam.m", "adam.v"];

/// The state of training. See [`State::step`] for what changes it.
///
/// ```
/// use collective::Solo;
/// use dino::{CropBatch, MaskPlan, State, masks};
/// use run_spec::{config::TrainConfig, schedule::Schedules};
/// use tch::{Device, Kind, Tensor};
///
/// let mut config = TrainConfig::default();
/// (config.model.dim, config.model.depth, config.model.heads) = (24, 1, 2);
/// (config.head.prototypes, config.head.hidden, config.head.bottleneck) = (32, 16, 8);
/// (config.crops.global_size, config.crops.local_size, config.train.batch_size) = (56, 28, 4);
///
/// let mut state = State::new(&config, Device::Cpu)?;
/// let share = state.share(0, 1)?; // rank 0 of 1 holds all four images
/// let plan = MaskPlan { config: &config.masks, seed: 1, step: 0, share, grid: config.grid() };
/// let crops = |n: i64, side: i64| Tensor::randn([n, 4, 3, side, side], (Kind::Float, Device::Cpu));
/// let local = (config.loss.n_local > 0).then(|| crops(config.loss.n_local, 28));
/// let batch = CropBatch { global: crops(2, 56), local, masks: masks::batch(&plan), koleo_exclusion: None };
/// let report = state.step(&batch, &Schedules::new(&config).at(0), &Solo::new())?;
/// assert!(report.losses.total.is_finite());
/// assert_eq!(state.steps(), 1);
/// # Ok::<(), dino::DinoError>(())
/// ```
#[derive(Debug)]
pub struct State {
    pub(crate) architecture: Architecture,
    pub(crate) settings: Settings,
    pub(crate) device: Device,
    pub(crate) student: Network,
    pub(crate) teacher: Network,
    pub(crate) adam: Adam,
    pub(crate) center_dino: Center,
    pub(crate) center_ibot: Center,
    pub(crate) scaler: Option<Scaler>,
    pub(crate) reducer: Reducer,
    /// Whether the last step that was queued is taken, `[]` f64 on the device: 1 or 0.
    pub(crate) gate: Option<Tensor>,
}

impl State {
    /// A new state of a world of one, as [`State::of_rank`].
    ///
    /// # Errors
    /// As [`State::of_rank`].
    pub fn new(config: &TrainConfig, device: Device) -> Result<Self, DinoError> {
        Self::of_rank(config, device, Place::SOLO)
    }

    /// A new state with random weights from `config.init_seed()`; the teacher starts equal to the student. With `train.zero1` it has the
    /// moments of the rank at `place` alone.
    ///
    /// # Errors
    /// A setting that this build does not compute.
    pub fn of_rank(config: &TrainConfig, device: Device, place: Place) -> Result<Self, DinoError> {
        let architecture = Architecture::of(config);
        let weights = Parameters::new(init::random(&architecture.declare(), config.init_seed()));
        Self::made(architecture, Settings::of(config), device, [&weights, &weights], place)
    }

    /// A state from given student and teacher weights; moments, of a world of one, and centres are zero.
    ///
    /// # Errors
    /// A parameter that is missing.
    pub fn from_parts(
        architecture: Architecture,
        settings: Settings,
        device: Device,
        student: &Parameters,
        teacher: &Parameters,
    ) -> Result<Self, DinoError> {
        Self::made(architecture, settings, device, [student, teacher], Place::SOLO)
    }

    fn made(
        architecture: Architecture,
        settings: Settings,
        device: Device,
        [student, teacher]: [&Parameters; 2],
        place: Place,
    ) -> Result<Self, DinoError> {
        let kind = settings.kind();
        let own = |params: &Parameters| params.to(device, kind).copies();
        let student = Network::new(&architecture, own(student).trainable())?;
        let teacher = Network::new(&architecture, own(teacher))?;
        let place = if settings.zero1 { place } else { Place::SOLO };
        let adam = Adam::new(&student.params, architecture.backbone.depth, &settings.optim, place);
        let center = |shape: &[i64]| Center { value: Tensor::zeros(shape, (kind, device)), pending: None };
        let scaler =
            (settings.half() == Some(Kind::Half)).then_some(Scaler { scale: settings.optim.loss_scale, good_steps: 0 });
        let leaves = student.params.tensors().iter().map(Tensor::shallow_clone).collect();
        let order = student.params.backward_order(architecture.backbone.depth);
        let reducer = Reducer::new(leaves, order).sent_as((settings.wire == Wire::Bf16).then_some(Kind::BFloat16));
        Ok(Self {
            architecture,
            scaler,
            reducer,
            gate: None,
            settings,
            device,
            student,
            teacher,
            adam,
            center_dino: center(&[1, architecture.head.prototypes]),
            center_ibot: center(&[1, 1, architecture.patch_head().prototypes]),
        })
    }

    /// Puts a released backbone, of the shape of this one, into student and teacher; see [`weights::adopt`]. Heads,
    /// moments and centres stay. The answer holds no tensors any more: only what was done.
    ///
    /// # Errors
    /// Tensors that do not fit; nothing is changed then.
    pub fn adopt_backbone(&mut self, tensors: Vec<(String, Tensor)>, what: &str) -> Result<Adopted, DinoError> {
        let mut adopted = weights::adopt(&self.architecture.backbone, tensors, what)?;
        for (name, t) in std::mem::take(&mut adopted.tensors) {
            let targets = [self.student.params.get(&name)?, self.teacher.params.get(&name)?];
            optimise::copy_(&targets, &[t.to_device(self.device), t.to_device(self.device)])?;
        }
        Ok(adopted)
    }

    /// Optimiser steps that this state has taken.
    pub fn steps(&self) -> u64 {
        self.adam.steps
    }

    /// Bytes of the moments that this rank holds, and of all.
    pub fn moment_bytes(&self) -> (u64, u64) {
        let size = self.settings.kind().elt_size_in_bytes() as u64;
        let (held, all) = self.adam.moments.counts();
        (held.unsigned_abs() * size, all.unsigned_abs() * size)
    }

    /// Where the tensors live.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Names and shapes of the networks.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// What a step reads of the configuration.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The network that is trained by gradients.
    pub fn student(&self) -> &Network {
        &self.student
    }

    /// The teacher, which is what training is for.
    pub fn teacher(&self) -> &Network {
        &self.teacher
    }

    /// Everything, each tensor of its own shape, sorted by name: `adam.m.*`, `adam.steps`, `adam.v.*`, `center.*`,
    /// `center_pending.*`, `student.*`,
    /// `teacher.*`, and `scaler` in half precision. Handles on the live memory, not copies: read them out before the next step.
    /// Moments that ranks share are not among them: see [`State::gathered`].
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut out = Vec::new();
        let mut add = |name: String, t: &Tensor| out.push((name, t.detach()));
        for (prefix, params) in [("student", &self.student.params), ("teacher", &self.teacher.params)] {
            for (name, t) in params.iter() {
                add(format!("{prefix}.{name}"), t);
            }
        }
        let moments = &self.adam.moments;
        // Those of a world of one are whole parameters.
        for held in moments.held().iter().filter(|_| !moments.are_shared()) {
            let (name, _) = self.student.params.at(held.piece.index);
            for (prefix, moment) in MOMENTS.iter().zip([&held.first, &held.second]) {
                add(format!("{prefix}.{name}"), moment);
            }
        }
        add("adam.steps".to_owned(), &Tensor::from_slice(&[self.adam.steps as i64]));
        if let Some(Scaler { scale, good_steps }) = self.scaler {
            add("scaler".to_owned(), &Tensor::from_slice(&[scale, good_steps as f64]));
        }
        if self.has_centers() {
            for (name, center) in self.centers() {
                add(format!("center.{name}"), &center.value);
                if let Some(pending) = &center.pending {
                    add(format!("center_pending.{name}"), pending);
                }
            }
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    }

    /// Takes over everything that [`State::tensors`] gave, in any order.
    ///
    /// # Errors
    /// Any difference in names or shapes, all listed; nothing is changed then.
    pub fn load(&mut self, tensors: &[(String, Tensor)], what: &str) -> Result<(), DinoError> {
        check(what, &self.declared(|name| tensors.iter().any(|(n, _)| n == name)), tensors)?;
        self.take_apart(tensors);
        Ok(())
    }

    /// Checks that every rank holds the same bits, shared moments apart, of which each rank has its own. They do so as long as sums have the same bits everywhere; a rank whose
    /// memory or arithmetic is at fault shows here.
    ///
    /// # Errors
    /// [`DinoError::Apart`] on every rank, and a lost peer.
    pub fn verify_equal(&self, peers: &dyn Collective) -> Result<(), DinoError> {
        if peers.world() == 1 {
            return Ok(());
        }
        let mut sum = 0_i64;
        for (_, t) in self.tensors() {
            let bits = match t.kind() {
                Kind::Double | Kind::Int64 => Kind::Int64,
                _ => Kind::Int,
            };
            let part = t.contiguous().view_dtype(bits).sum(Kind::Int64).int64_value(&[]);
            // Tensors that trade places differ too.
            sum = sum.wrapping_mul(31).wrapping_add(part);
        }
        let mut both = Tensor::from_slice(&[sum, sum.wrapping_neg()]).to_device(self.device);
        max_(peers, &mut both)?;
        if both.int64_value(&[0]) == sum && both.int64_value(&[1]) == sum.wrapping_neg() {
            return Ok(());
        }
        Err(DinoError::Apart { step: self.adam.steps })
    }

    pub(crate) fn has_centers(&self) -> bool {
        self.settings.loss.centering == run_spec::config::Centering::MovingAverage
    }

    pub(crate) fn centers(&self) -> [(&'static str, &Center); 2] {
        [("dino", &self.center_dino), ("ibot", &self.center_ibot)]
    }
}
