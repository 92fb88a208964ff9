//! The shim against plain tensor arithmetic.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tch::{Device, Kind, Tensor};
use torch_shim::{
    autograd::{self, Activation},
    device::{self, Autocast},
    optimise::{self, AdamLists, AdamW},
    stream::{self, Event, Stream},
};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

fn numbers(seed: i64) -> Tensor {
    // A fixed, uneven pattern: no global generator.
    ((Tensor::arange(12, F64) * 1.7 + seed as f64).sin()).reshape([3, 4])
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn fused_adamw_follows_the_published_formula() {
    let (p0, g, m0, v0) = (numbers(1), numbers(2), numbers(3) * 0.1, numbers(4).square());
    let adam = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, wd: 0.2, eps: 1e-8 };
    let (p, m, v) = (p0.copy(), m0.copy(), v0.copy());
    let step = Tensor::from(5.0_f32);
    optimise::fused_adamw(
        AdamLists {
            params: &[p.shallow_clone()],
            grads: &[g.shallow_clone()],
            first: &[m.shallow_clone()],
            second: &[v.shallow_clone()],
        },
        &step,
        adam,
        None,
    )
    .unwrap();
    let m1 = &m0 * 0.9 + &g * 0.1;
    let v1 = &v0 * 0.999 + g.square() * 0.001;
    let update = (&m1 / (1.0 - 0.9_f64.powi(5))) / ((&v1 / (1.0 - 0.999_f64.powi(5))).sqrt() + 1e-8);
    let p1 = &p0 * (1.0 - 0.01 * 0.2) - update * 0.01;
    assert!(distance(&m, &m1) < 1e-14);
    assert!(distance(&v, &v1) < 1e-14);
    assert!(distance(&p, &p1) < 1e-12, "{}", distance(&p, &p1));
}

#[test]
fn fused_adamw_that_is_to_skip_changes_nothing_whatever_the_gradient() {
    let adam = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, wd: 0.2, eps: 1e-8 };
    let (p, m, v) = (numbers(1), numbers(3), numbers(4).square());
    let before = [&p, &m, &v].map(Tensor::copy);
    let take = |skip: f32| {
        let lists = AdamLists {
            params: &[p.shallow_clone()],
            grads: &[numbers(2) * f64::NAN],
            first: &[m.shallow_clone()],
            second: &[v.shallow_clone()],
        };
        optimise::fused_adamw(lists, &Tensor::from(1.0_f32), adam, Some(&Tensor::from(skip))).unwrap();
    };
    take(1.0);
    assert_eq!([&p, &m, &v].map(Tensor::copy), before);
    take(0.0);
    assert!(p.isnan().any().int64_value(&[]) == 1, "the gradient was no number");
}

#[test]
fn a_mean_by_a_weight_on_the_device_has_the_bits_of_one_by_a_number() {
    for (kind, count) in [(Kind::Float, 1_000_003), (Kind::Double, 7), (Kind::Float, 1)] {
        let noise = || Tensor::randn([count], (kind, Device::Cpu));
        let (a, b) = (noise(), noise());
        for weight in [0.004, 0.7, 0.0] {
            let (one, other) = (a.copy(), a.copy());
            optimise::lerp_(&[one.shallow_clone()], &[b.shallow_clone()], weight).unwrap();
            let by = Tensor::from(weight).to_kind(kind);
            optimise::lerp_by_tensor_(&[other.shallow_clone()], &[b.shallow_clone()], &by).unwrap();
            assert!(one.equal(&other), "{kind:?} {weight}");
            assert!(weight > 0.0 || other.equal(&a), "a weight of 0 changes nothing");
        }
    }
}

#[test]
fn a_factor_on_the_device_and_a_step_that_is_not_skipped_change_no_bit() {
    let noise = || Tensor::randn([100_003], (Kind::Float, Device::Cpu));
    let adam = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, wd: 0.2, eps: 1e-8 };
    let start = [noise(), noise(), noise(), noise().square()];
    let take = |by: &dyn Fn(&[Tensor]), skip: Option<&Tensor>| {
        let [p, g, m, v] = start.each_ref().map(|t| [t.copy()]);
        by(&g);
        let lists = AdamLists { params: &p, grads: &g, first: &m, second: &v };
        optimise::fused_adamw(lists, &Tensor::from(3.0_f32), adam, skip).unwrap();
        [p, g, m, v].map(|[t]| t)
    };
    let factor = 0.123_456_789_012_345_68;
    let by_number = take(&|g| optimise::mul_(g, factor).unwrap(), None);
    let device = Tensor::from(factor).to_kind(Kind::Float);
    let by_tensor = take(&|g| optimise::mul_tensor_(g, &device).unwrap(), Some(&Tensor::from(0.0_f32)));
    assert_eq!(by_number, by_tensor);
}

