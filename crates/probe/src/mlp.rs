//! A small non-linear probe: one hidden layer of [`HIDDEN`] tanh units on standardised features, softmax, cross-entropy.
//!
//! It says how much a linear probe leaves unused. scikit-learn's objective (`MLPClassifier`, `alpha` = [`PENALTY`]): the mean
//! cross-entropy plus `alpha / 2n` times the squared weights, intercepts free; initial weights are Glorot-uniform from a fixed seed, so
//! the same rows give the same network for any number of threads.
//!
//! **When training ends.** L-BFGS runs in stages up to the steps of [`STEPS`], each stage with a fresh memory. On the training rows without
//! one of five group folds (`GroupKFold`'s rule, the first fold) a network is trained to the last stage, and the stage after which it
//! predicts most held-out rows right, the earliest of equals, ends the training of the network that counts, which sees all training
//! rows. Where the rows allow no such choice ([`STEPS_WITHOUT_CHOICE`]), nothing is held out.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;
use run_spec::seed::stream;

use crate::standardised::{Scaling, group_folds};
use crate::{Features, ProbeError, lbfgs, logistic};

pub use results::measures::settings::{MLP_HIDDEN as HIDDEN, MLP_PENALTY as PENALTY, MLP_STEPS as STEPS};

/// Steps where the training rows allow no choice: all of one group, or a single class without the held-out groups.
pub const STEPS_WITHOUT_CHOICE: usize = 20;

/// Folds by group, of which one is held out to choose the steps.
const FOLDS: usize = 5;

/// Rows in a block: the unit of parallel work, and the reason why threads change nothing.
const BLOCK: usize = 512;

/// The weights of a network, `[hidden · (d + 1) + classes · (hidden + 1)]`: first layer `[hidden, d]`, its intercepts, second layer
/// `[classes, hidden]`, its intercepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    dim: usize,
    hidden: usize,
    classes: usize,
    parameters: Vec<f64>,
}

/// The parts of a network.
struct Layers<'a> {
    first: ArrayView2<'a, f64>,
    first_intercepts: ArrayView1<'a, f64>,
    second: ArrayView2<'a, f64>,
    second_intercepts: ArrayView1<'a, f64>,
}

impl Network {
    /// A network with the given parameters.
    ///
    /// # Errors
    /// [`ProbeError::Mismatch`] for another number of parameters.
    pub fn new((dim, hidden, classes): (usize, usize, usize), parameters: Vec<f64>) -> Result<Self, ProbeError> {
        let expected = hidden * (dim + 1) + classes * (hidden + 1);
        if parameters.len() != expected {
            return Err(ProbeError::Mismatch { what: "parameters", expected, found: parameters.len() });
        }
        Ok(Self { dim, hidden, classes, parameters })
    }

    /// Glorot-uniform weights and intercepts, as scikit-learn draws them, from a fixed seed.
    pub fn drawn(dim: usize, hidden: usize, classes: usize) -> Self {
        let mut draws = stream(0, "probe/mlp", &[dim as u64, hidden as u64, classes as u64]);
        let mut parameters = Vec::new();
        for (from, to) in [(dim, hidden), (hidden, classes)] {
            let bound = (6.0 / (from + to) as f64).sqrt();
            parameters.extend((0..to * (from + 1)).map(|_| draws.uniform(-bound, bound)));
        }
        Self { dim, hidden, classes, parameters }
    }

