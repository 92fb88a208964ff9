//! The last layer and the cross-entropy after it, in one: logits against prototypes are made a block of rows at a time,
//! turned into their own gradient in place, and dropped.
//!
//! Shapes: R rows of width P (the bottleneck) against K prototypes. At the published K = 131072 the logits are by far the
//! largest tensors of a step, and written plainly they are made, copied and read a dozen times. Here no more than
//! 64 MiB of them exist at once, and the only passes over memory are three matrix products, a softmax and a
//! subtraction. The sum is linear in what comes after it, so the gradient is computed with the value:
//! `d/ds −Σ_k t_k · log_softmax(s)_k = softmax(s)·Σ_k t_k − t`.

use crate::centering::softmax_;
use tch::{Kind, Tensor, no_grad};

/// Most bytes of logits that exist at once, in f32: small enough to stay near the processor, large enough that reading
/// the K × P weights once a block does not count.
const BLOCK_BYTES: i64 = 64 << 20;

/// Sums of cross-entropies through one last layer, and the gradient of those sums.
#[derive(Debug)]
pub struct Projection {
    /// `[K, P]`, with a graph.
    weight: Tensor,
    /// The same without a graph, in the dtype of the matrix products.
    lowered: Tensor,
    /// `[K, P]`: gradient so far of what was summed.
    gradient: Tensor,
    /// The student's temperature, which divides its logits.
    temp: f64,
    /// Factor on gradients while they are in half precision; taken back at once.
    scale: f64,
}

/// One sum: its value, and a scalar whose gradient is the value's, with respect to what went into the last layer.
#[derive(Debug)]
pub struct Sum {
    /// The loss `[]`, without a graph.
    pub value: Tensor,
    /// `[]`, with the gradient of the value and not its number.
    pub objective: Tensor,
}

impl Projection {
    /// A last layer of `weight` `[K, P]`, whose matrix products run in `half` where it is given.
    ///
    /// * `temp` student temperature;
    /// * `scale` of the loss in half precision, so that small gradients survive the products; 1 otherwise.
    pub fn new(weight: Tensor, half: Option<Kind>, temp: f64, scale: f64) -> Self {
        let lowered = weight.detach().to_kind(half.unwrap_or(weight.kind()));
        let gradient = weight.detach().zeros_like();
        Self { weight, lowered, gradient, temp, scale }
    }

    /// `emphasis · Σ_g Σ_r weights_r · CE(targets_r, rows_gr)`, with the value before the emphasis.
    ///
    /// * `rows` `[G, R, P]`: what goes into the last layer, G times against the same targets;
    /// * `targets` `[R, K]`, each row summing to 1;
    /// * `weights` `[R]`, the mass of each row's targets included.
    pub fn cross_entropy(&mut self, rows: &Tensor, targets: &Tensor, weights: &Tensor, emphasis: f64) -> Sum {
        let (groups, count, width) = rows.size3().expect("rows have three axes");
        let k = self.lowered.size()[0];
        let kind = targets.kind();
        let (value, gradient) = no_grad(|| {
            let mut value = Tensor::zeros([], (kind, rows.device()));
            let gradient = Tensor::zeros([groups, count, width], (kind, rows.device()));
            let block = (BLOCK_BYTES / (4 * k * groups)).clamp(1, count.max(1));
            let mut first = 0;
            while first < count {
                let size = block.min(count - first);
                let part = rows.detach().narrow(1, first, size).reshape([groups * size, width]);
                let targets = targets.narrow(0, first, size);
                let weights = weights.narrow(0, first, size).repeat([groups]); // [G · size]
                let (sum, d) = self.block(&part, &targets, &weights, emphasis);
                value += sum;
                gradient.narrow(1, first, size).copy_(&d.view([groups, size, width]));
                first += size;
            }
            (value, gradient)
        });
        let objective = rows.to_kind(kind).flatten(0, -1).dot(&gradient.flatten(0, -1));
        Sum { value, objective }
    }

    /// Value and gradient of some rows: `rows` `[R, P]`, `targets` `[R / G, K]`, `weights` `[R]`.
    fn block(&mut self, rows: &Tensor, targets: &Tensor, weights: &Tensor, emphasis: f64) -> (Tensor, Tensor) {
        let kind = targets.kind();
        let (n, k) = targets.size2().expect("targets have two axes");
        let inputs = (rows / self.temp).to_kind(self.lowered.kind()); // [R, P]
        let mut logits = inputs.matmul(&self.lowered.tr()).to_kind(kind); // [R, K]
        let groups = |t: &Tensor| t.view([-1, n, k]); // [G, n, K]

        // −Σ_k t_k · log_softmax(s)_k = log Σ_k exp(s_k) − Σ_k t_k · s_k, and the largest probability of a row is
        // exp(largest logit) / Σ_k exp(s_k).
        let top = logits.amax([1].as_slice(), false); // [R]
        let expected = row_products(&groups(&logits), targets); // [R]
        softmax_(&mut logits);
        let log_sum = top - logits.amax([1].as_slice(), false).log_();
        let value = ((log_sum - expected) * weights).sum(kind);

        let _ = groups(&logits).g_sub_(targets); // softmax(s) − t
        let factor = (weights * (emphasis / self.temp)).unsqueeze(1); // [R, 1]
        let d = logits.to_kind(self.lowered.kind());
        if self.lowered.kind() == kind {
            // The factor of a row is taken to the thin side of the products.
            let inputs = rows * &factor;
            let _ = self.gradient.addmm_(&d.tr(), &inputs);
            return (value, d.matmul(&self.lowered) * factor);
        }
        let d = (logits.g_mul_(&(factor * self.scale))).to_kind(self.lowered.kind());
        let rows = rows.to_kind(self.lowered.kind());
        self.gradient += d.tr().matmul(&rows).to_kind(kind) / self.scale;
        (value, d.matmul(&self.lowered).to_kind(kind) / self.scale)
    }

