//! Files of weights: each layout gives the same backbone, and a hostile file is refused with one sentence.
//!
//! The `.pth` files are put together here, byte by byte as `torch.save` writes them (zip without compression, pickle of
//! protocol 2), so that each can be spoiled in one place.

use dino::{
    Encoder, backbone, export,
    tensor_bytes::to_bytes,
    weights::{Layout, adopt, read},
};
use run_spec::config::{Ffn, TrainConfig};
use tch::{Device, Kind, Tensor};

type Named = Vec<(String, Tensor)>;

/// A zip archive of stored entries, each padded to 64 bytes as PyTorch does.
fn archive(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let u16 = |n: usize| (n as u16).to_le_bytes();
    let u32 = |n: usize| (n as u32).to_le_bytes();
    for (name, data) in entries {
        let (at, size) = (out.len(), data.len());
        let padding = 64 - (at + 30 + name.len() + 4) % 64;
        out.extend(b"PK\x03\x04");
        out.extend([0; 14]);
        out.extend([&u32(size)[..], &u32(size), &u16(name.len()), &u16(4 + padding), name.as_bytes()].concat());
        out.extend([&b"FB"[..], &u16(padding), &vec![b'Z'; padding], data].concat());
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 16]);
        directory.extend([&u32(size)[..], &u32(size), &u16(name.len())].concat());
        directory.extend([0; 12]);
        directory.extend([&u32(at)[..], name.as_bytes()].concat());
    }
    let at = out.len();
    out.extend([&directory[..], b"PK\x05\x06", &[0; 4], &u16(entries.len()), &u16(entries.len())].concat());
    out.extend([&u32(directory.len())[..], &u32(at), &[0; 2]].concat());
    out
}

fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn int(n: i64) -> Vec<u8> {
    [&b"J"[..], &(n as i32).to_le_bytes()].concat()
}

fn tuple(items: &[i64]) -> Vec<u8> {
    [&b"("[..], &items.iter().flat_map(|n| int(*n)).collect::<Vec<u8>>(), b"t"].concat()
}

/// A tensor in a pickle: where it starts, its shape and strides, over the storage `key` of `elements` elements.
struct View<'a> {
    class: &'a str,
    key: &'a str,
    elements: i64,
    offset: i64,
    shape: &'a [i64],
    strides: &'a [i64],
}

impl View<'_> {
    fn pickled(&self) -> Vec<u8> {
        let storage = [
            b"(".to_vec(),
            text("storage"),
            format!("ctorch\n{}\n", self.class).into_bytes(),
            text(self.key),
            text("cpu"),
            int(self.elements),
            b"tQ".to_vec(),
        ];
        let rest =
            [int(self.offset), tuple(self.shape), tuple(self.strides), b"\x89ccollections\nOrderedDict\n)RtR".to_vec()];
        [&b"ctorch._utils\n_rebuild_tensor_v2\n("[..], &storage.concat(), &rest.concat()].concat()
    }
}

/// `{name: value, …}`, each value pickled already.
fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|(name, value)| [text(name), value.clone()].concat()).collect();
    [&b"}("[..], &items, b"u"].concat()
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

