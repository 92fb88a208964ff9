"""Golden values of the training step, from a plain PyTorch implementation of the recipe (plain.py) with torch.optim.AdamW.

Outputs are stored as samples: up to 48 evenly spaced elements of a tensor, then its L2 norm.

Made with the versions in step/versions.json:

    python tests/golden/make_step.py
"""

import functools
import json
import math
import pathlib
import random

import numpy as np
import safetensors.torch
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from plain import (backbone, backbone_shapes, below, ce, head, image, koleo, mask, network_shapes, numbers, positions,
                   sinkhorn, weight)

HERE = pathlib.Path(__file__).parent / "step"


# ---------------------------------------------------------------- schedules and parameter groups

def cosine(base, final, total, warmup=0, start=0.0):
    ramp = np.linspace(start, base, warmup)
    i = np.arange(total - warmup)
    return np.concatenate([ramp, final + 0.5 * (base - final) * (1 + np.cos(np.pi * i / max(len(i), 1)))])


def at(values, i, final):
    return float(values[i]) if i < len(values) else final


def knobs(s, images, i):
    o, t = s["optim"], s["teacher"]
    length = o["epoch_length"]
    total = int(o["epochs"] * length)
    peak = o["lr"] if o["lr"] is not None else o["base_lr"] * math.sqrt(images / 1024)
    lr = at(cosine(peak, o["min_lr"], total, int(o["warmup_epochs"] * length)), i, o["min_lr"])
    frozen = i < int(o["freeze_last_layer_epochs"] * length)
    return {"lr": lr, "last_layer_lr": 0.0 if frozen else lr,
            "wd": at(cosine(o["wd"], o["wd_end"], total), i, o["wd_end"]),
            "momentum": at(cosine(t["momentum"], t["momentum_end"], total), i, t["momentum_end"]),
            "teacher_temp": at(np.linspace(t["temp_start"], t["temp"], int(t["temp_epochs"] * length)), i, t["temp"])}


def multipliers(name, c, o):
    layer = c["depth"] + 1
    if name.startswith("backbone."):
        rest = name.removeprefix("backbone.")
        if rest.startswith(("pos_embed", "patch_embed", "mask_token", "cls_token", "register_tokens")):
            layer = 0
        elif rest.startswith("blocks."):
            layer = int(rest.split(".")[1]) + 1
    lr = o["layerwise_decay"] ** (c["depth"] + 1 - layer)
    if "patch_embed" in name:
        lr *= o["patch_embed_lr_mult"]
    return lr, 0.0 if name.endswith(".bias") or "norm" in name or "gamma" in name else 1.0


# ---------------------------------------------------------------- the case

DEFAULTS = json.loads((pathlib.Path(__file__).parent / "step" / "defaults.json").read_text())


def settings_of(delta):
    s = json.loads(json.dumps(DEFAULTS))
    for key, value in delta.items():
        if isinstance(value, dict):
            s[key] |= value
        else:
            s[key] = value
    return s


