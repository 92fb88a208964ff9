//! Limited-memory BFGS in `f64`: m = 10 pairs, Moré and Thuente's line search (strong Wolfe).
//!
//! It follows the unconstrained path of L-BFGS-B 3.0 as SciPy runs it for scikit-learn (Byrd, Lu, Nocedal, Zhu 1995;
//! Moré, Thuente 1994: `dcsrch` with ftol 1e-3, gtol 0.9, xtol 0.1): same first step, same skipped updates, same
//! restarts, same tests of convergence, so that an early stop by `tol` stops where the reference does.

/// When the minimisation ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Stop when no component of the gradient exceeds this.
    pub gradient_tol: f64,
    /// Stop when a step lowers the objective by less than this share of it.
    pub objective_tol: f64,
    /// Give up after this many steps.
    pub max_steps: usize,
    /// Objective evaluations allowed to one line search.
    pub max_line_search: usize,
}

impl Options {
    /// Whether to stop at this `gradient` after `steps`, the last of which led the objective from `old` to `new`.
    fn ended(&self, gradient: &[f64], (old, new): (f64, f64), steps: usize) -> Option<Stop> {
        if largest(gradient) <= self.gradient_tol {
            Some(Stop::Gradient)
        } else if old - new <= self.objective_tol * old.abs().max(new.abs()).max(1.0) {
            Some(Stop::Objective)
        } else {
            (steps >= self.max_steps).then_some(Stop::Steps)
        }
    }
}

/// Why the optimiser stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The gradient is within its tolerance.
    Gradient,
    /// The objective no longer falls.
    Objective,
    /// The steps are used up.
    Steps,
    /// No step along the gradient lowers the objective: it is not a number there, or the gradient is wrong.
    LineSearch,
}

impl Stop {
    /// True where the optimiser found what it was asked for.
    pub fn converged(self) -> bool {
        matches!(self, Self::Gradient | Self::Objective)
    }
}

/// What the optimiser did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Objective at the end.
    pub objective: f64,
    /// Number of steps taken.
    pub steps: usize,
    /// Evaluations of the objective.
    pub evaluations: usize,
    /// The condition that ended the minimisation.
    pub stop: Stop,
}

/// Pairs of steps and gradient changes that are remembered.
const MEMORY: usize = 10;

