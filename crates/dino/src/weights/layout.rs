//! From the names that others give a DINOv2 backbone to ours (recipe §1.2, §1.5).
//!
//! | layout | names | from |
//! |---|---|---|
//! | `dinov2` | `blocks.0.attn.qkv.weight`, or `blocks.0.0.…` in chunks | `dinov2_vit*14_pretrain.pth` |
//! | `teacher` | the same below `teacher.backbone.`, with heads beside | DinoBloom, RedDino, checkpoints of DINOv2 and our own |
//! | `timm` | the same without `mask_token`; `reg_token`; SwiGLU as `fc1`, `fc2` | timm, RedDino on Hugging Face |
//! | `huggingface` | `encoder.layer.0.attention.attention.query.weight` | `Dinov2Model`, `Dinov2WithRegistersModel` |

use crate::{
    DinoError,
    backbone::{self, Feed},
    params::check,
};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// Whose names a file of weights has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A released state dict of DINOv2.
    Dinov2,
    /// A training checkpoint with a teacher: DinoBloom, RedDino, DINOv2's own and ours.
    Teacher,
    /// Names of timm's vision transformer.
    Timm,
    /// `transformers`' `Dinov2Model` or `Dinov2WithRegistersModel`, also within a classifier.
    HuggingFace,
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dinov2 => "dinov2",
            Self::Teacher => "teacher",
            Self::Timm => "timm",
            Self::HuggingFace => "huggingface",
        })
    }
}

/// A backbone under our names, and what was done to get it.
#[derive(Debug)]
pub struct Adopted {
    /// `backbone.…`, f32 on the CPU: exactly those that the model has.
    pub tensors: Vec<(String, Tensor)>,
    /// Whose names they had.
    pub layout: Layout,
    /// Tensors that the model has and the file has not, with what stands in: only a mask token may be missing.
    pub missing: Vec<String>,
    /// What the file has besides the backbone, counted by module.
    pub unexpected: Vec<String>,
    /// Tensors that were brought to another shape, with both.
    pub reshaped: Vec<String>,
}

/// As [`super::adopt`], for a backbone of the size of `shape`.
pub(super) fn adopt(
    shape: &backbone::BackboneShape,
    tensors: Vec<(String, Tensor)>,
    what: &str,
) -> Result<Adopted, DinoError> {
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().map(|(name, t)| (plain(&name), t)).collect();
    let prefix = backbone_of(tensors.iter().map(|(name, _)| name.as_str()), what)?;
    let (own, rest): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|(name, _)| name.starts_with(&prefix));
    let own: BTreeMap<String, Tensor> =
        own.into_iter().map(|(name, t)| (name[prefix.len()..].to_owned(), t.to_kind(Kind::Float))).collect();
    // A classifier on top is no part of the backbone.
    let (heads, own): (BTreeMap<_, _>, BTreeMap<_, _>) =
        own.into_iter().partition(|(name, _)| name.starts_with("head."));
    let unexpected = counted(rest.iter().map(|(name, _)| name).chain(heads.keys()));

    let layout = match () {
        () if own.contains_key("embeddings.cls_token") => Layout::HuggingFace,
        () if own.contains_key("reg_token") || !own.contains_key("mask_token") => Layout::Timm,
        () if prefix.is_empty() => Layout::Dinov2,
        () => Layout::Teacher,
    };
    let swiglu = matches!(shape.feed, Feed::SwiGlu { .. });
    let mut found: BTreeMap<String, Tensor> = match layout {
        Layout::HuggingFace => from_huggingface(own),
        _ => own.into_iter().map(|(name, t)| (from_chunks(&name, layout == Layout::Timm && swiglu), t)).collect(),
    };

    let mut missing = Vec::new();
    found.entry("mask_token".to_owned()).or_insert_with(|| {
        missing.push("mask_token (zeros stand in)".to_owned());
        Tensor::zeros([1, shape.dim], (Kind::Float, Device::Cpu))
    });
    let mut reshaped = Vec::new();
    if let Some(t) = found.remove("pos_embed") {
        found.insert("pos_embed".to_owned(), positions(t, shape, &mut reshaped));
    }
    let found: Vec<(String, Tensor)> = found.into_iter().collect();
    let declared: Vec<(String, Vec<i64>)> = shape.declare().into_iter().map(|d| (d.name, d.shape)).collect();
    check(what, &declared, &found)?;
    let tensors = found.into_iter().map(|(name, t)| (format!("backbone.{name}"), t)).collect();
    Ok(Adopted { tensors, layout, missing, unexpected, reshaped })
}

/// A name without what parallel training wraps around it.
pub(super) fn plain(name: &str) -> String {
    let name = name.replace("_fsdp_wrapped_module.", "");
    name.strip_prefix("module.").map_or(name.clone(), str::to_owned)
}

