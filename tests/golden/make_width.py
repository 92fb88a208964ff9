"""Golden gradients of one step at the true widths of DINOv2: ViT-S, B, L and g (SwiGLU), by the plain PyTorch of plain.py.

Depth 2, K = 1024, 56 px for the files kept here; `--full FOLDER` has the true depths and 224 px (`make parity-full`).
Weights and crops are computed from their names (`plain.numbers`), so nothing large is stored: of each gradient 256
evenly spaced entries, the largest and the L2 norm, of the losses and gradient norms all. f64; f32 for ViT-g at full depth, whose f64
weights and gradients alone are 27 GB.

    python tests/golden/make_width.py [--full FOLDER] [SIZE ...]
"""

import argparse
import json
import os
import pathlib

import safetensors.torch
import torch

import plain

HERE = pathlib.Path(__file__).parent / "width"
#       width, depth, heads, hidden width of the feed-forward layer, its kind
SIZES = {"small": (384, 12, 6, 1536, "mlp"), "base": (768, 12, 12, 3072, "mlp"),
         "large": (1024, 24, 16, 4096, "mlp"), "giant": (1536, 40, 24, 4096, "swiglu")}
IMAGES = 2


def weights(network, shapes, dtype, trainable):
    out = {}
    for name, shape in shapes.items():
        out[name] = plain.weight(f"{network}.{name}", shape).to(dtype).requires_grad_(trainable)
    return out


def samples(t):
    flat = t.detach().flatten()
    n = min(256, flat.numel())
    index = torch.tensor([(i * flat.numel()) // n for i in range(n)], dtype=torch.long)
    largest, norm = flat.abs().max().reshape(1), flat.to(torch.float64).norm().reshape(1)
    return torch.cat([flat[index].to(torch.float64), largest, norm]).to(torch.float32)


def run(case, dtype):
    """Losses, gradients and their norms of the published step: Sinkhorn-Knopp, shared head, no local loss."""
    torch.set_default_dtype(dtype)
    c = case | {"offset": 0.1, "ln_eps": 1e-6, "registers": 0, "hidden": 2048, "bottleneck": 256, "separate": False, "patch": 14}
    b, px = case["images"], case["global_px"]
    shapes = plain.network_shapes(c)
    crops = plain.image("global_crops", (2 * b, 3, px, px)).to(dtype)
    masks = plain.mask("masks", (2 * b, c["grid"] ** 2))
    temp = 0.04
    teacher = weights("teacher", shapes, dtype, False)
    with torch.no_grad():
        cls, patches = plain.backbone(plain.below(teacher, "backbone."), c, crops)
        head = plain.below(teacher, "dino_head.")
        t_cls = plain.sinkhorn(plain.head(head, cls), temp, 3)
        t_patch = plain.sinkhorn(plain.head(head, patches[masks]), temp, 3)
    del teacher
    student = weights("student", shapes, dtype, True)
    cls, patches = plain.backbone(plain.below(student, "backbone."), c, crops, masks)
    head = plain.below(student, "dino_head.")
    # 2 / (2 + max(2, 1)): one local crop whose loss is dropped.
    dino = plain.ce(torch.cat([t_cls[b:], t_cls[:b]]), plain.head(head, cls), 0.1).mean() * 2 / 4
    w = (1 / masks.sum(1).clamp(min=1))[:, None].expand_as(masks)[masks]
    ibot = (plain.ce(t_patch, plain.head(head, patches[masks]), 0.1) * w).sum() / (2 * b)
    (dino + ibot).backward()
    out = {"loss.total": (dino + ibot).detach(), "loss.dino_global": dino.detach(), "loss.ibot": ibot.detach()}
    for module in ("backbone", "dino_head"):
        norms = [p.grad.to(torch.float64).norm() for n, p in student.items() if n.startswith(module) and p.grad is not None]
        out[f"norm.{module}"] = torch.stack(norms).norm()
    out = {n: t.to(torch.float64).reshape(1) for n, t in out.items()}
    return out | {f"grad.{n}": samples(p.grad) for n, p in student.items()}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--full", type=pathlib.Path)
    args.add_argument("sizes", nargs="*")
    args = args.parse_args()
    folder = args.full or HERE
    if args.full:
        torch.set_num_threads(os.cpu_count())
    folder.mkdir(exist_ok=True)
    for size in args.sizes or SIZES:
        dim, depth, heads, hidden, ffn = SIZES[size]
        px = 224 if args.full else 56
        case = {"dim": dim, "depth": depth if args.full else 2, "heads": heads, "ffn": ffn, "ffn_hidden": hidden,
                "prototypes": 1024, "grid": px // 14, "global_px": px, "images": IMAGES}
        out = run(case, torch.float32 if args.full and size == "giant" else torch.float64)
        safetensors.torch.save_file(out, folder / f"{size}.safetensors")
        (folder / f"{size}.json").write_text(json.dumps(case, indent=1) + "\n")
        print(size, {n: float(t[0]) for n, t in out.items() if n.startswith(("loss", "norm"))}, flush=True)
    (folder / "versions.json").write_text(json.dumps({"torch": torch.__version__}, indent=1) + "\n")


if __name__ == "__main__":
    main()
