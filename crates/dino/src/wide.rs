//! Operators over matrices as wide as the prototypes, and the one place where they are called: each counts the bytes that it reads and
//! writes.
//!
//! At the published K = 131072 such matrices are most of what a step moves through memory. What is counted is every element of every
//! operand once for each operator that reads or writes it. That is what crosses the memory's bus where an operand is larger
//! than a cache and a row of it is not; LibTorch's kernels and our sweeps work row by row. Counted are the products of
//! the last layer, and everything between its weights in use (after weight normalisation) and the gradient of those.
//!
//! Shapes: R rows, K prototypes, P the width of the bottleneck.

use std::cell::Cell;
use tch::{Kind, Tensor};
use torch_shim::{ShimError, autograd, sweeps};

/// Bytes that operators over wide matrices have read and written on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes of the operands that were read.
    pub read: u64,
    /// Bytes of the results that were written.
    pub written: u64,
}

impl Moved {
    /// What this thread has moved so far.
    pub fn so_far() -> Self {
        MOVED.get()
    }

    /// What has been moved since `before`.
    pub fn since(self, before: Self) -> Self {
        Self { read: self.read - before.read, written: self.written - before.written }
    }

    /// Read and written together.
    pub fn bytes(self) -> u64 {
        self.read + self.written
    }
}

thread_local! {
    static MOVED: Cell<Moved> = const { Cell::new(Moved { read: 0, written: 0 }) };
}

fn bytes(list: &[&Tensor]) -> u64 {
    list.iter().map(|t| (t.numel() * t.kind().elt_size_in_bytes()) as u64).sum()
}

/// Adds the operands of one operator to what this thread has moved.
fn count(read: &[&Tensor], written: &[&Tensor]) {
    count_bytes(bytes(read), bytes(written));
}

fn count_bytes(read: u64, written: u64) {
    let before = MOVED.get();
    MOVED.set(Moved { read: before.read + read, written: before.written + written });
}

/// The matrix product of `a` `[M, L]` and `b` `[L, N]`: `[M, N]`, in their dtype.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Tensor {
    let out = a.matmul(b);
    count(&[a, b], &[&out]);
    out
}

/// `sum` and `a` times `b`; without a sum so far, the product. In one dtype that is one operator; a product in half precision is added
/// up in the dtype of the sum, `wide`.
pub(crate) fn add_product(sum: Option<Tensor>, a: &Tensor, b: &Tensor, wide: Kind) -> Tensor {
    match sum {
        None => to_kind(product(a, b), wide),
        Some(mut sum) if a.kind() == wide => {
            let _ = sum.addmm_(a, b);
            count(&[&sum, a, b], &[&sum]);
            sum
        }
        Some(mut sum) => {
            let part = product(a, b);
            sum += &part;
            count(&[&sum, &part], &[&sum]);
            sum
        }
    }
}

/// The last layer: rows `[R, P]` and weights `[K, P]` to logits `[R, K]`, in the dtype that autocast chooses.
pub(crate) fn last_layer(rows: &Tensor, weight: &Tensor) -> Tensor {
    let out = rows.linear(weight, None::<&Tensor>);
    count(&[rows, weight], &[&out]);
    out
}

/// The same numbers in another dtype; those of the same are not touched.
pub(crate) fn to_kind(t: Tensor, kind: Kind) -> Tensor {
    if t.kind() == kind {
        return t;
    }
    let out = t.to_kind(kind);
    count(&[&t], &[&out]);
    out
}

/// Each row times its factor, `[R, 1]`, in another dtype.
pub(crate) fn scaled_to_kind(rows: &Tensor, factor: &Tensor, kind: Kind) -> Tensor {
    let out = Tensor::empty(rows.size(), (kind, rows.device()));
    let _ = rows.mul_out(&out, factor);
    count(&[rows, factor], &[&out]);
    out
}

/// Cross-entropies of rows of logits against targets, and in place their gradient.
///
/// * `logits` `[G · n, K]`, afterwards `±(softmax(logits) · Σ targets − targets)`;
/// * `targets` `[n, K]`, each row summing to 1, for each of the G groups of rows.
///
/// Returns the losses `[G · n]`, and the sign that the gradient has: 1, or −1.
pub(crate) fn cross_entropy_(logits: &mut Tensor, targets: &Tensor) -> (Tensor, f64) {
    if sweeps::fit(logits) && sweeps::fit(targets) {
        let against = targets.expand([logits.size()[0] / targets.size()[0], -1, -1], true);
        count(&[logits, &against], &[logits]);
        return (sweeps::cross_entropy_(logits, targets), 1.0);
    }
    // Cross-entropy is −Σ_k t_k · log_softmax(s)_k, and its gradient that of log-softmax, which LibTorch has as one operator:
    // t − softmax(s) · Σ_k t_k, if it is given t. Both read a row before they write to it.
    let _ = Tensor::internal_log_softmax_out(logits, logits, 1, false);
    count(&[logits], &[logits]);
    let columns = targets.unsqueeze(2); // [n, K, 1]
    let groups = logits.view([-1, targets.size()[0], targets.size()[1]]);
    let losses = (0..groups.size()[0]).map(|g| {
        let rows = groups.get(g);
        let sums = rows.unsqueeze(1).bmm(&columns).view([-1]); // [n]
        let _ = Tensor::internal_log_softmax_backward_data_out(&rows, targets, &rows, 1, rows.kind());
        count(&[&rows, targets, &rows, targets], &[&sums, &rows]);
        sums
    });
    (Tensor::cat(&losses.collect::<Vec<_>>(), 0).neg(), -1.0)
}