fn bytes_of(t: &Tensor) -> Vec<u8> {
    let values: Vec<f32> = Vec::try_from(t.to_kind(Kind::Float).flatten(0, -1)).unwrap();
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn strides_of(shape: &[i64]) -> Vec<i64> {
    (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect()
}

/// `tensors` as `torch.save` writes them, below `above` if that is a name, beside some of what else checkpoints hold.
fn pth(tensors: &Named, above: Option<&str>) -> Vec<u8> {
    let keys: Vec<String> = (0..tensors.len()).map(|i| format!("archive/data/{i}")).collect();
    let views: Vec<(&str, Vec<u8>)> = tensors
        .iter()
        .enumerate()
        .map(|(i, (name, t))| {
            let (shape, key) = (t.size(), i.to_string());
            let strides = strides_of(&shape);
            let view = View {
                class: "FloatStorage",
                key: &key,
                elements: t.numel() as i64,
                offset: 0,
                shape: &shape,
                strides: &strides,
            };
            (name.as_str(), view.pickled())
        })
        .collect();
    let mut value = dict(&views);
    if let Some(above) = above {
        // A learning rate, a list with None, and `_metadata` set on the dictionary.
        let state = [value, dict(&[]), b"b".to_vec()].concat();
        let rate = [&b"G"[..], &0.5_f64.to_be_bytes()].concat();
        value = dict(&[(above, state), ("lr", rate), ("args", b"](NK\x07\x88e".to_vec())]);
    }
    let mut entries = vec![("archive/data.pkl", pickle(&value))];
    entries.extend(keys.iter().zip(tensors).map(|(key, (_, t))| (key.as_str(), bytes_of(t))));
    entries.push(("archive/version", b"3\n".to_vec()));
    archive(&entries)
}

/// One tensor `x`, made of `view`, over eight floats called `0`.
fn one(view: &View<'_>) -> Vec<u8> {
    let data: Vec<u8> = (0..8).flat_map(|n| (n as f32).to_le_bytes()).collect();
    archive(&[("a/data.pkl", pickle(&dict(&[("x", view.pickled())]))), ("a/data/0", data)])
}

const EIGHT: View<'static> =
    View { class: "FloatStorage", key: "0", elements: 8, offset: 0, shape: &[8], strides: &[1] };

fn config(registers: i64, ffn: Ffn) -> TrainConfig {
    let mut config = TrainConfig::default();
    (config.model.dim, config.model.depth, config.model.heads, config.model.patch) = (16, 2, 2, 4);
    (config.model.registers, config.model.ffn, config.model.layerscale_init) = (registers, ffn, 0.7);
    config.crops.global_size = 16;
    config
}

/// A random backbone in DINOv2's names, its position embeddings and tokens large enough to matter, and its features.
fn released(config: &TrainConfig, images: &Tensor) -> (Named, Tensor) {
    let random = Encoder::random(config, 7, Device::Cpu).unwrap();
    let named: Named = random
        .params()
        .iter()
        .map(|(name, t)| {
            let large = ["token", "pos_embed"].iter().any(|part| name.contains(part));
            let t = if large {
                t * 0.1 + Tensor::arange(t.numel() as i64, (Kind::Float, Device::Cpu)).sin().view_as(t)
            } else {
                t.copy()
            };
            (name.strip_prefix("backbone.").unwrap().to_owned(), t)
        })
        .collect();
    let encoder = Encoder::load(config, copies(&named), "released", Device::Cpu).unwrap();
    let features = encoder.features(images);
    (named, features)
}

fn copies(named: &Named) -> Named {
    named.iter().map(|(name, t)| (name.clone(), t.copy())).collect()
}

fn images() -> Tensor {
    (Tensor::arange(2 * 3 * 16 * 16, (Kind::Float, Device::Cpu)) * 0.37).sin().view([2, 3, 16, 16])
}

/// `transformers`' names, by a list of their own: see `Dinov2Model.state_dict()`.
fn huggingface(named: &Named) -> Named {
    let mut out = Named::new();
    for (name, t) in named {
        if let Some((layer, part)) = name.split_once(".attn.qkv.") {
            let layer = layer.replace("blocks", "encoder.layer");
            for (piece, t) in ["query", "key", "value"].iter().zip(t.chunk(3, 0)) {
                out.push((format!("{layer}.attention.attention.{piece}.{part}"), t.contiguous()));
            }
            continue;
        }
        let name = match name.as_str() {
            "pos_embed" => "embeddings.position_embeddings".to_owned(),
            "norm.weight" | "norm.bias" => format!("layer{name}"),
            "cls_token" | "mask_token" | "register_tokens" => format!("embeddings.{name}"),
            name => name
                .replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
                .replace("blocks", "encoder.layer")
                .replace("attn.proj", "attention.output.dense")
                .replace("ls1.gamma", "layer_scale1.lambda1")
                .replace("ls2.gamma", "layer_scale2.lambda1")
                .replace("w12", "weights_in")
                .replace("w3", "weights_out"),
        };
        out.push((name, t.copy()));
    }
    out
}

fn below(prefix: &str, named: &Named) -> Named {
    named.iter().map(|(name, t)| (format!("{prefix}{name}"), t.copy())).collect()
}

#[test]
fn every_layout_gives_the_same_features() {
    let images = images();
    for (registers, ffn) in [(0, Ffn::Mlp), (2, Ffn::Swiglu)] {
        let config = config(registers, ffn);
        let shape = backbone::BackboneShape::of(&config);
        let (named, expected) = released(&config, &images);
        let encoder = Encoder::load(&config, copies(&named), "released", Device::Cpu).unwrap();
        let chunked = named.iter().map(|(name, t)| (name.replacen("blocks.", "blocks.0.", 1), t.copy())).collect();
        let mut teacher = below("backbone.", &named);
        teacher.push(("dino_head.last_layer.weight_g".into(), Tensor::ones([5, 1], (Kind::Float, Device::Cpu))));
        let mut run = below("teacher.backbone.", &named);
        run.extend(below("student.backbone.", &named).into_iter().map(|(name, t)| (name, t * 2.0)));
        let mut classifier = below("dinov2.", &huggingface(&named));
        classifier.push(("classifier.weight".into(), Tensor::ones([3, 32], (Kind::Float, Device::Cpu))));
        let safe = |named: &Named| to_bytes(named, None).unwrap();
        let files = [
            ("dinov2", pth(&named, None), Layout::Dinov2),
            ("dinov2 in chunks", pth(&chunked, Some("model")), Layout::Teacher),
            ("dinobloom, reddino", pth(&teacher, Some("teacher")), Layout::Teacher),
            ("a checkpoint of ours", safe(&run), Layout::Teacher),
            ("timm", safe(&export::timm(encoder.params())), Layout::Timm),
            ("huggingface", safe(&huggingface(&named)), Layout::HuggingFace),
            ("a classifier of huggingface", safe(&classifier), Layout::HuggingFace),
        ];
        for (what, bytes, layout) in files {
            let tensors = read(&bytes, what).unwrap();
            let adopted = adopt(&shape, copies(&tensors), what).unwrap();
            assert_eq!(adopted.layout, layout, "{what}");
            assert_eq!(adopted.missing.is_empty(), layout != Layout::Timm, "{what}: {:?}", adopted.missing);
            let found = Encoder::load(&config, tensors, what, Device::Cpu).unwrap().features(&images);
            let gap = (found - &expected).abs().max().double_value(&[]);
            assert!(gap <= 1e-5, "{what}: features differ by {gap:.1e}");
        }
    }
}

#[test]
fn what_was_done_to_a_file_is_told() {
    let mut config = config(0, Ffn::Mlp);
    let (named, _) = released(&config, &images());
    config.crops.global_size = 12;
    let mut file = below("backbone.", &named);
    file.retain(|(name, _)| !name.contains("mask_token"));
    for part in ["mlp.0.weight", "mlp.0.bias", "last_layer.weight_g"] {
        file.push((format!("dino_head.{part}"), Tensor::ones([2], (Kind::Float, Device::Cpu))));
    }
    let adopted = adopt(&backbone::BackboneShape::of(&config), file, "a.pth").unwrap();
    assert_eq!(adopted.missing, ["mask_token (zeros stand in)"]);
    assert_eq!(adopted.unexpected, ["dino_head.last_layer (1)", "dino_head.mlp (2)"]);
    assert_eq!(adopted.reshaped, ["pos_embed from 4 x 4 to 3 x 3 patches"]);
    let pos = |list: &Named, name: &str| list.iter().find(|(n, _)| n == name).unwrap().1.shallow_clone();
    let (stored, found) = (pos(&named, "pos_embed"), pos(&adopted.tensors, "backbone.pos_embed"));
    let expected = backbone::resize_grid(&stored.narrow(1, 1, 16), (3, 3), 0.0);
    assert!(found.narrow(1, 1, 9).equal(&expected) && found.narrow(1, 0, 1).equal(&stored.narrow(1, 0, 1)));
}

#[test]
fn weights_of_another_model_are_refused_by_name() {
    let plain = config(0, Ffn::Mlp);
    let (named, _) = released(&config(2, Ffn::Mlp), &images());
    let refused = |file: Named| adopt(&backbone::BackboneShape::of(&plain), file, "a.pth").unwrap_err().to_string();
    let message = refused(copies(&named));
    assert!(
        message.contains("a.pth: it has width 16, depth 2, patch 4 and 2 registers, and the configuration"),
        "{message}"
    );
    let (own, _) = released(&plain, &images());
    let without = own.into_iter().filter(|(name, _)| name != "blocks.1.norm1.weight").collect();
    let message = refused(without);
    assert!(
        message.contains("a.pth does not fit this model: missing") && message.contains("blocks.1.norm1"),
        "{message}"
    );
    let message = refused(vec![("conv1.weight".into(), Tensor::ones([3], (Kind::Float, Device::Cpu)))]);
    assert!(message.contains("no DINOv2 backbone in a known layout") && message.contains("conv1.weight"), "{message}");
    let both = below("a.", &named).into_iter().chain(below("b.", &named)).collect();
    assert!(refused(both).contains("several backbones (a., b.)"));
}

#[test]
fn views_are_read_as_they_lie() {
    let read_one =
        |view: &View<'_>| Vec::<f64>::try_from(read(&one(view), "a.pth").unwrap().remove(0).1.flatten(0, -1)).unwrap();
    assert_eq!(read_one(&EIGHT), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(read_one(&View { offset: 5, shape: &[3], ..EIGHT }), [5.0, 6.0, 7.0]);
    assert_eq!(read_one(&View { shape: &[2, 3], strides: &[1, 2], ..EIGHT }), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    assert_eq!(read_one(&View { shape: &[], strides: &[], offset: 4, ..EIGHT }), [4.0]);
    assert!(read_one(&View { shape: &[0, 3], strides: &[3, 1], ..EIGHT }).is_empty());
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes, "a.pth").unwrap_err().to_string()
}

#[test]
fn tensors_beyond_their_data_are_refused() {
    for view in [
        View { offset: 1, ..EIGHT },
        View { shape: &[9], ..EIGHT },
        View { shape: &[4], strides: &[3], ..EIGHT },
        View { offset: -1, ..EIGHT },
        View { shape: &[2], strides: &[-1], ..EIGHT },
        View { shape: &[8, 2], ..EIGHT },
        // A stride of 0 would make terabytes out of one number.
        View { shape: &[1 << 20, 1 << 20], strides: &[0, 0], ..EIGHT },
        View { shape: &[i32::MAX.into(), i32::MAX.into(), i32::MAX.into()], strides: &[1, 1, 1], ..EIGHT },
    ] {
        let message = refusal(&one(&view));
        assert!(message.contains("tensor \"x\" reaches beyond its data"), "{message}");
    }
    assert!(refusal(&one(&View { elements: 9, ..EIGHT })).contains("says another size than its data has"));
    assert!(refusal(&one(&View { key: "1", ..EIGHT })).contains("has no data in the file"));
    assert!(refusal(&one(&View { class: "QInt8Storage", ..EIGHT })).contains("element type that weights do not have"));
    // Many views of one storage: together they may not be larger than the file allows.
    let views: Vec<(String, Vec<u8>)> = (0..9000).map(|i| (i.to_string(), b"h\x01".to_vec())).collect();
    let views: Vec<(&str, Vec<u8>)> = views.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let kept = [EIGHT.pickled(), b"q\x010".to_vec()].concat();
    let file = |value: Vec<u8>| archive(&[("a/data.pkl", pickle(&value)), ("a/data/0", vec![0; 32])]);
    // POP is no opcode that tensors need, so the first tensor is a value of the dictionary.
    assert!(refusal(&file(kept)).contains("an opcode (0x30) that is refused"));
    let mut all = vec![("first", [EIGHT.pickled(), b"q\x01".to_vec()].concat())];
    all.extend(views);
    assert!(refusal(&file(dict(&all))).contains("makes the tensors larger than their file"));
}

#[test]
fn code_is_never_run() {
    let asks = |value: &[u8]| refusal(&archive(&[("a/data.pkl", pickle(value))]));
    let message = asks(b"cos\nsystem\n(X\x04\x00\x00\x00truetR");
    assert!(message.starts_with("a.pth asks for os.system, which is refused"), "{message}");
    assert!(asks(b"c__builtin__\neval\n(X\x01\x00\x00\x001tR").contains("__builtin__.eval"));
    assert!(asks(b"X\x05\x00\x00\x00posixX\x06\x00\x00\x00system\x93").contains("posix.system"));
    assert!(asks(b"ctorch\nload\n").contains("torch.load"));
    // INST, OBJ, NEWOBJ, EXT1: other ways to call.
    for value in [&b"(ios\nsystem\n"[..], b"(cos\nsystem\no", b"}}\x81", b"\x82\x01"] {
        let message = asks(value);
        assert!(
            message.contains("asks for") || message.contains("an opcode") || message.contains("do not fit"),
            "{message}"
        );
    }
}

#[test]
fn damaged_files_are_refused() {
    let whole = pth(&vec![("x".into(), Tensor::ones([40], (Kind::Float, Device::Cpu)))], None);
    assert_eq!(read(&whole, "a.pth").unwrap().len(), 1);
    for end in 4..whole.len() {
        assert!(read(&whole[..end], "a.pth").is_err(), "cut after {end} bytes");
    }
    // One byte changed anywhere may give other numbers, but never a panic.
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xFF;
        let _ = read(&bytes, "a.pth");
    }
    let asks = |value: &[u8]| refusal(&archive(&[("a/data.pkl", value.to_vec())]));
    assert!(asks(b"\x80\x02}").contains("its pickle ends too early"));
    assert!(asks(b"\x80\x02.").contains("takes from an empty stack"));
    assert!(asks(b"\x80\x02h\x05.").contains("recalls what it never kept"));
    assert!(asks(b"\x80\x02r\xff\xff\xff\xff.").contains("empty stack"));
    assert!(asks(b"\x80\x02Nr\xff\xff\xff\xff.").contains("memo is too large"));
    assert!(asks(b"\x80\x02X\xff\xff\xff\xffa.").contains("its pickle ends too early"));
    assert!(asks(b"\x80\x02]u.").contains("lacks a mark"));
    assert!(asks(b"\x80\x02]](Nu.").contains("do not fit"));
    assert!(asks(b"\x80\x02N.").contains("not a dictionary of tensors"));
    assert!(refusal(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").contains("before version 1.6"));
    assert!(refusal(b"<html>not found</html>").contains("neither a safetensors nor a .pth file"));
}

#[test]
fn files_that_would_grow_or_nest_without_end_are_refused() {
    let asks = |value: &[u8]| refusal(&archive(&[("a/data.pkl", pickle(value))]));
    // A million tuples, each around the last: they take room, but no stack.
    let deep = [&b")"[..], &vec![0x85; 1_000_000]].concat();
    assert!(asks(&deep).contains("not a dictionary of tensors"));
    assert!(asks(&vec![b'N'; 2_000_001]).contains("more than 2000000 values"));
    assert!(asks(&[&b"Nq\x00"[..], &b"h\x00".repeat(2_000_001)].concat()).contains("stack is too large"));
    // Each level holds the last one thirty times: 30^6 keys if nobody counted.
    let mut value = dict(&[]);
    for _ in 0..6 {
        let names: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        let mut items = vec![(names[0].as_str(), [value, b"q\x00".to_vec()].concat())];
        items.extend(names[1..].iter().map(|name| (name.as_str(), b"h\x00".to_vec())));
        value = dict(&items);
    }
    assert!(asks(&value).contains("more keys than weights have"));
    let mut nested = dict(&[]);
    for _ in 0..9 {
        nested = dict(&[("a", nested)]);
    }
    assert!(asks(&nested).contains("nested deeper"));
}
