//! The last layer and the cross-entropy after it, in one: logits against prototypes are made a block of rows at a time,
//! turned into their own gradient in place, and dropped.
//!
//! Shapes: R rows of width P (the bottleneck) against K prototypes. At the published K = 131072 the logits are by far the
//! largest tensors of a step, and written plainly they are made, copied and read a dozen times. Here few of
//! them exist at once ([`block_bytes`]), and the only passes over memory are three matrix products and what lies between them: on
//! a CPU in f32 one sweep, elsewhere three operators. The sum is linear in what comes after it, so the gradient is computed with the
//! value: `d/ds −Σ_k t_k · log_softmax(s)_k = softmax(s)·Σ_k t_k − t`. What a row of that is multiplied by, be it a weight,
//! the temperature or the scale of the loss, is applied where rows are P wide.

use crate::{DinoError, wide};
use tch::{Device, Kind, Tensor, no_grad};

/// Most bytes of logits that exist at once on a device, in f32.
///
/// Each block reads the weights twice and their gradient once, and writes the gradient: four times K × P. So a block should be much larger
/// than that, and yet small beside the rest of a step. The number depends on the kind of device alone: the order of sums, and with it the bits
/// of a run, are the same on any machine (docs/adr/0036).
pub fn block_bytes(device: Device) -> i64 {
    match device {
        Device::Cpu => 256 << 20,
        _ => 1 << 30,
    }
}

/// How the last layer of a head is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arithmetic {
    /// Dtype of the matrix products, where it is another than that of the weights.
    pub half: Option<Kind>,
    /// The student's temperature, which divides its logits.
    pub temp: f64,
    /// Of the loss in half precision, so that small gradients survive the products; 1 otherwise.
    pub scale: f64,
    /// Most bytes of logits that exist at once, in f32.
    pub block_bytes: i64,
}

/// Sums of cross-entropies through one last layer, and the gradient of those sums.
#[derive(Debug)]
pub struct Projection {
    /// `[K, P]`, with a graph.
    weight: Tensor,
    /// The same without a graph, in the dtype of the matrix products.
    lowered: Tensor,
    /// `[K, P]`: gradient so far of what was summed, times the scale.
    gradient: Option<Tensor>,
    arithmetic: Arithmetic,
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
    /// A last layer of `weight` `[K, P]`.
    pub fn new(weight: Tensor, arithmetic: Arithmetic) -> Self {
        let lowered = wide::to_kind(weight.detach(), arithmetic.half.unwrap_or(weight.kind()));
        Self { weight, lowered, gradient: None, arithmetic }
    }

