// What tch lacks of LibTorch, behind a C interface: no policy, no CUDA header, no link to libtorch_cuda.
// Every function catches C++ exceptions; it returns 0 (or a non-null tensor) on success, and on failure leaves
// the message for shim_error() in the calling thread.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/ivalue.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <dlfcn.h>
#include <cstring>
#include <string>

using T = at::Tensor;

namespace {
thread_local std::string g_error;

template <typename F> int guarded(F body) {
  try { body(); return 0; }
  catch (const c10::Error& e) { g_error = e.what_without_backtrace(); }
  catch (const std::exception& e) { g_error = e.what(); }
  catch (...) { g_error = "an unknown C++ exception"; }
  return -1;
}
template <typename F> T* guarded_tensor(F body) {
  T* out = nullptr;
  guarded([&] { out = new T(body()); });
  return out;
}
std::vector<T> list(T* const* p, size_t n) {
  std::vector<T> v; v.reserve(n);
  for (size_t i = 0; i < n; i++) v.push_back(*p[i]);
  return v;
}

// A Rust closure owned by C++: `drop` frees it when the last holder goes.
struct Owned { void* ctx; void (*drop)(void*); ~Owned() { if (drop) drop(ctx); } };

typedef int (*hook_fn)(void* ctx);
struct Hook : torch::autograd::PostAccumulateGradHook {
  hook_fn f; Owned owned;
  Hook(hook_fn f, void* ctx, void (*drop)(void*)) : f(f), owned{ctx, drop} {}
  void operator()(const torch::autograd::Variable&) override {
    TORCH_CHECK(f(owned.ctx) == 0, "a gradient hook panicked");
  }
};

typedef T* (*block_fn)(void* ctx, T* x);
struct Block : torch::CustomClassHolder {
  block_fn f; Owned owned;
  Block(block_fn f, void* ctx, void (*drop)(void*)) : f(f), owned{ctx, drop} {}
  T call(T x) {
    std::unique_ptr<T> y(f(owned.ctx, &x));
    TORCH_CHECK(y != nullptr, "a checkpointed block panicked");
    return *y;
  }
};
// Runs the block without a graph, and runs it again with one when its gradient is asked for.
struct Checkpoint : torch::autograd::Function<Checkpoint> {
  static T forward(torch::autograd::AutogradContext* c, T x, T /*anchor*/, c10::intrusive_ptr<Block> block) {
    c->save_for_backward({x});
    c->saved_data["block"] = c10::IValue::make_capsule(block);
    return block->call(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* c, torch::autograd::variable_list g) {
    auto x = c->get_saved_variables()[0].detach();
    x.set_requires_grad(true);
    at::AutoGradMode on(true);
    auto block = c10::static_intrusive_pointer_cast<Block>(c->saved_data["block"].toCapsule());
    block->call(x).backward(g[0]);
    return {x.grad(), T(), T()};
  }
};

// linear(act(x), w, b) that keeps x and computes act(x) again in backward, where autograd would keep both.
// Kind 0: exact GELU. Kind 1: SwiGLU, silu of the first half of the columns times the second.
struct Feed : torch::autograd::Function<Feed> {
  static T act(const T& x, int64_t kind) {
    if (kind == 0) return at::gelu(x);
    auto halves = x.chunk(2, -1);
    return at::silu(halves[0]).mul_(halves[1]);
  }
  static T forward(torch::autograd::AutogradContext* c, T x, T w, T b, int64_t kind) {
    TORCH_CHECK(x.dim() == 2, "feed works on rows, and has ", x.dim(), " axes");
    TORCH_CHECK(x.scalar_type() == w.scalar_type(), "feed has rows of ", x.scalar_type(), " and weights of ", w.scalar_type());
    c->save_for_backward({x, w});
    c->saved_data["kind"] = kind;
    return at::linear(act(x, kind), w, b);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* c, torch::autograd::variable_list g) {
    auto saved = c->get_saved_variables();
    const T &x = saved[0], &w = saved[1], &dy = g[0];
    const int64_t kind = c->saved_data["kind"].toInt();
    T dw = dy.t().mm(act(x, kind)), da = dy.mm(w), dx;
    if (kind == 0) {
      dx = at::gelu_backward(da, x);
    } else {
      auto halves = x.chunk(2, -1);
      dx = at::cat({at::silu_backward(da * halves[1], halves[0]), da.mul_(at::silu(halves[0]))}, -1);
    }
    return {dx, dw, dy.sum(0), T()};
  }
};

// A scalar whose gradient with respect to x is known beforehand. Backward works in that gradient's memory, and so once.
struct Given : torch::autograd::Function<Given> {
  static T forward(torch::autograd::AutogradContext* c, T x, T gradient) {
    TORCH_CHECK(x.sizes() == gradient.sizes(), "a gradient of ", gradient.sizes(), " for ", x.sizes());
    TORCH_CHECK(x.scalar_type() == gradient.scalar_type(), "a gradient of ", gradient.scalar_type(), " for ", x.scalar_type());
    c->saved_data["gradient"] = gradient;
    return at::zeros({}, gradient.options());
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* c, torch::autograd::variable_list g) {
    auto at = c->saved_data.find("gradient");
    TORCH_CHECK(at != c->saved_data.end(), "a given gradient was used before");
    T gradient = at->second.toTensor();
    c->saved_data.erase(at);
    return {gradient.mul_(g[0]), T()};
  }
};
}  // namespace

extern "C" {
const char* shim_error() { return g_error.c_str(); }

// --- autograd
int shim_backward(T* t, T* grad) {
  return guarded([&] { if (grad) t->backward(*grad); else t->backward(); });
}
// The gradient, or null without an error when there is none.
int shim_grad(T* t, T** out) {
  return guarded([&] { const T& g = t->grad(); *out = g.defined() ? new T(g) : nullptr; });
}
int shim_reset_grad(T* t) { return guarded([&] { t->mutable_grad().reset(); }); }
int shim_post_accumulate_hook(T* t, hook_fn f, void* ctx, void (*drop)(void*)) {
  return guarded([&] {
    auto hook = std::make_unique<Hook>(f, ctx, drop);
    torch::autograd::impl::set_post_acc_grad_hooks(*t, std::move(hook));
  });
}
int shim_clear_hook(T* t) { return guarded([&] { torch::autograd::impl::set_post_acc_grad_hooks(*t, nullptr); }); }
T* shim_checkpoint(T* x, T* anchor, block_fn f, void* ctx, void (*drop)(void*)) {
  return guarded_tensor([&] { return Checkpoint::apply(*x, *anchor, c10::make_intrusive<Block>(f, ctx, drop)); });
}
T* shim_feed(T* x, T* w, T* b, int64_t kind) { return guarded_tensor([&] { return Feed::apply(*x, *w, *b, kind); }); }
T* shim_with_gradient(T* x, T* gradient) { return guarded_tensor([&] { return Given::apply(*x, *gradient); }); }

// --- many tensors at once
int shim_fused_adamw(size_t n, T* const* p, T* const* g, T* const* m, T* const* v, T* step,
                     double lr, double beta1, double beta2, double wd, double eps, T* skip) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    at::_fused_adamw_(list(p, n), list(g, n), list(m, n), list(v, n), {}, std::vector<T>(n, *step), lr, beta1, beta2, wd, eps, false, false,
                      {}, skip ? std::optional<T>(*skip) : std::nullopt);
  });
}
int shim_foreach_lerp(size_t n, T* const* a, T* const* b, double w) {
  return guarded([&] { at::NoGradGuard g; at::_foreach_lerp_(list(a, n), list(b, n), w); });
}
int shim_lerp_tensor(size_t n, T* const* a, T* const* b, T* w) {
  return guarded([&] {
    at::NoGradGuard g;
    for (size_t i = 0; i < n; i++) a[i]->lerp_(*b[i], *w);
  });
}
int shim_foreach_mul(size_t n, T* const* a, double s) {
  return guarded([&] { at::NoGradGuard g; at::_foreach_mul_(list(a, n), s); });
}
int shim_foreach_mul_tensor(size_t n, T* const* a, T* s) {
  return guarded([&] { at::NoGradGuard g; at::_foreach_mul_(list(a, n), *s); });
}
int shim_foreach_copy(size_t n, T* const* dst, T* const* src) {
  return guarded([&] { at::NoGradGuard g; at::_foreach_copy_(list(dst, n), list(src, n)); });
}
// On a CPU ATen adds the squares of an f32 tensor one after the other in f32: 2e-3 off for 33 million of them. Row by row it is not.
static T norm_by_rows(const T& t) {
  constexpr int64_t row = 4096;
  const T flat = t.reshape({-1});
  const int64_t whole = flat.numel() / row * row;
  const T rows = at::linalg_vector_norm(flat.narrow(0, 0, whole).view({flat.numel() / row, row}), 2, at::IntArrayRef{1});
  const T rest = at::linalg_vector_norm(flat.narrow(0, whole, flat.numel() - whole)).view({1});
  return at::linalg_vector_norm(at::cat({rows, rest}).to(at::kDouble));
}
T* shim_foreach_norm(size_t n, T* const* a) {
  return guarded_tensor([&] {
    at::NoGradGuard g;
    auto tensors = list(a, n);
    if (tensors.empty() || !tensors[0].is_cpu()) {
      return at::linalg_vector_norm(at::stack(at::_foreach_norm(tensors)).to(at::kDouble));
    }
    std::vector<T> norms;
    for (const T& t : tensors) norms.push_back(norm_by_rows(t));
    return at::linalg_vector_norm(at::stack(norms));
  });
}

