"""The method in plain PyTorch, for golden values: networks, targets and losses, and the inputs that both sides compute.

Written from the description of the method alone (papers and docs/step-files.md), with nothing of this project's code, to be
compared with it: explicit attention, one rank after the other. f64, and one thread, so that sums have an order.

Inputs are not stored: they come from `numbers(name, shape)`, an integer hash that the Rust tests compute too.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


# ---------------------------------------------------------------- inputs

def numbers(name, shape):
    """Uniform in [-1, 1), a multiple of 2**-23: exact in f32. SplitMix64 over an FNV-1a hash of the name."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2.0**24
    return torch.from_numpy(2 * u - 1).reshape(shape)


def as_f32(t):
    return t.to(torch.float32).to(torch.float64)


def weight(name, shape):
    """A weight of plausible size. The rule goes by the end of the name and is the same in the Rust test."""
    x = numbers(name, shape)
    if name.endswith("weight_g") or "norm" in name and name.endswith("weight"):
        return as_f32(1 + 0.25 * x)
    if name.endswith("gamma"):
        return as_f32(0.75 + 0.5 * x)
    if name.startswith("adam.m"):
        return as_f32(1e-3 * x)
    if name.startswith("adam.v"):
        return as_f32(1e-5 * (1 + 0.5 * x))
    if name.startswith("center"):
        return as_f32(0.25 * x)
    if len(shape) >= 2 and name.endswith(("weight", "weight_v")):
        return as_f32(x * 1.5 / math.sqrt(np.prod(shape[1:])))
    return as_f32(0.25 * x)


def image(name, shape):
    """Not white noise: the crops of one batch differ by their brightness too, as those of smears do."""
    x = numbers(name, shape)
    return as_f32(1.5 * x + numbers(name + ".mean", (shape[0], 3, 1, 1)))


def mask(name, shape):
    """Every second crop has about a third of its patches masked, at least one."""
    m = (numbers(name, shape) < -0.3)
    m[1::2] = False
    m[0::2, 0] |= ~m[0::2].any(1)
    return m


# ---------------------------------------------------------------- model

def backbone_shapes(c):
    d, p, grid = c["dim"], c["patch"], c["grid"]
    out = {"cls_token": (1, 1, d), "mask_token": (1, d), "pos_embed": (1, 1 + grid * grid, d),
           "patch_embed.proj.weight": (d, 3, p, p), "patch_embed.proj.bias": (d,), "norm.weight": (d,), "norm.bias": (d,)}
    if c["registers"]:
        out["register_tokens"] = (1, c["registers"], d)
    for i in range(c["depth"]):
        b = f"blocks.{i}."
        for n in ("norm1", "norm2"):
            out[b + n + ".weight"] = out[b + n + ".bias"] = (d,)
        out[b + "ls1.gamma"] = out[b + "ls2.gamma"] = (d,)
        layers = {"attn.qkv": (3 * d, d), "attn.proj": (d, d)}
        h = c["ffn_hidden"]
        if c["ffn"] == "mlp":
            layers |= {"mlp.fc1": (h, d), "mlp.fc2": (d, h)}
        else:
            layers |= {"mlp.w12": (2 * h, d), "mlp.w3": (d, h)}
        for n, s in layers.items():
            out[b + n + ".weight"] = s
            out[b + n + ".bias"] = s[:1]
    return out


def head_shapes(c):
    d, h, b, k = c["dim"], c["hidden"], c["bottleneck"], c["prototypes"]
    return {"mlp.0.weight": (h, d), "mlp.0.bias": (h,), "mlp.2.weight": (h, h), "mlp.2.bias": (h,),
            "mlp.4.weight": (b, h), "mlp.4.bias": (b,), "last_layer.weight_g": (k, 1), "last_layer.weight_v": (k, b)}


def network_shapes(c):
    out = {"backbone." + n: s for n, s in backbone_shapes(c).items()}
    for head in ["dino_head"] + (["ibot_head"] if c["separate"] else []):
        own = c.get("ibot", {}) if head == "ibot_head" else {}
        out |= {f"{head}.{n}": s for n, s in head_shapes(c | own).items()}
    return out