    /// `emphasis · Σ_g Σ_r weights_r · CE(targets_r, rows_gr)`, with the value before the emphasis.
    ///
    /// * `rows` `[G, R, P]`: what goes into the last layer, G times against the same targets;
    /// * `targets` `[R, K]`, each row summing to 1;
    /// * `weights` `[R]`, the mass of each row's targets included.
    pub fn cross_entropy(&mut self, rows: &Tensor, targets: &Tensor, weights: &Tensor, emphasis: f64) -> Sum {
        let (groups, count, width) = rows.size3().expect("rows have three axes");
        let kind = targets.kind();
        let block = block_rows(self.arithmetic.block_bytes / (4 * self.lowered.size()[0] * groups), count);
        let (value, gradient) = no_grad(|| {
            let mut value = Tensor::zeros([], (kind, rows.device()));
            let gradient = Tensor::zeros([groups, count, width], (kind, rows.device()));
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
        let (kind, narrow) = (targets.kind(), self.lowered.kind());
        let Arithmetic { temp, scale, .. } = self.arithmetic;
        let inputs = (rows / temp).to_kind(narrow); // [R, P]
        let mut d = wide::to_kind(wide::product(&inputs, &self.lowered.tr()), kind); // [R, K]
        let (losses, sign) = wide::cross_entropy_(&mut d, targets);
        let value = (losses * weights).sum(kind);
        let factor = (weights * (sign * emphasis * scale / temp)).unsqueeze(1); // [R, 1]
        let (d, rows, after) = match narrow == kind {
            true => (d, rows * &factor, factor / scale),
            // Numbers as small as the gradient of a logit need their factor before they become half.
            false => (
                wide::scaled_to_kind(&d, &factor, narrow),
                rows.to_kind(narrow),
                Tensor::full([1], 1.0 / scale, (kind, rows.device())),
            ),
        };
        self.gradient = Some(wide::add_product(self.gradient.take(), &d.tr(), &rows, kind));
        (value, wide::product(&d, &self.lowered).to_kind(kind) * after)
    }

    /// A scalar `[]` whose gradient is, with respect to the weight, that of all sums so far; for one backward.
    ///
    /// # Errors
    /// What LibTorch refuses.
    pub fn objective(self) -> Result<Tensor, DinoError> {
        let Some(gradient) = self.gradient else { return Ok(self.weight.sum(self.weight.kind()) * 0.0) };
        let weight = self.weight.to_kind(gradient.kind());
        Ok(wide::with_gradient(&weight, gradient, 1.0 / self.arithmetic.scale)?)
    }
}

/// Rows of a block of at most `most` rows, where `count` rows are cut into blocks of about one size; at least one.
fn block_rows(most: i64, count: i64) -> i64 {
    let blocks = (count.max(1) as u64).div_ceil(most.max(1) as u64);
    (count.max(1) as u64).div_ceil(blocks) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Blocks of 64 MiB, in the precision of the weights.
    const PLAIN: Arithmetic = Arithmetic { half: None, temp: 0.1, scale: 1.0, block_bytes: 64 << 20 };

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
        assert!(PLAIN.block_bytes / (4 * k * 2) < 20);

        let expected = plain(&rows, &weight, &targets, &weights, 0.1);
        (&expected * 0.7).backward();
        let (rows_grad, weight_grad) = (rows.grad().copy(), weight.grad().copy());
        let _ = rows.grad().zero_();
        let _ = weight.grad().zero_();

        let mut projection = Projection::new(weight.shallow_clone(), PLAIN);
        let sum = projection.cross_entropy(&rows, &targets, &weights, 0.7);
        close(&sum.value, &expected.detach(), 1e-12);
        (sum.objective + projection.objective().unwrap()).backward();
        close(&rows.grad(), &rows_grad, 1e-12);
        close(&weight.grad(), &weight_grad, 1e-12);
    }

    #[test]
    fn sweeps_in_f32_agree_with_the_plain_form_in_f64() {
        let (k, width) = (5000, 16);
        let leaf = |shape: &[i64], seed| noise(shape, seed).to_kind(Kind::Float).set_requires_grad(true);
        let (rows, weight) = (leaf(&[3, 7, width], 1), leaf(&[k, width], 2));
        let targets = (noise(&[7, k], 3) * 5.0).softmax(-1, Kind::Float);
        let weights = noise(&[7], 4).abs().to_kind(Kind::Float);
        // Three rows of each group to a block.
        let small = Arithmetic { block_bytes: 4 * k * 9, ..PLAIN };
        let mut projection = Projection::new(weight.shallow_clone(), small);
        let sum = projection.cross_entropy(&rows, &targets, &weights, 0.7);
        (sum.objective + projection.objective().unwrap()).backward();

        let exact = |t: &Tensor| t.detach().to_kind(Kind::Double);
        let wide = [&rows, &weight].map(|t| exact(t).set_requires_grad(true));
        let expected = plain(&wide[0], &wide[1], &exact(&targets), &exact(&weights), 0.1);
        (&expected * 0.7).backward();
        close(&sum.value, &expected.detach(), 1e-6);
        close(&rows.grad(), &wide[0].grad(), 1e-5);
        close(&weight.grad(), &wide[1].grad(), 1e-5);
    }

    #[test]
    fn blocks_are_of_about_one_size() {
        assert_eq!(
            [(128, 616), (512, 616), (1000, 616), (0, 5), (8, 0)].map(|(most, n)| block_rows(most, n)),
            [124, 308, 616, 1, 1]
        );
    }

    #[test]
    fn no_rows_are_no_loss() {
        let weight = noise(&[8, 4], 2).set_requires_grad(true);
        let mut projection = Projection::new(weight.shallow_clone(), PLAIN);
        let options = (Kind::Double, Device::Cpu);
        let rows = Tensor::zeros([1, 0, 4], options).set_requires_grad(true);
        let sum = projection.cross_entropy(&rows, &Tensor::zeros([0, 8], options), &Tensor::zeros([0], options), 1.0);
        assert_eq!(sum.value.double_value(&[]), 0.0);
        (sum.objective + projection.objective().unwrap()).backward();
        assert_eq!(weight.grad().abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn half_precision_keeps_gradients_that_its_range_would_lose() {
        // Gradients of the logits are about 1e-9 here; half precision ends at 6e-8.
        let rows = noise(&[1, 3, 8], 1).to_kind(Kind::Half).set_requires_grad(true);
        let weight = noise(&[64, 8], 2).to_kind(Kind::Float).set_requires_grad(true);
        let targets = noise(&[3, 64], 3).softmax(-1, Kind::Float);
        let weights = Tensor::from_slice(&[1e-8_f32; 3]);
        let mut projection =
            Projection::new(weight.shallow_clone(), Arithmetic { half: Some(Kind::Half), scale: 65536.0, ..PLAIN });
        let sum = projection.cross_entropy(&rows, &targets, &weights, 1.0);
        (projection.objective().unwrap() * 65536.0).backward();
        let exact = noise(&[64, 8], 2).to_kind(Kind::Half).to_kind(Kind::Double).set_requires_grad(true);
        let wide = |t: &Tensor| t.detach().to_kind(Kind::Double);
        let expected = plain(&wide(&rows), &exact, &wide(&targets), &wide(&weights), 0.1);
        (expected * 65536.0).backward();
        assert!(sum.value.double_value(&[]) > 0.0);
        close(&wide(&weight.grad()), &exact.grad(), 1e-2);
    }
}
