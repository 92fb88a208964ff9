"""timm loads an export of `worker export` and gives the features that `worker embed` wrote, within 1e-4.

    python check_export.py EXPORT_FOLDER SHARD_SET FEATURES.parquet

The images are read from the shards by pyarrow and preprocessed by torchvision as the published evaluation does:
PIL RGB, Resize((S, S)) (bilinear, antialiased), ToTensor, ImageNet normalisation.
"""

import io
import json
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq
import timm
import torch
from PIL import Image
from torchvision import transforms

BAR = 1e-4


def main(export: str, shards: str, features: str) -> None:
    model = timm.create_model(f"local-dir:{export}", pretrained=True).eval()
    config = json.loads((pathlib.Path(export) / "config.json").read_text())
    side = config["pretrained_cfg"]["input_size"][1]
    prepare = transforms.Compose([
        transforms.Resize((side, side)),
        transforms.ToTensor(),
        transforms.Normalize(config["pretrained_cfg"]["mean"], config["pretrained_cfg"]["std"]),
    ])
    ours = pq.read_table(features)
    by_id = dict(zip(ours["id"].to_pylist(), ours["feature"].to_pylist()))
    manifest = json.loads((pathlib.Path(shards) / "manifest.json").read_text())
    worst, seen = 0.0, 0
    for shard in manifest["shards"]:
        table = pq.read_table(pathlib.Path(shards) / shard["key"], columns=["id", "image"])
        for row in table.slice(0, 64).to_pylist():
            image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
            with torch.no_grad():
                theirs = model(prepare(image)[None])[0].numpy()
            worst = max(worst, float(np.abs(theirs - np.asarray(by_id[row["id"]], dtype=np.float32)).max()))
            seen += 1
    print(f"check_export: {seen} images, largest difference of a feature to timm {timm.__version__}: {worst:.2e} (bar {BAR:.0e})")
    if seen == 0 or not worst < BAR:
        sys.exit("check_export: timm does not give our features")


if __name__ == "__main__":
    main(*sys.argv[1:])