// --- threads
// Runs `f` at once on each thread that ATen's kernels may use, and returns when all have. This file is compiled without OpenMP, as a
// second runtime would bring a second set of threads: LibTorch's own is asked by name. Without it the calling thread does all.
void shim_parallel(void (*f)(void*), void* ctx) {
  using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
  static const auto parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  if (parallel && at::get_num_threads() > 1) parallel(f, ctx, 0, 0); else f(ctx);
}

// --- devices
// 1 = open, 0 = there is no such library, -1 = it is there and does not load.
int shim_open_cuda() {
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return 1;
  const char* why = dlerror();
  g_error = why ? why : "dlopen gave no reason";
  return g_error.rfind("libtorch_cuda.so: cannot open shared object file", 0) == 0 ? 0 : -1;
}
// The file that LibTorch was loaded from; null if the loader does not say.
const char* shim_library() {
  Dl_info info;
  return dladdr(reinterpret_cast<void*>(&at::get_num_threads), &info) ? info.dli_fname : nullptr;
}
// A stream: the native handle, and the numbers by which c10 knows it.
struct shim_stream { void* handle; int64_t id; int device; };
namespace {
constexpr auto kStreams = c10::DeviceType::CUDA;
c10::Device cuda(int index) { return c10::Device(kStreams, static_cast<c10::DeviceIndex>(index)); }
c10::Stream whole(const shim_stream& s) { return c10::Stream(c10::Stream::UNSAFE, cuda(s.device), s.id); }
shim_stream parts(const c10::impl::VirtualGuardImpl& impl, const c10::Stream& s) {
  return {impl.getStreamNativeHandle(s), s.id(), s.device_index()};
}
}  // namespace
int shim_current_stream(int index, shim_stream* out) {
  return guarded([&] { c10::impl::VirtualGuardImpl impl(kStreams); *out = parts(impl, impl.getStream(cuda(index))); });
}
int shim_pool_stream(int index, shim_stream* out) {
  return guarded([&] {
    c10::impl::VirtualGuardImpl impl(kStreams);
    *out = parts(impl, impl.getStreamFromGlobalPool(cuda(index), /*isHighPriority=*/true));
  });
}
int shim_set_device(int index) {
  return guarded([&] { c10::impl::VirtualGuardImpl(kStreams).setDevice(cuda(index)); });
}
// An event without times, at the present end of a stream's work.
int shim_event_record(const shim_stream* stream, void** event) {
  return guarded([&] {
    *event = nullptr;
    auto at = whole(*stream);
    c10::impl::VirtualGuardImpl(kStreams).record(event, at, at.device_index(), c10::EventFlag::PYTORCH_DEFAULT);
  });
}
int shim_event_block(void* event, const shim_stream* stream) {
  return guarded([&] { c10::impl::VirtualGuardImpl(kStreams).block(event, whole(*stream)); });
}
int shim_event_query(void* event, int* done) {
  return guarded([&] { *done = c10::impl::VirtualGuardImpl(kStreams).queryEvent(event); });
}
int shim_event_destroy(void* event, int index) {
  return guarded([&] { c10::impl::VirtualGuardImpl(kStreams).destroyEvent(event, static_cast<c10::DeviceIndex>(index)); });
}
// A copy of `host` on the device of `stream`, queued there and not waited for. The memory belongs to that stream: see shim_lend.
T* shim_send_on(const shim_stream* stream, T* host) {
  return guarded_tensor([&] {
    c10::StreamGuard here(whole(*stream));
    return host->to(cuda(stream->device), host->scalar_type(), /*non_blocking=*/true);
  });
}
// Memory of `t` is used by what is queued on `stream` so far, too: it is not given to anybody before that is done.
int shim_lend(T* t, const shim_stream* stream) {
  return guarded([&] { t->record_stream(whole(*stream)); });
}
// Memory that is not cleared, and from which a copy to a device is not waited for.
T* shim_empty_pinned(const int64_t* shape, size_t axes, int dtype) {
  return guarded_tensor([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype)).pinned_memory(true);
    return at::empty(at::IntArrayRef(shape, axes), options);
  });
}
int shim_synchronise(int device_type, int index) {
  return guarded([&] {
    auto type = static_cast<c10::DeviceType>(device_type);
    c10::impl::VirtualGuardImpl impl(type);
    impl.synchronizeDevice(static_cast<c10::DeviceIndex>(index));
  });
}
int shim_set_deterministic(int on) {
  return guarded([&] {
    at::globalContext().setDeterministicAlgorithms(on != 0, false);
    at::globalContext().setDeterministicCuDNN(on != 0);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  });
}
int shim_is_deterministic() {
  return at::globalContext().deterministicAlgorithms() ? 1 : 0;
}
int shim_allow_tf32(int on) {
  return guarded([&] { at::globalContext().setAllowTF32CuBLAS(on != 0); at::globalContext().setAllowTF32CuDNN(on != 0); });
}

// --- autocast: `before` takes [enabled, dtype] for shim_autocast_leave
int shim_autocast_enter(int device_type, int dtype, int* before) {
  return guarded([&] {
    auto type = static_cast<c10::DeviceType>(device_type);
    before[0] = at::autocast::is_autocast_enabled(type);
    before[1] = static_cast<int>(at::autocast::get_autocast_dtype(type));
    at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(dtype));
    at::autocast::set_autocast_enabled(type, true);
    at::autocast::increment_nesting();
  });
}
int shim_autocast_suspend(int device_type, int* before) {
  return guarded([&] {
    auto type = static_cast<c10::DeviceType>(device_type);
    before[0] = at::autocast::is_autocast_enabled(type);
    before[1] = static_cast<int>(at::autocast::get_autocast_dtype(type));
    at::autocast::set_autocast_enabled(type, false);
    at::autocast::increment_nesting();
  });
}
int shim_autocast_leave(int device_type, const int* before) {
  return guarded([&] {
    auto type = static_cast<c10::DeviceType>(device_type);
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(before[1]));
    at::autocast::set_autocast_enabled(type, before[0] != 0);
  });
}
}
