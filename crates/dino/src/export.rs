//! The backbone under the names that timm and `transformers` give a DINOv2 vision transformer (recipe §1.5).

use crate::params::Parameters;
use tch::{Kind, Tensor};

/// f32 tensors on the CPU, named and shaped as in timm, sorted by name. `params` hold `backbone.…`, as in a network or
/// an encoder.
///
/// The mask token is left out. SwiGLU's `w12`, `w3` are `fc1`, `fc2` there. With registers, timm's model gives neither
/// them nor CLS a position, so the position of CLS is added to its token.
pub fn timm(params: &Parameters) -> Vec<(String, Tensor)> {
    tch::no_grad(|| {
        let own = params.iter().filter_map(|(name, t)| Some((name.strip_prefix("backbone.")?, t)));
        let mut out: Vec<(String, Tensor)> =
            own.filter(|(name, _)| *name != "mask_token").map(|(name, t)| (rename(name), plain(t))).collect();
        if out.iter().any(|(name, _)| name == "reg_token") {
            let at = |name: &str| out.iter().position(|(n, _)| n == name);
            if let (Some(cls), Some(pos)) = (at("cls_token"), at("pos_embed")) {
                let stored = out[pos].1.size()[1];
                out[cls].1 = &out[cls].1 + out[pos].1.narrow(1, 0, 1);
                out[pos].1 = out[pos].1.narrow(1, 1, stored - 1).contiguous();
            }
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    })
}

/// f32 tensors on the CPU, named and shaped as in `Dinov2Model` and `Dinov2WithRegistersModel`, sorted by name: the
/// other way round of [`crate::weights::adopt`]. Query, key and value are three layers there, where ours are one.
pub fn huggingface(params: &Parameters) -> Vec<(String, Tensor)> {
    tch::no_grad(|| {
        let mut out = Vec::new();
        for (name, t) in params.iter().filter_map(|(name, t)| Some((name.strip_prefix("backbone.")?, t))) {
            if let Some((block, part)) = name.split_once(".attn.qkv.") {
                let layer = block.replace("blocks.", "encoder.layer.");
                for (piece, t) in ["query", "key", "value"].iter().zip(plain(t).chunk(3, 0)) {
                    out.push((format!("{layer}.attention.attention.{piece}.{part}"), t.copy()));
                }
            } else {
                out.push((huggingface_name(name), plain(t)));
            }
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    })
}

fn plain(t: &Tensor) -> Tensor {
    t.detach().to_device(tch::Device::Cpu).to_kind(Kind::Float).copy()
}

fn huggingface_name(name: &str) -> String {
    match name {
        "pos_embed" => "embeddings.position_embeddings".to_owned(),
        "cls_token" | "mask_token" | "register_tokens" => format!("embeddings.{name}"),
        "norm.weight" | "norm.bias" => format!("layer{name}"),
        _ => [
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("blocks.", "encoder.layer."),
            ("attn.proj", "attention.output.dense"),
            ("ls1.gamma", "layer_scale1.lambda1"),
            ("ls2.gamma", "layer_scale2.lambda1"),
            ("mlp.w12", "mlp.weights_in"),
            ("mlp.w3", "mlp.weights_out"),
        ]
        .iter()
        .fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs)),
    }
}

fn rename(name: &str) -> String {
    match name {
        "register_tokens" => "reg_token".to_owned(),
        _ => name.replace(".mlp.w12.", ".mlp.fc1.").replace(".mlp.w3.", ".mlp.fc2."),
    }
}