/// The prefix of the one backbone among `names`, or of the teacher's where there are several.
pub(super) fn backbone_of<'a>(names: impl Iterator<Item = &'a str>, what: &str) -> Result<String, DinoError> {
    let names: Vec<&str> = names.collect();
    let stem = |name: &str| {
        let prefix = name.strip_suffix("cls_token")?;
        Some(prefix.strip_suffix("embeddings.").unwrap_or(prefix).to_owned())
            .filter(|p| p.is_empty() || p.ends_with('.'))
    };
    let all: Vec<String> = names.iter().filter_map(|name| stem(name)).collect();
    let teachers: Vec<&String> = all.iter().filter(|prefix| prefix.split('.').any(|part| part == "teacher")).collect();
    match (&all[..], &teachers[..]) {
        ([one], _) => Ok(one.clone()),
        (_, [teacher]) => Ok((*teacher).clone()),
        ([], _) => Err(DinoError::Unsupported(format!(
            "{what} contains no DINOv2 backbone in a known layout: none of its {} tensors is called cls_token{}",
            names.len(),
            names.first().map(|name| format!(" (the first is {name:?})")).unwrap_or_default(),
        ))),
        _ => Err(DinoError::Unsupported(format!(
            "{what} contains several backbones ({}) but not exactly one teacher; save the one you want in a file of its own",
            all.join(", ")
        ))),
    }
}

/// Names by their first two parts, with how many there are of each.
fn counted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut modules: BTreeMap<String, u64> = BTreeMap::new();
    for name in names {
        let module: Vec<&str> = name.split('.').take(2).collect();
        *modules.entry(module.join(".")).or_default() += 1;
    }
    modules.into_iter().map(|(module, count)| format!("{module} ({count})")).collect()
}

/// `blocks.CHUNK.INDEX.…` is block INDEX (`block_chunks` of DINOv2); timm's names where they differ.
pub(super) fn from_chunks(name: &str, timm_swiglu: bool) -> String {
    if name == "reg_token" {
        return "register_tokens".to_owned();
    }
    let mut parts: Vec<&str> = name.split('.').collect();
    let is_number = |part: Option<&&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    if parts[0] == "blocks" && is_number(parts.get(1)) && is_number(parts.get(2)) {
        parts.remove(1);
    }
    let name = parts.join(".");
    match timm_swiglu {
        true => name.replace(".mlp.fc1.", ".mlp.w12.").replace(".mlp.fc2.", ".mlp.w3."),
        false => name,
    }
}

/// Names of `transformers`, whose query, key and value are three layers where ours is one.
fn from_huggingface(mut own: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let mut out = BTreeMap::new();
    let queries: Vec<String> =
        own.keys().filter(|name| name.contains(".attention.attention.query.")).cloned().collect();
    for query in queries {
        let of = |part: &str| query.replace(".query.", part);
        let names = [query.clone(), of(".key."), of(".value.")];
        // Where one is missing, all stay under their own names and the check tells.
        if names.iter().all(|name| own.contains_key(name)) {
            let parts: Vec<Tensor> = names.iter().filter_map(|name| own.remove(name)).collect();
            let name = query.replace("attention.attention.query", "attn.qkv");
            out.insert(from_layer(&name), Tensor::cat(&parts, 0));
        }
    }
    out.extend(own.into_iter().map(|(name, t)| (from_layer(&name), t)));
    out
}

pub(super) fn from_layer(name: &str) -> String {
    match name {
        "embeddings.position_embeddings" => return "pos_embed".to_owned(),
        "embeddings.patch_embeddings.projection.weight" => return "patch_embed.proj.weight".to_owned(),
        "embeddings.patch_embeddings.projection.bias" => return "patch_embed.proj.bias".to_owned(),
        "layernorm.weight" => return "norm.weight".to_owned(),
        "layernorm.bias" => return "norm.bias".to_owned(),
        _ => {}
    }
    if let Some(token) = name.strip_prefix("embeddings.") {
        return token.to_owned();
    }
    let Some(block) = name.strip_prefix("encoder.layer.") else { return name.to_owned() };
    let renamed = [
        ("attention.output.dense", "attn.proj"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("mlp.weights_in", "mlp.w12"),
        ("mlp.weights_out", "mlp.w3"),
    ];
    let block = renamed.iter().fold(block.to_owned(), |block, (theirs, ours)| block.replace(theirs, ours));
    format!("blocks.{block}")
}

/// Position embeddings `[1, 1 + g², D]` for the model's grid. timm gives CLS none when there are registers (it has added
/// that of CLS to its token): zeros stand in.
fn positions(t: Tensor, shape: &backbone::BackboneShape, reshaped: &mut Vec<String>) -> Tensor {
    let Ok((_, rows, d)) = t.size3() else { return t };
    let side = |n: i64| (n as f64).sqrt().round() as i64;
    let square = |n: i64| n > 0 && side(n) * side(n) == n;
    let t = match shape.registers > 0 && square(rows) && !square(rows - 1) {
        true => {
            reshaped.push(format!("pos_embed [1, {rows}, {d}] has no row for CLS (zeros stand in)"));
            Tensor::cat(&[Tensor::zeros([1, 1, d], (t.kind(), Device::Cpu)), t], 1)
        }
        false => t,
    };
    let stored = t.size()[1] - 1;
    if stored == shape.grid.pow(2) || !square(stored) {
        return t;
    }
    let (from, to) = (side(stored), shape.grid);
    reshaped.push(format!("pos_embed from {from} x {from} to {to} x {to} patches"));
    let grid = backbone::resize_grid(&t.narrow(1, 1, stored), (to, to), 0.0);
    Tensor::cat(&[t.narrow(1, 0, 1), grid], 1)
}
