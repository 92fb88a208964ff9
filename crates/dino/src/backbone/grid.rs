//! Position embeddings of another grid than the stored one (recipe §1.4).

use tch::{Device, Kind, Tensor};
use torch_shim::{
    crossing,
    device::{Autocast, is_deterministic},
};

/// Torch's coefficient of bicubic interpolation.
const A: f64 = -0.75;

/// Position embeddings `[1, g², D]` resized to `[1, gh·gw, D]` by bicubic interpolation (recipe §1.4).
///
/// With an offset, torch gets the scale `(side + offset) / g` instead of the size, which moves its sample points. The backward pass
/// of torch's kernel adds in no fixed order on a GPU, so where LibTorch was asked for deterministic algorithms
/// ([`resize_grid_by_products`]) takes its place: the same numbers, up to rounding.
pub fn resize_grid(grid: &Tensor, (gh, gw): (i64, i64), offset: f64) -> Tensor {
    if is_deterministic() {
        return resize_grid_by_products(grid, (gh, gw), offset);
    }
    let (image, g) = as_image(grid);
    let scale = |side: i64| (offset != 0.0).then(|| (side as f64 + offset) / g as f64);
    image
        .permute([0, 3, 1, 2])
        .upsample_bicubic2d([gh, gw], false, scale(gh), scale(gw))
        .permute([0, 2, 3, 1])
        .reshape([1, gh * gw, -1])
        .to_kind(grid.kind())
}

/// As [`resize_grid`], by two matrix products, one for each axis. Their forward and backward passes add in a fixed order everywhere.
/// They run in the embeddings' precision, in single precision at least, also within autocast, as the kernel does.
pub fn resize_grid_by_products(grid: &Tensor, (gh, gw): (i64, i64), offset: f64) -> Tensor {
    let (image, g) = as_image(grid);
    let _whole = Autocast::suspend(grid.device()).expect("LibTorch knows autocast on this device");
    let d = image.size()[3];
    let weights = |side| interpolation(g, side, offset, (image.kind(), image.device()));
    let rows = weights(gh).matmul(&image.reshape([g, g * d])).reshape([gh, g, d]); // [gh, g, D]
    weights(gw).unsqueeze(0).matmul(&rows).reshape([1, gh * gw, d]).to_kind(grid.kind())
}

/// The embeddings as an image `[1, g, g, D]`, in single precision at least, and g.
fn as_image(grid: &Tensor) -> (Tensor, i64) {
    let (_, n, d) = grid.size3().expect("position embeddings have three axes");
    let g = (n as f64).sqrt().round() as i64;
    let wide = match grid.kind() {
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    };
    (grid.to_kind(wide).reshape([1, g, g, d]), g)
}

/// How much of each of `from` stored places each of `to` new ones takes: `[to, from]`, each row with the sum 1.
fn interpolation(from: i64, to: i64, offset: f64, options: (Kind, Device)) -> Tensor {
    let step = match offset == 0.0 {
        true => from as f64 / to as f64,
        false => from as f64 / (to as f64 + offset),
    };
    let mut weights = vec![0.0f64; (to * from) as usize];
    for (i, row) in weights.chunks_exact_mut(from as usize).enumerate() {
        let place = step * (i as f64 + 0.5) - 0.5;
        let first = place.floor();
        for (k, weight) in cubic(place - first).into_iter().enumerate() {
            // Beyond the edge, the edge goes on.
            let at = (first as i64 + k as i64 - 1).clamp(0, from - 1);
            row[at as usize] += weight;
        }
    }
    crossing::send(&Tensor::from_slice(&weights).reshape([to, from]).to_kind(options.0), options.1)
}

/// Weights of the four stored places around a new one, which lies `t` beyond the second.
fn cubic(t: f64) -> [f64; 4] {
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_the_gradient_of_the_kernel() {
        for (size, offset) in [((7, 3), 0.0), ((4, 9), 0.1), ((2, 2), 0.1)] {
            let grid = Tensor::randn([1, 25, 6], (Kind::Double, Device::Cpu)).set_requires_grad(true);
            let pull = Tensor::randn([1, size.0 * size.1, 6], (Kind::Double, Device::Cpu));
            let gradient =
                |resized: Tensor| Tensor::run_backward(&[(resized * &pull).sum(Kind::Double)], &[&grid], false, false);
            let kernel = gradient(resize_grid(&grid, size, offset));
            let products = gradient(resize_grid_by_products(&grid, size, offset));
            let gap = (&kernel[0] - &products[0]).abs().max().double_value(&[]);
            assert!(gap < 1e-12, "{size:?} {offset}: {gap:.1e}");
        }
    }

    #[test]
    fn autocast_does_not_coarsen_the_products() {
        let grid = Tensor::randn([1, 25, 6], (Kind::Float, Device::Cpu));
        let without = resize_grid_by_products(&grid, (7, 3), 0.1);
        let _half = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
        assert!(without.equal(&resize_grid_by_products(&grid, (7, 3), 0.1)));
    }

    #[test]
    fn each_new_place_takes_shares_that_sum_to_one() {
        for (from, to, offset) in [(5, 7, 0.0), (37, 16, 0.1), (1, 4, 0.0)] {
            let sums = interpolation(from, to, offset, (Kind::Double, Device::Cpu)).sum_dim_intlist(
                [1i64].as_slice(),
                false,
                Kind::Double,
            );
            assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-14);
        }
    }
}