def run(case):
    s = settings_of(case["settings"])
    sizes, loss, o = case["sizes"], s["loss"], s["optim"]
    c = s["model"] | sizes | s["head"]
    shapes = network_shapes(c)
    student = {n: weight("student." + n, sh).requires_grad_() for n, sh in shapes.items()}
    teacher = {n: weight("teacher." + n, sh) for n, sh in shapes.items()}
    groups = []
    for n, p in student.items():
        lr, wd = multipliers(n, c, o)
        groups.append({"params": [p], "lr_mult": lr, "wd_mult": wd, "last": "last_layer" in n})
    adam = torch.optim.AdamW(groups, lr=0.0, betas=(o["beta1"], o["beta2"]), eps=o["eps"], foreach=False)
    for n, p in student.items():
        given = case["moments"]
        adam.state[p] = {
            "step": torch.tensor(float(s["adam_steps_done"])),
            "exp_avg": weight("adam.m." + n, p.shape) if given else torch.zeros_like(p),
            "exp_avg_sq": weight("adam.v." + n, p.shape) if given else torch.zeros_like(p),
        }
    k, b, ranks = c["prototypes"], sizes["images"], s["ranks"]
    center_shapes = {"dino": (1, k), "ibot": (1, 1, (c | c.get("ibot", {}))["prototypes"])}
    centers = {n: weight(f"center.{n}", shape) if case["centers"] else torch.zeros(shape) for n, shape in center_shapes.items()}
    pending = {}
    n_local = loss["n_local"]
    if loss["dino_normaliser"] == "published":
        divisor = 2 + max(2 * n_local, 1)
    else:
        divisor = 2 + 2 * (n_local if n_local > loss["local_loss_above"] else 0)
    out = {}
    for i in range(s["steps"]):
        kn = knobs(s, b * ranks, s["start_iteration"] + i)
        batches = []
        for r in range(ranks):
            g, l, n = sizes["global_px"], sizes["local_px"], (sizes["global_px"] // c["patch"]) ** 2
            batches.append({"global": image(f"batch.{i}.{r}.global_crops", (2 * b, 3, g, g)),
                            "local": image(f"batch.{i}.{r}.local_crops", (n_local * b, 3, l, l)) if n_local else None,
                            "masks": mask(f"batch.{i}.{r}.masks", (2 * b, n))})
        ibot_head = "ibot_head." if c["separate"] else "dino_head."
        # Teacher, all ranks.
        with torch.no_grad():
            cls_logits, patch_logits = [], []
            for batch in batches:
                cls, patches = backbone(below(teacher, "backbone."), c, batch["global"])
                cls_logits.append(head(below(teacher, "dino_head."), cls))
                patch_logits.append(head(below(teacher, ibot_head), patches[batch["masks"]]))
            temp = kn["teacher_temp"]
            if loss["centering"] == "sinkhorn_knopp":
                cls_t = sinkhorn(torch.cat(cls_logits), temp, loss["sk_iterations"]).split([len(x) for x in cls_logits])
                patch_t = sinkhorn(torch.cat(patch_logits), temp, loss["sk_iterations"]).split([len(x) for x in patch_logits])
            elif loss["centering"] == "none":
                cls_t = [(x / temp).softmax(-1) for x in cls_logits]
                patch_t = [(x / temp).softmax(-1) for x in patch_logits]
            else:
                m = loss["center_momentum"]
                for name, mean in pending.items():
                    centers[name] = m * centers[name] + (1 - m) * mean
                cls_t = [((x - centers["dino"]) / temp).softmax(-1) for x in cls_logits]
                patch_t = [((x - centers["ibot"][0]) / temp).softmax(-1) for x in patch_logits]
                pending["dino"] = torch.cat(cls_logits).mean(0, keepdim=True)
                pending["ibot"] = torch.stack([x.mean(0) for x in patch_logits]).mean(0)[None, None]
        # Student, one rank after the other.
        sums = {}
        for batch, t_cls, t_patch in zip(batches, cls_t, patch_t):
            bb = below(student, "backbone.")
            cls, patches = backbone(bb, c, batch["global"], batch["masks"])
            s_cls = head(below(student, "dino_head."), cls)
            swapped = torch.cat([t_cls[b:], t_cls[:b]])
            term = {"dino_global": ce(swapped, s_cls, loss["student_temp"]).mean() * 2 / divisor,
                    "dino_local": torch.zeros(())}
            if n_local > loss["local_loss_above"]:
                local_cls, _ = backbone(bb, c, batch["local"])
                for chunk in head(below(student, "dino_head."), local_cls).chunk(n_local):
                    for half in (t_cls[:b], t_cls[b:]):
                        term["dino_local"] = term["dino_local"] + ce(half, chunk, loss["student_temp"]).mean() / divisor
            masks = batch["masks"]
            term["ibot"] = torch.zeros(())
            if loss["ibot_weight"]:
                s_patch = head(below(student, ibot_head), patches[masks])
                w = (1 / masks.sum(1).clamp(min=1))[:, None].expand_as(masks)[masks]
                term["ibot"] = (ce(t_patch, s_patch, loss["student_temp"]) * w).sum() / (2 * b)
            term["koleo"] = torch.zeros(())
            if loss["koleo_weight"]:
                term["koleo"] = loss["koleo_weight"] * (koleo(cls[:b], loss) + koleo(cls[b:], loss))
            term["total"] = loss["dino_weight"] * (term["dino_global"] + term["dino_local"]) \
                + loss["ibot_weight"] * term["ibot"] + term["koleo"]
            for n, v in term.items():
                sums[n] = sums.get(n, 0) + v / ranks
        adam.zero_grad()
        sums["total"].backward()
        out |= {f"loss.{i}.{n}": v.detach().reshape(1) for n, v in sums.items()}
        out |= {f"sched.{i}.{n}": torch.tensor([v]) for n, v in kn.items()}
        for n, p in student.items():
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        if i == 0:
            out |= {f"grad.{i}.{n}": p.grad.clone() for n, p in student.items()}
        for module in ["backbone", "dino_head"] + (["ibot_head"] if c["separate"] else []):
            members = [p for n, p in student.items() if n.startswith(module)]
            out[f"norm.{i}.{module}"] = torch.nn.utils.clip_grad_norm_(members, o["clip"]).reshape(1)
        for group in adam.param_groups:
            group["lr"] = (kn["last_layer_lr"] if group["last"] else kn["lr"]) * group["lr_mult"]
            group["weight_decay"] = kn["wd"] * group["wd_mult"]
        adam.step()
        with torch.no_grad():
            for n, t in teacher.items():
                t.mul_(kn["momentum"]).add_(student[n], alpha=1 - kn["momentum"])
    for n, p in student.items():
        out[f"student.{n}"] = p.detach()
        out[f"teacher.{n}"] = teacher[n]
        out[f"adam.m.{n}"] = adam.state[p]["exp_avg"]
        out[f"adam.v.{n}"] = adam.state[p]["exp_avg_sq"]
    if loss["centering"] == "centering":
        out |= {f"center.{n}": v for n, v in centers.items()}
        out |= {f"center_pending.{n}": v for n, v in pending.items()}
    return out


SIZES = {"grid": 4, "ffn_hidden": 128, "hidden": 40, "bottleneck": 16, "prototypes": 48, "images": 3, "global_px": 28, "local_px": 14}
MODEL = {"dim": 64, "depth": 2, "heads": 4, "patch": 7}
# Short schedules, so that a few steps pass warm-up, freeze and temperature.
OPTIM = {"epochs": 2, "epoch_length": 8, "warmup_epochs": 0.5, "lr": 2e-3}
CASES = {
    "published": {
        "settings": {"model": MODEL, "optim": OPTIM, "start_iteration": 2},
        "sizes": SIZES, "moments": False, "centers": False},
    "local_koleo_registers": {
        "settings": {"model": MODEL | {"registers": 2, "offset": 0.0}, "head": {"separate": True},
                     "loss": {"n_local": 2, "dino_normaliser": "terms", "koleo_weight": 0.1, "dino_weight": 0.7, "ibot_weight": 1.3},
                     "optim": OPTIM | {"clip": 0.05}, "start_iteration": 5, "ranks": 2, "steps": 2},
        "sizes": SIZES, "moments": False, "centers": False},
    "centering_swiglu": {
        "settings": {"model": MODEL | {"ffn": "swiglu"}, "head": {"separate": True},
                     "loss": {"n_local": 0, "centering": "centering", "koleo_weight": 0.1, "koleo_pair_eps": 1e-8},
                     "optim": OPTIM, "ranks": 2, "steps": 3, "start_iteration": 1},
        "sizes": SIZES | {"global_px": 35, "ibot": {"hidden": 24, "bottleneck": 12, "prototypes": 36}}, "moments": False, "centers": True},
    "no_centering": {
        "settings": {"model": MODEL, "head": {"separate": True},
                     "loss": {"n_local": 2, "local_loss_above": 0, "centering": "none"},
                     "optim": OPTIM, "ranks": 2, "steps": 3, "start_iteration": 3},
        "sizes": SIZES, "moments": False, "centers": False},
    # The student's crops stay masked: the batches say so, and the loss has no part in it.
    "dino_only": {
        "settings": {"model": MODEL, "head": {"separate": True},
                     "loss": {"n_local": 2, "local_loss_above": 0, "dino_normaliser": "terms", "koleo_weight": 0.05, "ibot_weight": 0.0},
                     "optim": OPTIM, "ranks": 2, "steps": 3, "start_iteration": 3},
        "sizes": SIZES, "moments": False, "centers": False},
    "many_steps": {
        "settings": {"model": MODEL, "loss": {"n_local": 1, "local_loss_above": 0, "koleo_weight": 0.05},
                     "optim": OPTIM | {"clip": 0.1, "layerwise_decay": 0.8, "freeze_last_layer_epochs": 0.5, "lr": None, "base_lr": 0.02},
                     "teacher": {"temp_epochs": 1}, "ranks": 3, "steps": 18, "adam_steps_done": 7},
        "sizes": SIZES | {"images": 2}, "moments": True, "centers": False},
}


# ---------------------------------------------------------------- parts

def samples(t):
    flat = t.detach().flatten().to(torch.float64)
    n = min(48, flat.numel())
    index = torch.tensor([(i * flat.numel()) // n for i in range(n)], dtype=torch.long)
    return torch.cat([flat[index], flat.norm().reshape(1)])


def timm_name(n):
    return {"register_tokens": "reg_token"}.get(n, n.replace(".mlp.w12.", ".mlp.fc1.").replace(".mlp.w3.", ".mlp.fc2."))


def check_timm(case):
    """The same weights in timm's own vision transformer give the same features; they are what the Rust encoder must give."""
    s = settings_of(case["settings"])
    c = s["model"] | case["sizes"] | s["head"]
    w = {n: weight("teacher.backbone." + n, sh) for n, sh in backbone_shapes(c).items()}
    kwargs = dict(img_size=28, patch_size=7, num_classes=0, embed_dim=c["dim"], depth=c["depth"], num_heads=c["heads"],
                  mlp_ratio=c["ffn_hidden"] / c["dim"], init_values=1.0, norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6))
    if c["ffn"] == "swiglu":
        from timm.layers import SwiGLUPacked
        kwargs |= dict(mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU, mlp_ratio=2 * c["ffn_hidden"] / c["dim"])
    if c["registers"]:
        kwargs |= dict(reg_tokens=c["registers"], no_embed_class=True)
    model = VisionTransformer(**kwargs).eval()
    state = {timm_name(n): t for n, t in w.items() if n != "mask_token"}
    if c["registers"]:
        state["cls_token"] = state["cls_token"] + state["pos_embed"][:, :1]
        state["pos_embed"] = state["pos_embed"][:, 1:]
    model.load_state_dict(state, strict=True)
    images = image("features", (3, 3, 28, 28))
    with torch.no_grad():
        theirs = model(images)
        ours, _ = backbone(w, c, images)
    assert (theirs - ours).abs().max() < 1e-10, (theirs - ours).abs().max()
    return {"features": theirs} | {"export." + n: samples(t) for n, t in model.state_dict().items()}


def reference_masks(trials):
    """Mean and deviation of masked patches of a crop, by block masking with Python's own generator."""
    def block_mask(target, side=16, largest=128):
        m, count = np.zeros((side, side), bool), 0
        while count < target:
            budget, delta = min(target - count, largest), 0
            for _ in range(10):
                area = random.uniform(4, budget)
                aspect = math.exp(random.uniform(math.log(0.3), math.log(1 / 0.3)))
                h, w = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))
                if w < side and h < side:
                    top, left = random.randint(0, side - h), random.randint(0, side - w)
                    new = h * w - m[top:top + h, left:left + w].sum()
                    if 0 < new <= budget:
                        m[top:top + h, left:left + w] = True
                        delta = new
                if delta > 0:
                    break
            if delta == 0:
                break
            count += delta
        return m
    random.seed(0)
    counts, shares = [], np.zeros((16, 16))
    for _ in range(trials):
        probs = np.linspace(0.1, 0.5, 5)
        for i in range(4):
            m = block_mask(int(256 * random.uniform(probs[i], probs[i + 1])))
            counts.append(int(m.sum()))
            shares += m
    counts = np.array(counts)
    shares /= len(counts)
    return {"mean": counts.mean(), "std": counts.std(), "centre": shares[6:10, 6:10].mean(),
            "corner": (shares[:2, :2].mean() + shares[-2:, -2:].mean() + shares[:2, -2:].mean() + shares[-2:, :2].mean()) / 4}


