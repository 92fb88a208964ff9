"""Attention of the CLS token in the last block, and patch tokens: what `worker look` draws, from plain PyTorch in f64.

    python tests/golden/make_attention.py
"""

import json
import pathlib

import torch

import plain

HERE = pathlib.Path(__file__).parent
DIM, DEPTH, HEADS, PATCH, GRID = 8, 2, 2, 7, 4
# Registers, feed-forward layer and its hidden width, side of the images: that of the grid, and another.
CASES = [(0, "mlp", 32, 28), (4, "swiglu", 24, 28), (0, "mlp", 32, 42)]


def case(registers, ffn, hidden, side):
    c = {"dim": DIM, "depth": DEPTH, "heads": HEADS, "patch": PATCH, "grid": GRID, "registers": registers, "ffn": ffn, "ln_eps": 1e-6,
         "ffn_hidden": hidden, "offset": 0.1}
    w = {n: plain.weight(n, s) for n, s in plain.backbone_shapes(c).items()}
    attention = []
    with torch.no_grad():
        _, patches = plain.backbone(w, c, plain.image("seen", (2, 3, side, side)), keep=attention)
    shares = attention[-1][:, :, 0]
    assert torch.allclose(shares.sum(-1), torch.ones(2, HEADS), atol=1e-12)
    return {"registers": registers, "ffn": ffn, "hidden": hidden, "side": side, "shape": list(shares.shape),
            "attention": shares.flatten().tolist(), "patches": patches.flatten()[::7].tolist()}


def main():
    (HERE / "attention.json").write_text(json.dumps([case(*c) for c in CASES]) + "\n")


if __name__ == "__main__":
    main()