#[test]
fn lists_of_different_lengths_are_refused() {
    let a = [numbers(1), numbers(2)];
    assert!(optimise::lerp_(&a, &a[..1], 0.5).is_err());
    assert!(optimise::copy_(&a[..1], &a).is_err());
}

#[test]
fn foreach_operations_equal_their_single_tensor_forms() {
    let (a, b) = (vec![numbers(1), numbers(2)], vec![numbers(3), numbers(4)]);
    let before: Vec<Tensor> = a.iter().map(Tensor::copy).collect();
    let norm = optimise::norm(&a).unwrap().double_value(&[]);
    let squares: f64 = a.iter().map(|t| t.square().sum(Kind::Double).double_value(&[])).sum();
    assert!((norm - squares.sqrt()).abs() < 1e-12);
    optimise::lerp_(&a, &b, 0.25).unwrap();
    assert!(distance(&a[1], &(&before[1] * 0.75 + &b[1] * 0.25)) < 1e-15);
    optimise::copy_(&a, &before).unwrap();
    optimise::mul_(&a, 3.0).unwrap();
    optimise::mul_tensor_(&a, &Tensor::from(0.5_f64)).unwrap();
    assert!(distance(&a[0], &(&before[0] * 1.5)) < 1e-15);
}

#[test]
fn the_norm_of_many_small_numbers_loses_none_of_them() {
    tch::manual_seed(1);
    let a = Tensor::randn([5_000_001], (Kind::Float, Device::Cpu));
    let exact = a.to_kind(Kind::Double).norm().double_value(&[]);
    let norm = optimise::norm(&[a]).unwrap().double_value(&[]);
    assert!((norm / exact - 1.0).abs() < 1e-7, "{norm} instead of {exact}");
}

#[test]
fn backward_takes_a_gradient_and_reset_drops_it() {
    let x = numbers(1).set_requires_grad(true);
    let g = numbers(2);
    assert!(autograd::grad(&x).unwrap().is_none());
    autograd::backward(&x.square(), Some(&g)).unwrap();
    let got = autograd::grad(&x).unwrap().unwrap();
    assert!(distance(&got, &(&g * &x * 2.0)) < 1e-14);
    autograd::reset_grad(&x).unwrap();
    assert!(autograd::grad(&x).unwrap().is_none());
}

