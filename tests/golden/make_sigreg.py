"""Golden values of crates/dino/src/sigreg.rs: SIGReg (Balestriero & LeCun, arXiv:2511.08544, algorithm 1) in plain PyTorch.

Made with Python 3.11+ and the versions of tests/interop/requirements.txt:
    python tests/golden/make_sigreg.py
writes tests/golden/sigreg.json. Written from the paper: complex exponentials, the whole line of t, the trapezoid rule of torch; gradients by autograd. Rows and directions
are those of `numbers`, which the Rust test computes too.
"""

import json
import pathlib

import torch

from plain import numbers

SETS, ROWS, DIM, DIRECTIONS = 3, 10, 6, 16


def sigreg(rows, directions):
    t = torch.linspace(-3, 3, 33)
    normal = torch.exp(-0.5 * t**2)
    projected = rows @ directions  # [B, M]
    empirical = torch.exp(1j * projected[:, :, None] * t).mean(0)  # [M, T]
    error = (empirical - normal).abs().square() * normal
    return (torch.trapezoid(error, t, dim=1) * len(rows)).mean()


rows = (1.5 * numbers("sigreg.rows", (SETS, ROWS, DIM)) + 0.25).requires_grad_()
directions = numbers("sigreg.directions", (DIM, DIRECTIONS))
directions = directions / directions.norm(dim=0)
values = torch.stack([sigreg(one, directions) for one in rows])
(values * torch.arange(1, SETS + 1)).sum().backward()
golden = {"torch": torch.__version__, "values": values.tolist(), "gradient": rows.grad.flatten().tolist()}
pathlib.Path(__file__).with_name("sigreg.json").write_text(json.dumps(golden, indent=1) + "\n")
print(golden["torch"], golden["values"])
