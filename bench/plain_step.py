"""One training step as a good PyTorch user would write it: the peer of `worker bench --prototypes K`.

The same mathematics as configs/train/reddino-small.yaml without local crops: ViT-S/14, teacher and student, a shared head, block
masks, Sinkhorn-Knopp in place, DINO and iBOT in f32, clipping per submodule, foreach EMA, foreach AdamW, SDPA attention. Random
weights and pixels: only time and memory are of interest. Prints one JSON line.

    python bench/plain_step.py --prototypes 131072 --batch 8 --threads 2 --repeats 5

On a GPU (`--device cuda`) the peak of memory is the device's, and `--precision bf16` runs under autocast. `--compile` compiles student, teacher,
Sinkhorn-Knopp and cross-entropy with torch.compile; what compiling takes is not counted.
"""

import argparse
import json
import math
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

# Width, depth and heads.
MODELS = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
DIM, DEPTH, HEADS = MODELS["small"]
PATCH, SIDE = 14, 224
TOKENS = (SIDE // PATCH) ** 2


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM, eps=1e-6), nn.LayerNorm(DIM, eps=1e-6)
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.fc1, self.fc2 = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)
        self.gamma1, self.gamma2 = nn.Parameter(torch.ones(DIM)), nn.Parameter(torch.ones(DIM))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, HEADS, d // HEADS).permute(2, 0, 3, 1, 4)
        x = x + self.gamma1 * self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d))
        return x + self.gamma2 * self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.cls, self.mask_token = nn.Parameter(torch.zeros(1, 1, DIM)), nn.Parameter(torch.zeros(DIM))
        self.pos = nn.Parameter(0.02 * torch.randn(1, 1 + TOKENS, DIM))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(DIM, eps=1e-6)

    def forward(self, images, masks=None):
        x = self.patch(images).flatten(2).transpose(1, 2)
        if masks is not None:
            x = torch.where(masks.unsqueeze(-1), self.mask_token, x)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Head(nn.Module):
    def __init__(self, prototypes):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(DIM, 2048), nn.GELU(), nn.Linear(2048, 2048), nn.GELU(), nn.Linear(2048, 256)
        )
        self.last = nn.utils.parametrizations.weight_norm(nn.Linear(256, prototypes, bias=False))

    def forward(self, x):
        return self.last(F.normalize(self.mlp(x), dim=-1))


@torch.no_grad()
def sinkhorn(logits, temp, iterations=3):
    q = logits.div_(temp).exp_().t()
    k, n = q.shape
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(1, keepdim=True)
        q /= k
        q /= q.sum(0, keepdim=True)
        q /= n
    q *= n
    return q.t()


def cross_entropy(targets, logits):
    return -(targets * F.log_softmax(logits / 0.1, dim=-1)).sum(-1)


def masks_of(crops):
    """Half of the crops masked, by 10 to 50 % of their patches."""
    masks = torch.zeros(crops, TOKENS, dtype=torch.bool)
    for i in range(0, crops, 2):
        masks[i, torch.randperm(TOKENS)[: int(TOKENS * (0.1 + 0.4 * i / crops))]] = True
    return masks


def main():
    global DIM, DEPTH, HEADS
    parser = argparse.ArgumentParser()
    parser.add_argument("--prototypes", type=int, default=131072)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", choices=MODELS, default="small")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    DIM, DEPTH, HEADS = MODELS[args.model]
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.set_default_device(args.device)
    half = torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16")
    student, teacher = (nn.ModuleDict({"backbone": Backbone(), "head": Head(args.prototypes)}) for _ in range(2))
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False).eval()
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-4, weight_decay=0.04, foreach=True)
    crops = torch.randn(2 * args.batch, 3, SIDE, SIDE)
    masks = masks_of(len(crops))
    rows = masks.flatten().nonzero().squeeze(1)
    weights = (1 / masks.sum(1).clamp(min=1)).unsqueeze(1).expand_as(masks)[masks]

    assign, loss = sinkhorn, cross_entropy
    if args.compile:
        for module in [*student.values(), *teacher.values()]:
            module.compile()
        # Rows of crops and of patches differ in number, and always by as much.
        assign, loss = (torch.compile(function, dynamic=False) for function in (sinkhorn, cross_entropy))

    def step():
        n = len(crops)
        with torch.no_grad(), half:
            tokens = teacher["backbone"](crops)
            logits = teacher["head"](torch.cat([tokens[:, 0], tokens[:, 1:].flatten(0, 1)[rows]]))
            logits = logits.float()
            cls, patches = assign(logits[:n], 0.04), assign(logits[n:], 0.04)
            cls = torch.cat([cls[n // 2 :], cls[: n // 2]])
        with half:
            tokens = student["backbone"](crops, masks)
            logits = student["head"](torch.cat([tokens[:, 0], tokens[:, 1:].flatten(0, 1)[rows]]))
        logits = logits.float()
        dino = loss(cls, logits[:n]).mean()
        ibot = (loss(patches, logits[n:]) * weights).sum() / n
        (0.5 * dino + ibot).backward()
        for module in student.values():
            nn.utils.clip_grad_norm_(module.parameters(), 3.0, foreach=True)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - 0.994)
        return dino.item() + ibot.item()

    assert math.isfinite(step())
    seconds = []
    for _ in range(args.repeats):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    on_host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak = torch.cuda.max_memory_allocated() / 2**20 if args.device == "cuda" else on_host
    print(json.dumps({"torch": torch.__version__, "seconds": seconds, "peak_mb": round(peak), "rows": len(crops) + len(rows)}))


if __name__ == "__main__":
    main()