    /// A scalar `[]` whose gradient is, with respect to the weight, that of all sums so far.
    pub fn objective(self) -> Tensor {
        self.weight.to_kind(self.gradient.kind()).flatten(0, -1).dot(&self.gradient.flatten(0, -1))
    }
}

/// `Σ_k` of `logits` `[G, n, K]` times `targets` `[n, K]`, as `[G · n]`, without a product of that size.
fn row_products(logits: &Tensor, targets: &Tensor) -> Tensor {
    let columns = targets.unsqueeze(2); // [n, K, 1]
    let groups: Vec<Tensor> =
        (0..logits.size()[0]).map(|g| logits.get(g).unsqueeze(1).bmm(&columns).view([-1])).collect();
    Tensor::cat(&groups, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// As the papers write it, with a graph.
    fn plain(rows: &Tensor, weight: &Tensor, targets: &Tensor, weights: &Tensor, temp: f64) -> Tensor {
        let log_p = (rows.matmul(&weight.tr()) / temp).log_softmax(-1, Kind::Double); // [G, R, K]
        let ce = -(targets * log_p).sum_dim_intlist([-1].as_slice(), false, Kind::Double); // [G, R]
        (ce * weights).sum(Kind::Double)
    }

    fn noise(shape: &[i64], seed: u64) -> Tensor {
        let mut stream = run_spec::seed::stream(seed, "projection", &[]);
        let count = shape.iter().product::<i64>();
        let values: Vec<f64> = (0..count).map(|_| stream.uniform(-1.0, 1.0)).collect();
        Tensor::from_slice(&values).view(shape)
    }

    fn close(a: &Tensor, b: &Tensor, limit: f64) {
        let gap = (a - b).abs().max().double_value(&[]) / b.abs().max().double_value(&[]).max(1e-12);
        assert!(gap <= limit, "relative difference {gap:.1e}");
    }

    #[test]
    fn value_and_gradient_are_those_of_the_plain_form() {
        // More rows than a block holds, so that blocks are added up: K is large enough for three of them.
        let (k, width) = (1 << 19, 4);
        let rows = noise(&[2, 40, width], 1).set_requires_grad(true);
        let weight = noise(&[k, width], 2).set_requires_grad(true);
        let targets = noise(&[40, k], 3).softmax(-1, Kind::Double);
        let weights = noise(&[40], 4).abs();
        assert!(BLOCK_BYTES / (4 * k * 2) < 40);

        let expected = plain(&rows, &weight, &targets, &weights, 0.1);
        (&expected * 0.7).backward();
        let (rows_grad, weight_grad) = (rows.grad().copy(), weight.grad().copy());
        let _ = rows.grad().zero_();
        let _ = weight.grad().zero_();

        let mut projection = Projection::new(weight.shallow_clone(), None, 0.1, 1.0);
        let sum = projection.cross_entropy(&rows, &targets, &weights, 0.7);
        close(&sum.value, &expected.detach(), 1e-12);
        (sum.objective + projection.objective()).backward();
        close(&rows.grad(), &rows_grad, 1e-12);
        close(&weight.grad(), &weight_grad, 1e-12);
    }

    #[test]
    fn no_rows_are_no_loss() {
        let weight = noise(&[8, 4], 2).set_requires_grad(true);
        let mut projection = Projection::new(weight.shallow_clone(), None, 0.1, 1.0);
        let options = (Kind::Double, Device::Cpu);
        let rows = Tensor::zeros([1, 0, 4], options).set_requires_grad(true);
        let sum = projection.cross_entropy(&rows, &Tensor::zeros([0, 8], options), &Tensor::zeros([0], options), 1.0);
        assert_eq!(sum.value.double_value(&[]), 0.0);
        (sum.objective + projection.objective()).backward();
        assert_eq!(weight.grad().abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn half_precision_keeps_gradients_that_its_range_would_lose() {
        // Gradients of the logits are about 1e-9 here; half precision ends at 6e-8.
        let rows = noise(&[1, 3, 8], 1).to_kind(Kind::Half).set_requires_grad(true);
        let weight = noise(&[64, 8], 2).to_kind(Kind::Float).set_requires_grad(true);
        let targets = noise(&[3, 64], 3).softmax(-1, Kind::Float);
        let weights = Tensor::from_slice(&[1e-8_f32; 3]);
        let mut projection = Projection::new(weight.shallow_clone(), Some(Kind::Half), 0.1, 65536.0);
        let sum = projection.cross_entropy(&rows, &targets, &weights, 1.0);
        (projection.objective() * 65536.0).backward();
        let exact = noise(&[64, 8], 2).to_kind(Kind::Half).to_kind(Kind::Double).set_requires_grad(true);
        let wide = |t: &Tensor| t.detach().to_kind(Kind::Double);
        let expected = plain(&wide(&rows), &exact, &wide(&targets), &wide(&weights), 0.1);
        (expected * 65536.0).backward();
        assert!(sum.value.double_value(&[]) > 0.0);
        close(&wide(&weight.grad()), &exact.grad(), 1e-2);
    }
}
