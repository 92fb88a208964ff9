"""transformers and onnxruntime load exports of `worker export` and give the features that `worker embed` wrote, within 1e-4.

    python check_export_layouts.py huggingface|onnx EXPORT_FOLDER SHARD_SET FEATURES.parquet
    python check_export_layouts.py size ONNX_EXPORT_FOLDER TIMM_EXPORT_FOLDER

`size` compares an ONNX export at a side of its own with the plain PyTorch of tests/golden/plain.py on the same weights.

The images are read from the shards by pyarrow. For transformers the export's own preprocessor prepares them (its Pillow backend, as the
published evaluation does, decides; the torchvision backend's figure is printed beside it), for ONNX torchvision on Pillow images.
"""

import io
import json
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torchvision import transforms

BAR = 1e-4


def rows(shards, features):
    """Pictures with our features."""
    ours = pq.read_table(features)
    by_id = dict(zip(ours["id"].to_pylist(), ours["feature"].to_pylist()))
    manifest = json.loads((pathlib.Path(shards) / "manifest.json").read_text())
    for shard in manifest["shards"]:
        table = pq.read_table(pathlib.Path(shards) / shard["key"], columns=["id", "image"])
        for row in table.slice(0, 32).to_pylist():
            yield Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"), np.asarray(by_id[row["id"]], dtype=np.float32)


def worst(pictures, features_of):
    gaps = [float(np.abs(features_of(picture) - ours).max()) for picture, ours in pictures]
    if not gaps:
        sys.exit("check_export_layouts: the shard set has no images")
    return max(gaps), len(gaps)


def huggingface(export, shards, features):
    import transformers

    model = transformers.AutoModel.from_pretrained(export).eval()
    expected = "Dinov2WithRegistersModel" if model.config.model_type == "dinov2_with_registers" else "Dinov2Model"
    assert type(model).__name__ == expected, type(model)
    figures = {}
    for backend in ("pil", "torchvision"):
        processor = transformers.AutoImageProcessor.from_pretrained(export, backend=backend)

        def features_of(picture):
            with torch.no_grad():
                return model(**processor(picture, return_tensors="pt")).pooler_output[0].numpy()

        figures[backend], seen = worst(rows(shards, features), features_of)
        print(f"transformers {transformers.__version__}, {type(processor).__name__}: {seen} images, {figures[backend]:.2e} (bar {BAR:.0e} for pil)")
    return figures["pil"]


def onnx(export, shards, features):
    import onnx
    import onnxruntime

    path = str(pathlib.Path(export) / "model.onnx")
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[2]
    prepare = transforms.Compose([
        transforms.Resize((side, side)),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])

    def features_of(picture):
        image = prepare(picture)[None].numpy()
        # A batch of two, so that nothing takes the batch for one.
        both, patches = session.run(None, {"images": np.concatenate([image, image[..., ::-1].copy()])})
        assert patches.shape == (2, (side // 14) ** 2, both.shape[1]), patches.shape
        return both[0]

    figure, seen = worst(rows(shards, features), features_of)
    print(f"onnxruntime {onnxruntime.__version__}: {seen} images at {side} px, {figure:.2e} (bar {BAR:.0e})")
    return figure


def size(export, timm_export):
    import onnxruntime
    import safetensors.torch

    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
    import plain

    args = json.loads((pathlib.Path(timm_export) / "config.json").read_text())["model_args"]
    w = {n: t.double() for n, t in safetensors.torch.load_file(pathlib.Path(timm_export) / "model.safetensors").items()}
    c = {"dim": args["embed_dim"], "depth": args["depth"], "heads": args["num_heads"], "patch": args["patch_size"], "ln_eps": 1e-6,
         "offset": 0.1, "registers": 0, "ffn": "mlp"}
    session = onnxruntime.InferenceSession(str(pathlib.Path(export) / "model.onnx"), providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[2]
    assert side != args["img_size"], side
    images = plain.image("features", (3, 3, side, side))
    found = session.run(None, {"images": images.float().numpy()})
    expected = plain.backbone(w, c, images)
    figure = max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, expected))
    print(f"onnxruntime {onnxruntime.__version__}: features and patches at {side} px, {figure:.2e} (bar {BAR:.0e})")
    return figure


if __name__ == "__main__":
    layout, *paths = sys.argv[1:]
    if not {"huggingface": huggingface, "onnx": onnx, "size": size}[layout](*paths) < BAR:
        sys.exit(f"check_export_layouts: {layout} does not give our features")