def positions(pos, gh, gw, offset):
    n = pos.shape[1] - 1
    side = math.isqrt(n)
    if gh == gw and gh * gw == n:
        return pos
    grid = pos[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if offset:
        grid = F.interpolate(grid, scale_factor=((gh + offset) / side, (gw + offset) / side), mode="bicubic")
    else:
        grid = F.interpolate(grid, size=(gh, gw), mode="bicubic")
    assert grid.shape[-2:] == (gh, gw)
    return torch.cat([pos[:, :1], grid.permute(0, 2, 3, 1).reshape(1, gh * gw, -1)], 1)


def backbone(w, c, images, masks=None, keep=None):
    """Normed CLS [B, D] and normed patches [B, N, D]. `w` maps names without a prefix to tensors. A list `keep` gets the attention
    [B, heads, T, T] of each block."""
    p, heads, eps = c["patch"], c["heads"], c["ln_eps"]
    x = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=p)
    b, d, gh, gw = x.shape
    x = x.flatten(2).transpose(1, 2)
    if masks is not None:
        x = torch.where(masks[..., None], w["mask_token"][None], x)
    x = torch.cat([w["cls_token"].expand(b, -1, -1), x], 1) + positions(w["pos_embed"], gh, gw, c["offset"])
    r = c["registers"]
    if r:
        x = torch.cat([x[:, :1], w["register_tokens"].expand(b, -1, -1), x[:, 1:]], 1)
    for i in range(c["depth"]):
        g = lambda n: w[f"blocks.{i}.{n}"]
        y = F.layer_norm(x, (d,), g("norm1.weight"), g("norm1.bias"), eps)
        qkv = F.linear(y, g("attn.qkv.weight"), g("attn.qkv.bias")).reshape(b, -1, 3, heads, d // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attn = ((q * (d // heads) ** -0.5) @ k.transpose(-2, -1)).softmax(-1)
        if keep is not None:
            keep.append(attn)
        y = F.linear((attn @ v).transpose(1, 2).reshape(b, -1, d), g("attn.proj.weight"), g("attn.proj.bias"))
        x = x + g("ls1.gamma") * y
        y = F.layer_norm(x, (d,), g("norm2.weight"), g("norm2.bias"), eps)
        if c["ffn"] == "mlp":
            y = F.linear(F.gelu(F.linear(y, g("mlp.fc1.weight"), g("mlp.fc1.bias"))), g("mlp.fc2.weight"), g("mlp.fc2.bias"))
        else:
            a, e = F.linear(y, g("mlp.w12.weight"), g("mlp.w12.bias")).chunk(2, -1)
            y = F.linear(F.silu(a) * e, g("mlp.w3.weight"), g("mlp.w3.bias"))
        x = x + g("ls2.gamma") * y
    x = F.layer_norm(x, (d,), w["norm.weight"], w["norm.bias"], eps)
    return x[:, 0], x[:, 1 + r:]


def head(w, x):
    x = F.gelu(F.linear(x, w["mlp.0.weight"], w["mlp.0.bias"]))
    x = F.gelu(F.linear(x, w["mlp.2.weight"], w["mlp.2.bias"]))
    x = F.normalize(F.linear(x, w["mlp.4.weight"], w["mlp.4.bias"]), dim=-1)
    v = w["last_layer.weight_v"]
    return x @ (w["last_layer.weight_g"] * v / v.norm(dim=1, keepdim=True)).T


def below(w, prefix):
    return {n[len(prefix):]: t for n, t in w.items() if n.startswith(prefix)}


# ---------------------------------------------------------------- targets and losses

def sinkhorn(logits, temp, iterations):
    """As published: the matrix is K x S, S being the samples of all ranks."""
    q = torch.exp(logits / temp).T
    k, s = q.shape
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / k
        q = q / q.sum(0, keepdim=True) / s
    return (q * s).T


def ce(t, s, temp):
    return -(t * F.log_softmax(s / temp, -1)).sum(-1)


def koleo(x, loss):
    x = F.normalize(x, eps=loss["koleo_norm_eps"], dim=-1)
    dots = x @ x.T
    dots.fill_diagonal_(-1)
    nearest = dots.argmax(1)
    d = F.pairwise_distance(x, x[nearest], 2, eps=loss["koleo_pair_eps"])
    return -torch.log(d + loss["koleo_log_eps"]).mean()