/// The softmax of each row, in the memory of `rows` `[R, K]`. LibTorch reduces a row before it writes to it.
pub(crate) fn softmax_(rows: &mut Tensor) {
    let _ = Tensor::internal_softmax_out(rows, rows, 1, false);
    count(&[rows], &[rows]);
}

/// The largest entry of each row `[R, K]`, and its place: `[R, 1]` each.
pub(crate) fn largest(rows: &Tensor) -> (Tensor, Tensor) {
    let out = rows.max_dim(1, true);
    count(&[rows], &[&out.0, &out.1]);
    out
}

/// The product of `matrix` `[M, N]` and `vector` `[N]`: `[M]`.
pub(crate) fn times_vector(matrix: &Tensor, vector: &Tensor) -> Tensor {
    let out = matrix.mv(vector);
    count(&[matrix, vector], &[&out]);
    out
}

/// `rows *= factor`, of any shape that spreads over them.
pub(crate) fn mul_(rows: &mut Tensor, factor: &Tensor) {
    let _ = rows.g_mul_(factor);
    count(&[rows, factor], &[rows]);
}

/// `rows -= other`, of any shape that spreads over them.
pub(crate) fn sub_(rows: &mut Tensor, other: &Tensor) {
    let _ = rows.g_sub_(other);
    count(&[rows, other], &[rows]);
}

/// Rows divided by a temperature; by 1 they are not touched.
pub(crate) fn divide_(rows: &mut Tensor, temp: f64) {
    if temp != 1.0 {
        let _ = rows.g_div_scalar_(temp);
        count(&[rows], &[rows]);
    }
}

/// A scalar whose gradient with respect to `weight` `[K, P]` is `gradient · factor`. Counts backward, which multiplies the gradient by a number.
///
/// # Errors
/// A gradient of another shape than the weight, and whatever else LibTorch refuses.
pub(crate) fn with_gradient(weight: &Tensor, gradient: Tensor, factor: f64) -> Result<Tensor, ShimError> {
    count(&[&gradient], &[&gradient]);
    Ok(autograd::with_gradient(weight, gradient)? * factor)
}

/// Targets of Sinkhorn-Knopp in the making, where sweeps take the logits.
#[derive(Debug)]
pub(crate) struct Balance(sweeps::Balance);

impl Balance {
    /// See [`sweeps::Balance::of`]; the logits again where sweeps do not take them.
    pub(crate) fn of(logits: Tensor, temp: f64) -> Result<Self, Tensor> {
        if !sweeps::fit(&logits) {
            return Err(logits);
        }
        count(&[&logits], &[&logits]);
        Ok(Self(sweeps::Balance::of(logits, temp)))
    }

    /// The largest logit of this rank, `[1]`: see [`sweeps::Balance::top`].
    pub(crate) fn top(&self) -> Tensor {
        self.0.top()
    }

    /// Sums of the columns, `[K]`, relative to `top` `[1]`: see [`sweeps::Balance::first_mass`]. The sums of parts were written by the
    /// sweep before, and are read.
    pub(crate) fn first_mass(&self, top: &Tensor) -> Tensor {
        self.count_sums();
        self.0.first_mass(top)
    }

    /// Sums of the columns, `[K]`, after one more scaling by `column` `[K]`: see [`sweeps::Balance::next_mass`].
    pub(crate) fn next_mass(&mut self, column: &Tensor) -> Tensor {
        count(&[self.0.exponentials(), column], &[column]);
        self.count_sums();
        self.0.next_mass(column)
    }

    /// Sums of parts, written and read.
    fn count_sums(&self) {
        let bytes = (self.0.sums() * size_of::<f32>()) as u64;
        count_bytes(bytes, bytes);
    }

    /// The targets `[N, K]`: see [`sweeps::Balance::finish`].
    pub(crate) fn finish(self, column: &Tensor) -> Tensor {
        let targets = self.0.finish(column);
        count(&[&targets, column], &[&targets]);
        targets
    }
}
