"""Golden values of the ResNet50 that the paper compares with, and what models cost: torchvision's network with weights that
are computed from their names, cut after layer3 with a global average pool as the reference cuts it, and parameters and
floating-point operations of it and of DINOv2's sizes as torch counts them.

Made with the versions in resnet/versions.json:

    python tests/golden/make_resnet.py
"""

import functools
import json
import math
import pathlib

import numpy as np
import safetensors.torch
import timm
import torch
import torchvision
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch.utils.flop_counter import FlopCounterMode

from plain import image, numbers

HERE = pathlib.Path(__file__).parent / "resnet"
SIZES = {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16), "vitg14": (1536, 40, 24)}


def value(name, shape):
    """A weight of plausible size; the rule goes by the end of the name and is the same in the Rust test."""
    x = numbers(name, shape)
    if name.endswith("running_var"):
        return 1 + 0.5 * x
    if len(shape) == 4:
        return x * 1.5 / math.sqrt(np.prod(shape[1:]))
    if name.endswith("weight"):
        return 1 + 0.25 * x
    return 0.25 * x


def cut(model):
    """All up to and with layer3, then the mean over places: 1024 features."""
    return torch.nn.Sequential(*list(model.children())[:-3], torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def features():
    model = torchvision.models.resnet50(weights=None)
    state = {n: value(n, t.shape).to(torch.float32) if t.is_floating_point() else t for n, t in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    model = cut(model.double().eval())
    with torch.no_grad():
        return {f"features.{side}": model(image(f"resnet.{side}", (2, 3, side, side))) for side in (64, 75)}


def vit(dim, depth, heads):
    kwargs = dict(img_size=224, patch_size=14, num_classes=0, embed_dim=dim, depth=depth, num_heads=heads, init_values=1.0,
                  norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6))
    if dim == 1536:
        kwargs |= dict(mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU, mlp_ratio=2 * 4096 / 1536)
    return VisionTransformer(**kwargs)


def cost(make):
    """Parameters, and floating-point operations for one image of 224 px: two a multiplication, as torch counts them."""
    with torch.device("meta"):
        model = make().eval()
        for block in getattr(model, "blocks", []):
            # Attention as two products of matrices, which the counter knows on every device.
            block.attn.fused_attn = False
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, 3, 224, 224))
    return {"parameters": sum(p.numel() for p in model.parameters()), "flops": counter.get_total_flops()}


def main():
    HERE.mkdir(exist_ok=True)
    safetensors.torch.save_file(features(), HERE / "resnet50.safetensors")
    costs = {name: cost(lambda: vit(*sizes)) for name, sizes in SIZES.items()}
    costs["resnet50"] = cost(lambda: cut(torchvision.models.resnet50(weights=None)))
    (HERE / "costs.json").write_text(json.dumps(costs, indent=1) + "\n")
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