def parts():
    out = {}
    pos = weight("resize", (1, 26, 8))
    for gh, gw, offset in [(3, 3, 0.1), (7, 7, 0.1), (4, 6, 0.1), (8, 8, 0.0), (5, 5, 0.1)]:
        out[f"resize.{gh}.{gw}.{offset}"] = positions(pos, gh, gw, offset)[:, 1:]
    for k, scale in [(16, 1.0), (64, 3.0)]:
        out[f"sinkhorn.{k}"] = sinkhorn(scale * numbers(f"sinkhorn.{k}", (24, k)), 0.05, 3)
    x = numbers("koleo", (2, 6, 10))
    x[1, 3] = x[1, 0]  # a duplicate: its distance is the pair epsilon alone
    loss = DEFAULTS["loss"]
    out["koleo"] = torch.stack([koleo(x[0], loss), koleo(x[1], loss)])
    return out


def main():
    HERE.mkdir(exist_ok=True)
    for name, case in CASES.items():
        out = {n: samples(t) for n, t in run(case).items()}
        safetensors.torch.save_file(out, HERE / f"{name}.safetensors")
        (HERE / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")
        print(name, {n: round(float(out[f"loss.0.{n}"][0]), 6) for n in ("total", "dino_global", "dino_local", "ibot", "koleo")})
    for name in ("published", "local_koleo_registers", "centering_swiglu"):
        safetensors.torch.save_file({n: t.contiguous() for n, t in check_timm(CASES[name]).items()}, HERE / f"timm_{name}.safetensors")
    safetensors.torch.save_file({n: t.contiguous() for n, t in parts().items()}, HERE / "parts.safetensors")
    (HERE / "masks.json").write_text(json.dumps(reference_masks(4000), indent=1) + "\n")
    versions = {"torch": torch.__version__, "timm": timm.__version__, "numpy": np.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
