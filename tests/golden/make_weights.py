"""Files of weights as the real libraries write them, and the features they give there: what `init.weights` must read.

Tiny models of torch, timm and transformers; their parameters are computed from their names (`plain.weight`), so that every
one matters. The features are the libraries' own, in f64.

    python tests/golden/make_weights.py
"""

import json
import pathlib
import shutil

import numpy
import safetensors.torch
import timm
import torch
import torch.nn.functional as F
import transformers

import plain

HERE = pathlib.Path(__file__).parent / "weights"
DIM, DEPTH, HEADS, PATCH, SIDE = 8, 2, 2, 7, 28
IMAGES = plain.image("features", (3, 3, SIDE, SIDE))
# 4/3 * 8 * 2 rounded up to a multiple of 8, as DINOv2 does.
SWIGLU = (int(DIM * 4 * 2 / 3) + 7) // 8 * 8


def fill(model):
    """Gives every parameter a value that depends on its name; f64."""
    model = model.double().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            rule = name.replace("layernorm", "norm").replace("lambda1", "gamma")
            p.copy_(plain.weight(rule, tuple(p.shape)))
    return model


def dinov2(registers=0, ffn="mlp", grid=SIDE // PATCH):
    """A state dict under the released names, and what the reference makes of it."""
    c = {"dim": DIM, "depth": DEPTH, "heads": HEADS, "patch": PATCH, "grid": grid, "registers": registers, "ffn": ffn, "ln_eps": 1e-6,
         "ffn_hidden": SWIGLU if ffn == "swiglu" else 4 * DIM, "offset": 0.1}
    w = {n: plain.weight(n, s) for n, s in plain.backbone_shapes(c).items()}
    return c, w


def f32(w):
    return {n: t.detach().to(torch.float32).contiguous() for n, t in w.items()}


def main():
    HERE.mkdir(exist_ok=True)
    features = {}
    with torch.no_grad():
        # torch.save of a state dict, as dinov2_vit*14_pretrain.pth is.
        c, w = dinov2()
        torch.save(f32(w), HERE / "dinov2.pth")
        features["dinov2.pth"], _ = plain.backbone(w, c, IMAGES)
        # DinoBloom and RedDino: {"teacher": {"backbone.…", "dino_head.…"}}.
        teacher = {"backbone." + n: t for n, t in f32(w).items()}
        teacher |= {"dino_head.mlp.0.weight": torch.ones(4, DIM), "dino_head.last_layer.weight_g": torch.ones(5, 1)}
        torch.save({"teacher": teacher}, HERE / "reddino-teacher.pth")
        features["reddino-teacher.pth"] = features["dinov2.pth"]
        # A grid of 37 x 37, brought to 4 x 4 as RedDino does: bicubic, scale 4/37, no offset (recipe §1.3).
        c, w = dinov2(grid=37)
        torch.save(f32(w), HERE / "dinov2-37.pth")
        grid = w["pos_embed"][:, 1:].reshape(1, 37, 37, DIM).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, scale_factor=(4 / 37, 4 / 37), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 16, DIM)
        w["pos_embed"] = torch.cat([w["pos_embed"][:, :1], grid], 1)
        features["dinov2-37.pth"], _ = plain.backbone(w, c | {"grid": 4}, IMAGES)

        args = dict(pretrained=False, img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS)
        model = fill(timm.create_model("vit_small_patch14_dinov2", **args))
        safetensors.torch.save_file(f32(model.state_dict()), HERE / "timm.safetensors")
        features["timm.safetensors"] = model(IMAGES)
        packed = dict(mlp_layer=timm.layers.SwiGLUPacked, act_layer=torch.nn.SiLU, mlp_ratio=2 * SWIGLU / DIM)
        model = fill(timm.create_model("vit_small_patch14_reg4_dinov2", **args, **packed))
        torch.save(f32(model.state_dict()), HERE / "timm-registers-swiglu.pth")
        features["timm-registers-swiglu.pth"] = model(IMAGES)

        config = dict(hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH, mlp_ratio=4)
        for name, model in {
            "huggingface": transformers.Dinov2Model(transformers.Dinov2Config(**config)),
            "huggingface-registers-swiglu": transformers.Dinov2WithRegistersModel(
                transformers.Dinov2WithRegistersConfig(**config, num_register_tokens=4, use_swiglu_ffn=True)),
            "huggingface-classifier": transformers.Dinov2ForImageClassification(transformers.Dinov2Config(**config, num_labels=3)),
        }.items():
            model = fill(model)
            file = f"{name}.safetensors"
            inner = getattr(model, "dinov2", model)
            features[file] = inner(pixel_values=IMAGES).pooler_output
            model.float().save_pretrained(HERE / name)
            (HERE / name / "model.safetensors").rename(HERE / file)
            shutil.rmtree(HERE / name)
    # A checkpoint in the middle of training: student beside teacher, and AdamW's state with its numbers for keys.
    c, w = dinov2()
    params = {n: torch.nn.Parameter(t.float()) for n, t in w.items()}
    adam = torch.optim.AdamW(params.values(), lr=1e-3)
    sum((p ** 2).sum() for p in params.values()).backward()
    adam.step()
    model = {"student.backbone." + n: p.detach() for n, p in params.items()} | {"teacher.backbone." + n: t for n, t in f32(w).items()}
    torch.save({"model": model, "optimizer": adam.state_dict(), "iteration": 3}, HERE / "training.pth")
    features["training.pth"] = features["dinov2.pth"]
    safetensors.torch.save_file({n: t.detach().contiguous() for n, t in features.items()}, HERE / "features.safetensors")
    versions = {"torch": torch.__version__, "timm": timm.__version__, "transformers": transformers.__version__, "numpy": numpy.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