    fn layers<'a>(&self, parameters: &'a [f64]) -> Layers<'a> {
        let (d, h, k) = (self.dim, self.hidden, self.classes);
        let (first, rest) = parameters.split_at(h * d);
        let (first_intercepts, rest) = rest.split_at(h);
        let (second, second_intercepts) = rest.split_at(k * h);
        Layers {
            first: ArrayView2::from_shape((h, d), first).expect("h · d weights"),
            first_intercepts: ArrayView1::from(first_intercepts),
            second: ArrayView2::from_shape((k, h), second).expect("k · h weights"),
            second_intercepts: ArrayView1::from(second_intercepts),
        }
    }

    /// Trains on standardised rows `x` `[n, d]` with classes `targets` by at most `steps` of L-BFGS. Returns the objective.
    pub fn train(&mut self, x: ArrayView2<'_, f64>, targets: &[usize], steps: usize) -> f64 {
        let tolerances =
            lbfgs::Options { gradient_tol: 1e-5, objective_tol: 1e-12, max_steps: steps, max_line_search: 50 };
        let mut parameters = std::mem::take(&mut self.parameters);
        let outcome = lbfgs::minimise(&mut parameters, &tolerances, |p, g| self.objective((x, targets), p, g));
        self.parameters = parameters;
        outcome.objective
    }

    /// The objective on standardised rows `x` `[n, d]` with classes `targets`.
    pub fn loss(&self, x: ArrayView2<'_, f64>, targets: &[usize]) -> f64 {
        self.objective((x, targets), &self.parameters, &mut vec![0.0; self.parameters.len()])
    }

    /// The objective at `parameters`; fills the gradient.
    fn objective(
        &self,
        (x, targets): (ArrayView2<'_, f64>, &[usize]),
        parameters: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let (layers, n) = (self.layers(parameters), targets.len() as f64);
        let starts: Vec<usize> = (0..targets.len()).step_by(BLOCK).collect();
        let of_block = |&start: &usize| {
            let end = (start + BLOCK).min(targets.len());
            self.block(&layers, x.slice(s![start..end, ..]), &targets[start..end])
        };
        let blocks: Vec<(f64, Vec<f64>)> = starts.par_iter().map(of_block).collect();
        gradient.fill(0.0);
        let mut loss = 0.0;
        for (of_block, part) in blocks {
            loss += of_block;
            gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part / n);
        }
        let (d, h, k) = (self.dim, self.hidden, self.classes);
        let (first, second) = (0..h * d, h * (d + 1)..h * (d + 1) + k * h);
        let mut squares = 0.0;
        for i in first.chain(second) {
            squares += parameters[i] * parameters[i];
            gradient[i] += PENALTY / n * parameters[i];
        }
        loss / n + 0.5 * PENALTY / n * squares
    }

    /// Summed cross-entropy of a block of rows, and its gradient.
    fn block(&self, layers: &Layers<'_>, x: ArrayView2<'_, f64>, targets: &[usize]) -> (f64, Vec<f64>) {
        let hidden = layers.hidden(x);
        let mut p = logistic::probabilities(layers.logits(&hidden));
        let mut loss = 0.0;
        for (mut row, &target) in p.rows_mut().into_iter().zip(targets) {
            loss -= row[target].max(f64::MIN_POSITIVE).ln();
            row[target] -= 1.0;
        }
        let back = p.dot(&layers.second) * hidden.mapv(|a| 1.0 - a * a);
        let mut gradient = Vec::with_capacity(self.parameters.len().max(self.hidden * self.dim));
        gradient.extend(back.t().dot(&x).iter());
        gradient.extend(back.sum_axis(Axis(0)).iter());
        gradient.extend(p.t().dot(&hidden).iter());
        gradient.extend(p.sum_axis(Axis(0)).iter());
        (loss, gradient)
    }

    /// Probabilities `[n, classes]` of standardised rows `[n, d]`.
    pub fn probabilities(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let layers = self.layers(&self.parameters);
        logistic::probabilities(layers.logits(&layers.hidden(x)))
    }
}

impl Layers<'_> {
    fn hidden(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        (x.dot(&self.first.t()) + self.first_intercepts).mapv_into(f64::tanh)
    }

    fn logits(&self, hidden: &Array2<f64>) -> Array2<f64> {
        hidden.dot(&self.second.t()) + self.second_intercepts
    }
}

/// A trained network, with what it needs to predict from features as they are.
#[derive(Debug, Clone)]
pub struct Fitted {
    network: Network,
    scaling: Scaling,
    classes: Vec<u32>,
    steps: usize,
}

impl Fitted {
    /// Steps after which training ended.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The class of each row, and the probability of each of `classes` classes, `[rows, classes]` row-major.
    ///
    /// # Errors
    /// [`ProbeError::Mismatch`] for fewer classes than were trained on.
    pub fn predict_with_probabilities(
        &self,
        features: &Features,
        classes: usize,
    ) -> Result<(Vec<u32>, Vec<f32>), ProbeError> {
        let p = self.network.probabilities(self.scaling.apply(features).view());
        let predicted = p.rows().into_iter().map(|row| self.classes[logistic::first_largest(row)]).collect();
        Ok((predicted, logistic::over_all_classes(&p, &self.classes, classes)?))
    }
}