#[test]
fn hooks_run_once_per_backward_and_are_freed() {
    let count = Arc::new(AtomicUsize::new(0));
    let x = numbers(1).set_requires_grad(true);
    let inner = Arc::clone(&count);
    autograd::on_grad_accumulated(&x, move || {
        inner.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    // Two uses in one graph: their gradients are summed before the hook.
    autograd::backward(&(x.square() + x.sin()).sum(Kind::Double), None).unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    autograd::clear_hook(&x).unwrap();
    assert_eq!(Arc::strong_count(&count), 1, "the closure was dropped");
    autograd::backward(&x.sum(Kind::Double), None).unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_in_a_hook_comes_back_as_an_error() {
    let x = numbers(1).set_requires_grad(true);
    autograd::on_grad_accumulated(&x, || panic!("on purpose")).unwrap();
    let refused = autograd::backward(&x.sum(Kind::Double), None);
    assert!(refused.unwrap_err().to_string().contains("hook panicked"));
}

#[test]
fn checkpointing_changes_no_bit_and_frees_its_block() {
    let alive = Arc::new(());
    let run = |checkpointed: bool| {
        let x = numbers(1).set_requires_grad(true);
        let w = numbers(2).set_requires_grad(true);
        let inner = w.shallow_clone();
        let held = Arc::clone(&alive);
        let block = move |x: &Tensor| {
            let _held = &held;
            x.matmul(&inner.tr()).gelu("none").matmul(&inner)
        };
        let y = if checkpointed { autograd::checkpoint(&x, block).unwrap() } else { block(&x) };
        autograd::backward(&y.square().sum(Kind::Double), None).unwrap();
        (autograd::grad(&x).unwrap().unwrap(), autograd::grad(&w).unwrap().unwrap())
    };
    let (plain, checkpointed) = (run(false), run(true));
    assert_eq!(plain.0, checkpointed.0);
    assert_eq!(plain.1, checkpointed.1);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn feed_is_the_activation_and_a_linear_map() {
    let w_of = |columns: i64| Tensor::arange(5 * columns, (Kind::Double, Device::Cpu)).sin().view([5, columns]);
    for (activation, columns) in [(Activation::Gelu, 6), (Activation::SwiGlu, 3)] {
        let run = |ours: bool| {
            let leaf = |t: Tensor| t.set_requires_grad(true);
            let x = leaf(Tensor::arange(24, (Kind::Double, Device::Cpu)).cos().view([4, 6]) * 2.0);
            let (w, b) = (leaf(w_of(columns)), leaf(w_of(1).view([5])));
            let y = if ours {
                autograd::feed(&x, &w, &b, activation).unwrap()
            } else {
                let act = match activation {
                    Activation::Gelu => x.gelu("none"),
                    Activation::SwiGlu => x.narrow(1, 0, 3).silu() * x.narrow(1, 3, 3),
                };
                act.linear(&w, Some(&b))
            };
            autograd::backward(&(&y * &y).sum(Kind::Double), None).unwrap();
            let grad = |t: &Tensor| autograd::grad(t).unwrap().unwrap();
            [y.detach(), grad(&x), grad(&w), grad(&b)]
        };
        for (found, expected) in run(true).iter().zip(&run(false)) {
            assert!(found.allclose(expected, 1e-14, 1e-14, false), "{activation:?}: {found} instead of {expected}");
        }
        let (wide, half) = (w_of(columns), Tensor::zeros([4, 6], (Kind::Float, Device::Cpu)));
        let refused = autograd::feed(&half, &wide, &w_of(1).view([5]), activation).unwrap_err().to_string();
        assert!(refused.contains("rows of Float and weights of Double"), "{refused}");
    }
}

#[test]
fn autocast_lowers_matrix_products_while_it_lives() {
    let (a, b) = (numbers(1).to_kind(Kind::Float), numbers(2).to_kind(Kind::Float));
    {
        let _outer = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
        assert_eq!(a.matmul(&b.tr()).kind(), Kind::BFloat16);
        {
            let _inner = Autocast::enter(Device::Cpu, Kind::Half).unwrap();
            assert_eq!(a.matmul(&b.tr()).kind(), Kind::Half);
        }
        {
            let _whole = Autocast::suspend(Device::Cpu).unwrap();
            assert_eq!(a.matmul(&b.tr()).kind(), Kind::Float);
        }
        assert_eq!(a.matmul(&b.tr()).kind(), Kind::BFloat16);
    }
    assert_eq!(a.matmul(&b.tr()).kind(), Kind::Float);
}

#[test]
fn deterministic_algorithms_are_asked_for_and_no_longer() {
    assert!(!device::is_deterministic());
    device::set_deterministic(true).unwrap();
    assert!(device::is_deterministic());
    device::set_deterministic(false).unwrap();
    assert!(!device::is_deterministic());
}

#[test]
fn the_folder_of_libtorch_holds_its_libraries() {
    assert!(device::library_folder().unwrap().join("libtorch_cpu.so").exists());
}

#[test]
fn cuda_is_opened_or_cleanly_absent() {
    let open = device::open_cuda().unwrap();
    assert!(open || !tch::Cuda::is_available());
    assert!(stream::current_stream(Device::Cpu).unwrap().is_none());
    device::make_current(Device::Cpu).unwrap();
    if !tch::Cuda::is_available() {
        // Each door of a stream is a sentence and no crash without a driver.
        assert!(stream::current_stream(Device::Cuda(0)).is_err());
        assert!(Stream::of_pool(Device::Cuda(0)).is_err());
        assert!(Event::record(&Stream::foreign(std::ptr::null_mut())).is_err());
        assert!(device::make_current(Device::Cuda(0)).is_err());
    }
    device::synchronise(Device::Cpu).unwrap();
}

#[test]
fn a_gradient_known_beforehand_reaches_the_leaf_once() {
    let x = numbers(1).set_requires_grad(true);
    let given = numbers(2);
    let objective = autograd::with_gradient(&(&x * 2.0), given.copy()).unwrap() * 3.0;
    assert_eq!(objective.double_value(&[]), 0.0);
    autograd::backward(&objective, None).unwrap();
    assert!(distance(&autograd::grad(&x).unwrap().unwrap(), &(given * 6.0)) < 1e-15);
    let refused = autograd::with_gradient(&x, numbers(2).view([4, 3])).unwrap_err().to_string();
    assert!(refused.contains("[4, 3] for [3, 4]"), "{refused}");
}
