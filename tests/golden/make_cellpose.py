"""Golden flows and masks by Cellpose's own dynamics, on a CPU, without its check of flow errors and with it.

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-cellpose.txt
    VENV/bin/python tests/golden/make_cellpose.py tests/golden/cellpose

Cells are drawn (discs, touching crowds, crescents and rods, discs under noise), Cellpose turns them into flows, the flows are
kept in halves of their precision, and Cellpose's `compute_masks` follows them. `NAME_flows.npy` is f32 [3, height, width] (down, right,
cell probability), `NAME_masks.npy` what Cellpose makes of it, `NAME_errors.npy` the flow error of each of these masks (f64). The flows of the
cells of `turned` are turned by 0, 25 or 60 degrees, so that a third of them fail the check: `turned_checked.npy` are the masks at Cellpose's own
threshold of 0.4. The masks of `discs` also stand as PNG, TIFF and `_seg.npy`.
"""

import pathlib
import sys

import cv2
import numpy as np
import tifffile
import torch
from cellpose import dynamics, metrics

SIDE = 128


def draw(rng, count, shape, gap):
    """Cells of random places and sizes, none over another; `gap` keeps them apart."""
    masks = np.zeros((SIDE, SIDE), np.int32)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    for _ in range(2000):
        if masks.max() == count:
            break
        cy, cx, r = rng.uniform(0, SIDE, 2).tolist() + [rng.uniform(4, 10)]
        if shape == "disc":
            cell = (y - cy) ** 2 + (x - cx) ** 2 < r * r
        else:
            a = rng.uniform(0, np.pi)
            u, v = (x - cx) * np.cos(a) + (y - cy) * np.sin(a), (y - cy) * np.cos(a) - (x - cx) * np.sin(a)
            cell = (u / (1.7 * r)) ** 2 + (v / (0.6 * r)) ** 2 < 1
            if rng.rand() < 0.4:  # a crescent
                cell = (u**2 + v**2 < r * r) & ((u - 0.6 * r) ** 2 + v**2 > 0.5 * r * r)
        around = cv2.dilate(cell.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=gap) > 0
        if cell.sum() >= 40 and not masks[around].any():
            masks[cell] = masks.max() + 1
    return masks


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for seed, (name, count, shape, gap, noise) in enumerate(
        [("discs", 30, "disc", 2, 0), ("crowd", 60, "disc", 0, 0), ("shapes", 35, "other", 0, 0), ("noise", 40, "disc", 1, 0.6), ("turned", 30, "disc", 1, 0)]
    ):
        rng = np.random.RandomState(seed)
        masks = draw(rng, count, shape, gap)
        flow = dynamics.masks_to_flows(masks) * 5
        if name == "turned":
            turn = np.deg2rad(np.array([0, 25, 60])[masks % 3])
            flow = np.stack([np.cos(turn) * flow[0] + np.sin(turn) * flow[1], np.cos(turn) * flow[1] - np.sin(turn) * flow[0]])
        flow = flow + rng.normal(0, 1, flow.shape) * noise
        cellprob = np.where(masks > 0, 4.0, -4.0) + rng.normal(0, 1, masks.shape) * noise
        flows = np.concatenate([flow, cellprob[None]]).astype(np.float16).astype(np.float32)
        found = dynamics.compute_masks(flows[:2], flows[2], niter=200, flow_threshold=0, min_size=15)
        found = found[0] if isinstance(found, tuple) else found
        print(f"{name}: {masks.max()} drawn, {found.max()} found")
        np.save(out / f"{name}_flows.npy", flows)
        np.save(out / f"{name}_masks.npy", found.astype(np.uint16))
        errors, _ = metrics.flow_error(found, flows[:2], device=torch.device("cpu"))
        np.save(out / f"{name}_errors.npy", errors)
        if name == "turned":
            checked = dynamics.compute_masks(flows[:2], flows[2], niter=200, flow_threshold=0.4, min_size=15)
            checked = checked[0] if isinstance(checked, tuple) else checked
            print(f"{name}: {checked.max()} pass the check")
            np.save(out / f"{name}_checked.npy", checked.astype(np.uint16))
        if name == "discs":
            cv2.imwrite(str(out / "discs_cp_masks.png"), found.astype(np.uint16))
            tifffile.imwrite(out / "discs_cp_masks.tif", found.astype(np.uint16))
            # What cellpose.io.masks_flows_to_seg saves, less the pictures.
            seg = {"outlines": (found * 0).astype(np.uint16), "colors": np.full((3, 3), 7, np.uint8), "masks": found.astype(np.uint16),
                   "chan_choose": [0, 0], "ismanual": np.zeros(found.max(), bool), "filename": "discs.png", "diameter": 17.5, "flows": [None, []]}
            np.save(out / "discs_seg.npy", seg)


if __name__ == "__main__":
    main()