/// Trains a network on `train` with one class per row; `groups` serve the choice of the steps only.
///
/// # Errors
/// [`ProbeError::Mismatch`] unless there is one label and one group per row, [`ProbeError::OneClass`] for a single class.
pub fn fit(train: &Features, labels: &[u32], groups: &[usize]) -> Result<Fitted, ProbeError> {
    if groups.len() != train.rows() {
        return Err(ProbeError::Mismatch { what: "groups", expected: train.rows(), found: groups.len() });
    }
    let (classes, targets) = logistic::targets(train, labels)?;
    let steps = choose(train, labels, groups)?;
    let scaling = Scaling::of(train);
    let x = scaling.apply(train);
    let mut network = Network::drawn(x.ncols(), HIDDEN, classes.len());
    for stage in stages(steps) {
        network.train(x.view(), &targets, stage);
    }
    Ok(Fitted { network, scaling, classes, steps })
}

/// Steps of each stage, up to `last` in all.
fn stages(last: usize) -> impl Iterator<Item = usize> {
    let ends = STEPS.into_iter().take_while(move |&end| end <= last);
    ends.scan(0, |before, end| Some(end - std::mem::replace(before, end)))
}

/// The steps after which most held-out rows are predicted right.
fn choose(train: &Features, labels: &[u32], groups: &[usize]) -> Result<usize, ProbeError> {
    let folds = group_folds(groups, FOLDS);
    let (held, kept): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&row| folds[row] == 0);
    let of = |rows: &[usize]| rows.iter().map(|&row| labels[row]).collect::<Vec<u32>>();
    let (kept_labels, held_labels) = (of(&kept), of(&held));
    if kept_labels.iter().all(|label| Some(label) == kept_labels.first()) {
        return Ok(STEPS_WITHOUT_CHOICE);
    }
    let kept = train.select(&kept);
    let (classes, targets) = logistic::targets(&kept, &kept_labels)?;
    let scaling = Scaling::of(&kept);
    let (x, held) = (scaling.apply(&kept), scaling.apply(&train.select(&held)));
    let mut network = Network::drawn(x.ncols(), HIDDEN, classes.len());
    let (mut best, mut most) = (STEPS[0], None);
    for (stage, end) in stages(STEPS[STEPS.len() - 1]).zip(STEPS) {
        network.train(x.view(), &targets, stage);
        let p = network.probabilities(held.view());
        let predicted = p.rows().into_iter().map(|row| classes[logistic::first_largest(row)]);
        let right = predicted.zip(&held_labels).filter(|(p, l)| p == *l).count();
        if most.is_none_or(|most| right > most) {
            (best, most) = (end, Some(right));
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes that no line separates: the sign of the product of two features.
    fn crossed(rows: usize) -> (Features, Vec<u32>, Vec<usize>) {
        let mut draws = stream(9, "test", &[]);
        let data: Vec<f32> = (0..rows * 4).map(|_| draws.normal() as f32).collect();
        let labels = data.chunks_exact(4).map(|row| u32::from(row[0] * row[1] > 0.0)).collect();
        (Features::new(4, data).unwrap(), labels, (0..rows).map(|row| row / 10).collect())
    }

    #[test]
    fn what_no_line_separates_is_learnt() {
        let (features, labels, groups) = crossed(600);
        let fitted = fit(&features, &labels, &groups).unwrap();
        let (predicted, probabilities) = fitted.predict_with_probabilities(&features, 3).unwrap();
        let right = predicted.iter().zip(&labels).filter(|(p, l)| p == l).count();
        assert!(right > 540, "{right} of 600 after {} steps", fitted.steps());
        assert!(probabilities.chunks_exact(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5 && row[2] == 0.0));
        let again = fit(&features, &labels, &groups).unwrap();
        assert_eq!(again.network, fitted.network);
    }

    #[test]
    fn the_gradient_is_that_of_the_objective() {
        let (features, labels, _) = crossed(700);
        let x = Scaling::of(&features).apply(&features);
        let targets: Vec<usize> = labels.iter().map(|&l| l as usize).collect();
        let network = Network::drawn(4, 3, 2);
        let (p, mut gradient) = (network.parameters.clone(), [0.0; 23]);
        network.objective((x.view(), &targets), &p, &mut gradient);
        for i in 0..p.len() {
            let at = |step: f64| {
                let mut moved = p.clone();
                moved[i] += step;
                network.objective((x.view(), &targets), &moved, &mut [0.0; 23])
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-8, "parameter {i}: {slope} {}", gradient[i]);
        }
    }

    #[test]
    fn one_group_leaves_no_choice_and_stages_add_up() {
        let (features, labels, _) = crossed(60);
        assert_eq!(fit(&features, &labels, &[0; 60]).unwrap().steps(), STEPS_WITHOUT_CHOICE);
        assert_eq!(stages(80).collect::<Vec<_>>(), [10, 10, 20, 40]);
        assert_eq!(stages(20).sum::<usize>(), 20);
    }
}