/// Minimises `objective` from `x`, which holds the best point found at the end.
///
/// `objective(x, gradient)` returns the value at `x` and fills the gradient.
pub fn minimise(x: &mut [f64], options: &Options, mut objective: impl FnMut(&[f64], &mut [f64]) -> f64) -> Outcome {
    let mut gradient = vec![0.0; x.len()];
    let mut value = objective(x, &mut gradient);
    let mut memory = Memory::default();
    let (mut steps, mut evaluations) = (0, 1);
    let done = |value, steps, evaluations, stop| Outcome { objective: value, steps, evaluations, stop };
    if largest(&gradient) <= options.gradient_tol {
        return done(value, steps, evaluations, Stop::Gradient);
    }
    let (mut trial, mut trial_gradient) = (x.to_vec(), gradient.clone());
    loop {
        let direction = memory.direction(&gradient);
        let slope = dot(&gradient, &direction);
        let first = if steps == 0 { 1.0 / dot(&direction, &direction).sqrt() } else { 1.0 };
        let mut search = LineSearch::new(value, slope, first);
        let mut found = None;
        if slope < 0.0 {
            for _ in 0..options.max_line_search {
                for ((t, &x), &d) in trial.iter_mut().zip(&*x).zip(&direction) {
                    *t = x + search.step * d;
                }
                let new = objective(&trial, &mut trial_gradient);
                evaluations += 1;
                if search.accepts(new, dot(&trial_gradient, &direction)) {
                    found = Some(new);
                    break;
                }
            }
        }
        let Some(new) = found else {
            if memory.is_empty() {
                return done(value, steps, evaluations, Stop::LineSearch);
            }
            // The curvature remembered misleads: start again along the gradient.
            memory = Memory::default();
            continue;
        };
        steps += 1;
        let old = value;
        value = new;
        let s: Vec<f64> = direction.iter().map(|d| search.step * d).collect();
        let y: Vec<f64> = trial_gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        x.copy_from_slice(&trial);
        gradient.copy_from_slice(&trial_gradient);
        if let Some(stop) = options.ended(&gradient, (old, value), steps) {
            return done(value, steps, evaluations, stop);
        }
        memory.learn(s, y, -slope * search.step);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(gradient: &[f64]) -> f64 {
    // NaN must not look like convergence.
    gradient.iter().fold(0.0, |m, g| if g.is_nan() { f64::INFINITY } else { g.abs().max(m) })
}

/// The last steps `s` and changes of gradient `y`, oldest first.
#[derive(Default)]
struct Memory {
    pairs: std::collections::VecDeque<(Vec<f64>, Vec<f64>, f64)>,
}

impl Memory {
    fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Remembers a step unless its curvature is lost in rounding. `fall` is how far the gradient said it would fall.
    fn learn(&mut self, s: Vec<f64>, y: Vec<f64>, fall: f64) {
        let curvature = dot(&s, &y);
        if curvature <= f64::EPSILON * fall {
            return;
        }
        if self.pairs.len() == MEMORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back((s, y, 1.0 / curvature));
    }

    /// Minus the approximate inverse Hessian times `gradient` (two-loop recursion).
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for (s, y, rho) in self.pairs.iter().rev() {
            let alpha = rho * dot(s, &q);
            q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
            alphas.push(alpha);
        }
        if let Some((_, y, rho)) = self.pairs.back() {
            let scale = 1.0 / (rho * dot(y, y));
            q.iter_mut().for_each(|q| *q *= scale);
        }
        for ((s, y, rho), alpha) in self.pairs.iter().zip(alphas.iter().rev()) {
            let beta = rho * dot(y, &q);
            q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
        }
        q
    }
}

const FTOL: f64 = 1e-3;
const GTOL: f64 = 0.9;
const XTOL: f64 = 0.1;
const STEP_MAX: f64 = 1e10;

/// A point of the line search: step, value, slope.
#[derive(Clone, Copy)]
struct Point {
    step: f64,
    value: f64,
    slope: f64,
}

/// Moré and Thuente's search (MINPACK-2 `dcsrch`): an interval that holds a strong-Wolfe step, narrowed by `dcstep`.
struct LineSearch {
    /// The step to try next.
    step: f64,
    start: Point,
    /// Best point so far, and the other end of the interval.
    best: Point,
    other: Point,
    bracketed: bool,
    /// Whether the search still works on the modified function of its first stage.
    first_stage: bool,
    width: f64,
    width_before: f64,
    /// The next step must lie between these.
    lo: f64,
    hi: f64,
}

impl LineSearch {
    fn new(value: f64, slope: f64, step: f64) -> Self {
        let start = Point { step: 0.0, value, slope };
        let (width, width_before) = (STEP_MAX, 2.0 * STEP_MAX);
        let hi = step + 4.0 * step;
        Self {
            step,
            start,
            best: start,
            other: start,
            bracketed: false,
            first_stage: true,
            width,
            width_before,
            lo: 0.0,
            hi,
        }
    }

    /// Takes the value and slope at [`Self::step`]; true if that step will do, else the next one is set.
    fn accepts(&mut self, value: f64, slope: f64) -> bool {
        let test = FTOL * self.start.slope;
        let sufficient = self.start.value + self.step * test;
        if self.first_stage && value <= sufficient && slope >= 0.0 {
            self.first_stage = false;
        }
        // Rounding, a spent interval or an end of the range: the best step there is must do (warnings of `dcsrch`).
        let outside = self.step <= self.lo || self.step >= self.hi;
        let spent = self.bracketed && (outside || self.hi - self.lo <= XTOL * self.hi);
        let at_max = self.step == STEP_MAX && value <= sufficient && slope <= test;
        let at_min = self.step == 0.0 && (value > sufficient || slope >= test);
        let wolfe = value <= sufficient && slope.abs() <= GTOL * -self.start.slope;
        if spent || at_max || at_min || wolfe {
            return true;
        }
        let tried = Point { step: self.step, value, slope };
        if self.first_stage && value <= self.best.value && value > sufficient {
            // Work on f(step) - f(0) - ftol·f'(0)·step, whose minimum is a better guess while f lies above the test line.
            let lower = |p: Point| Point { value: p.value - p.step * test, slope: p.slope - test, ..p };
            let raise = |p: Point| Point { value: p.value + p.step * test, slope: p.slope + test, ..p };
            let (mut best, mut other) = (lower(self.best), lower(self.other));
            self.step = self.narrow(&mut best, &mut other, lower(tried));
            (self.best, self.other) = (raise(best), raise(other));
        } else {
            let (mut best, mut other) = (self.best, self.other);
            self.step = self.narrow(&mut best, &mut other, tried);
            (self.best, self.other) = (best, other);
        }
        self.bound();
        false
    }

    /// Bisects a bracket that shrinks too slowly, and sets the range of the next step.
    fn bound(&mut self) {
        if self.bracketed {
            let width = (self.other.step - self.best.step).abs();
            if width >= 0.66 * self.width_before {
                self.step = self.best.step + 0.5 * (self.other.step - self.best.step);
            }
            (self.width_before, self.width) = (self.width, width);
            self.lo = self.best.step.min(self.other.step);
            self.hi = self.best.step.max(self.other.step);
        } else {
            self.lo = self.step + 1.1 * (self.step - self.best.step);
            self.hi = self.step + 4.0 * (self.step - self.best.step);
        }
        self.step = self.step.clamp(0.0, STEP_MAX);
        let spent =
            self.bracketed && (self.step <= self.lo || self.step >= self.hi || self.hi - self.lo <= XTOL * self.hi);
        if spent {
            self.step = self.best.step;
        }
    }

    /// `dcstep`: a safeguarded cubic or quadratic step, and the interval with the tried point put in.
    fn narrow(&mut self, best: &mut Point, other: &mut Point, tried: Point) -> f64 {
        let turns = tried.slope * (best.slope / best.slope.abs()) < 0.0;
        let next = if tried.value > best.value {
            self.bracketed = true;
            back(*best, tried)
        } else if turns {
            self.bracketed = true;
            between(*best, tried)
        } else if tried.slope.abs() < best.slope.abs() {
            self.flattening(*best, *other, tried)
        } else if self.bracketed {
            let cubic = Cubic::new(*other, tried);
            let mut gamma = cubic.gamma();
            if tried.step > other.step {
                gamma = -gamma;
            }
            let r = (gamma - tried.slope + cubic.theta) / (gamma - tried.slope + gamma + other.slope);
            tried.step + r * (other.step - tried.step)
        } else if tried.step > best.step {
            self.hi
        } else {
            self.lo
        };
        if tried.value > best.value {
            *other = tried;
        } else {
            if turns {
                *other = *best;
            }
            *best = tried;
        }
        next
    }

    /// The case of a lower value, a slope of the same sign that flattens: the minimum may lie beyond.
    fn flattening(&self, best: Point, other: Point, tried: Point) -> f64 {
        let cubic = Cubic::new(best, tried);
        // The cubic may have no minimum; then gamma is 0 and the step goes to the end of the range.
        let mut gamma = cubic.gamma();
        if tried.step > best.step {
            gamma = -gamma;
        }
        let r = (gamma - tried.slope + cubic.theta) / (gamma + (best.slope - tried.slope) + gamma);
        let cubic = if r < 0.0 && gamma != 0.0 {
            tried.step + r * (best.step - tried.step)
        } else if tried.step > best.step {
            self.hi
        } else {
            self.lo
        };
        let quadratic = tried.step + tried.slope / (tried.slope - best.slope) * (best.step - tried.step);
        let cubic_is_nearer = (cubic - tried.step).abs() < (quadratic - tried.step).abs();
        if self.bracketed {
            let next = if cubic_is_nearer { cubic } else { quadratic };
            let limit = tried.step + 0.66 * (other.step - tried.step);
            if tried.step > best.step { next.min(limit) } else { next.max(limit) }
        } else {
            let next = if cubic_is_nearer { quadratic } else { cubic };
            next.min(self.hi).max(self.lo)
        }
    }
}

/// The case of a higher value: the minimum lies between.
fn back(best: Point, tried: Point) -> f64 {
    let cubic = Cubic::new(best, tried);
    let mut gamma = cubic.gamma();
    if tried.step < best.step {
        gamma = -gamma;
    }
    let r = (gamma - best.slope + cubic.theta) / (gamma - best.slope + gamma + tried.slope);
    let cubic = best.step + r * (tried.step - best.step);
    let secant = (best.value - tried.value) / (tried.step - best.step) + best.slope;
    let quadratic = best.step + best.slope / secant / 2.0 * (tried.step - best.step);
    if (cubic - best.step).abs() < (quadratic - best.step).abs() { cubic } else { cubic + (quadratic - cubic) / 2.0 }
}

/// The case of a slope that turns: the minimum lies between.
fn between(best: Point, tried: Point) -> f64 {
    let cubic = Cubic::new(best, tried);
    let mut gamma = cubic.gamma();
    if tried.step > best.step {
        gamma = -gamma;
    }
    let r = (gamma - tried.slope + cubic.theta) / (gamma - tried.slope + gamma + best.slope);
    let cubic = tried.step + r * (best.step - tried.step);
    let quadratic = tried.step + tried.slope / (tried.slope - best.slope) * (best.step - tried.step);
    if (cubic - tried.step).abs() > (quadratic - tried.step).abs() { cubic } else { quadratic }
}

/// The cubic through two points with their slopes.
struct Cubic {
    theta: f64,
    scale: f64,
    product: f64,
}

impl Cubic {
    fn new(a: Point, b: Point) -> Self {
        let theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope;
        let scale = theta.abs().max(a.slope.abs()).max(b.slope.abs());
        Self { theta, scale, product: (a.slope / scale) * (b.slope / scale) }
    }

    fn gamma(&self) -> f64 {
        self.scale * ((self.theta / self.scale).powi(2) - self.product).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Options = Options { gradient_tol: 1e-9, objective_tol: 0.0, max_steps: 1000, max_line_search: 50 };

    #[test]
    fn rosenbrock_is_minimised() {
        let mut x = [-1.2, 1.0];
        let outcome = minimise(&mut x, &TIGHT, |x, g| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        });
        assert_eq!(outcome.stop, Stop::Gradient);
        assert!((x[0] - 1.0).abs() < 1e-7 && (x[1] - 1.0).abs() < 1e-7, "{x:?}");
        // SciPy 1.17.1 takes 38 steps and 46 evaluations.
        assert!(outcome.steps.abs_diff(38) <= 2 && outcome.evaluations.abs_diff(46) <= 3, "{outcome:?}");
    }

    #[test]
    fn a_badly_scaled_quadratic_converges() {
        let mut x = vec![1.0; 50];
        let outcome = minimise(&mut x, &Options { gradient_tol: 1e-5, ..TIGHT }, |x, g| {
            let scale = |i: usize| 10f64.powf(4.0 * i as f64 / 49.0);
            g.iter_mut().zip(x).enumerate().for_each(|(i, (g, x))| *g = scale(i) * x);
            dot(g, x) / 2.0
        });
        // SciPy 1.17.1 takes 700 steps and 740 evaluations.
        assert!(outcome.stop == Stop::Gradient && outcome.steps.abs_diff(700) < 60, "{outcome:?}");
        assert!(outcome.evaluations.abs_diff(740) < 60, "{outcome:?}");
    }

    #[test]
    fn an_objective_that_is_no_number_keeps_the_start() {
        let mut x = [2.0];
        let outcome = minimise(&mut x, &TIGHT, |x, g| {
            g[0] = 1.0;
            if x[0] == 2.0 { 0.0 } else { f64::NAN }
        });
        assert_eq!((outcome.stop, outcome.steps, x), (Stop::LineSearch, 0, [2.0]));
        assert!(!outcome.stop.converged());
    }

    #[test]
    fn steps_run_out_where_they_are_told_to() {
        let mut x = [-1.2];
        let outcome = minimise(&mut x, &Options { max_steps: 1, ..TIGHT }, |x, g| {
            g[0] = 4.0 * x[0].powi(3);
            x[0].powi(4)
        });
        assert_eq!((outcome.stop, outcome.steps), (Stop::Steps, 1));
    }
}
