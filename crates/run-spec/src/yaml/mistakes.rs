//! One line for each kind of mistake in a file, with the whole message.

use super::*;
use crate::config::ResolvedConfig;

/// The message that a person gets for the train config `bytes`.
fn told(bytes: &[u8]) -> String {
    match Yaml::read(bytes, "a.yaml").and_then(|file| ResolvedConfig::from_layers(file, &[])) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

const BOMB: &str = "
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
";

#[rustfmt::skip]
const OF_TEXT: &[(&str, &str)] = &[
    ("loss:\n  n_local: 1\n  n_local: 2\n", "line 3: `loss.n_local`: the key is given twice, first on line 2: keep one"),
    ("a: 1\nb: 2\na: 3", "line 3: `a`: the key is given twice, first on line 1: keep one"),
    ("seed: 1\n---\nseed: 2\n", "line 2: a second document begins here: a file holds one; remove this line, or move the rest to another file"),
    ("seed: 1\n...\nseed: 2\n", "line 2: a second document begins here: a file holds one; remove this line, or move the rest to another file"),
    (BOMB, "line 5: `d[7]`: aliases (`*name`) repeat more than 10000 values: write out what is needed"),
    ("seed: &a [*a]\n", "line 1: `seed[0]`: an alias stands within what it repeats: write the values out"),
    ("loss:\n\tn_local: 1\n", "line 2: `loss`: a tab where only spaces may be: replace it by spaces"),
    ("init:\n  weights: >\n\tx\n", "line 2: `init.weights`: a tab where only spaces may be: replace it by spaces"),
    ("crops:\n  ratio: [1, 2\n", "line 2: `crops.ratio`: the bracket `[` is never closed: add `]`"),
    ("crops: {ratio: 1\n\n", "line 1: `crops`: the bracket `{` is never closed: add `}`"),
    ("crops: {ratio: 1\nseed: 4\n", "line 2: `crops.ratio`: a comma is missing, or the `}` that closes the bracket of line 1: add it"),
    ("crops: {ratio: [1, 2}\n", "line 1: `crops.ratio`: the bracket `[` is closed by `}`: close it by `]`"),
    ("seed: ]\n", "line 1: `seed`: a closing bracket has no opening one: remove it, or put the text between quotes"),
    ("seed: 'x\nloss: 3\n", "line 1: `seed`: a quote is never closed: add the closing quote"),
    ("seed: \"x\nloss: 3\n", "line 1: `seed`: a quote is never closed: add the closing quote"),
    ("seed: 'x' y\n", "line 1: `seed`: something follows a closing quote: put all of the text between the quotes"),
    ("seed: \"C:\\data\"\n", "line 1: `seed`: a backslash begins an escape that does not exist: double it, or use single quotes"),
    ("loss:\n  n_local: 1\n koleo_weight: 2\n", "line 3: `loss.n_local`: this line does not fit the ones above: begin all keys of a section, and all items of a list, in one column"),
    (" loss:\n  n_local: 1\nseed: 3\n", "line 3: `loss.n_local`: this line does not fit the ones above: begin all keys of a section, and all items of a list, in one column"),
    ("loss:\n  n_local: 1\n   koleo_weight: 2\n", "line 3: `loss.n_local`: a key where none may be: give each key its own line, indented like its neighbours, and put text that holds `: ` between quotes"),
    ("init: a: b\n", "line 1: `init`: a key where none may be: give each key its own line, indented like its neighbours, and put text that holds `: ` between quotes"),
    ("seed: 1\nloss\n", "line 2: `seed`: a line that is neither a key nor a value: write `key: value`, with a space after the colon"),
    ("seed: - 1\n", "line 1: `seed`: a `-` where no list item may be: put each item on its own line below the key, or write `[a, b]`"),
    ("seed: !foo 3\n", "line 1: `seed`: the tag `!foo` means nothing here: remove it, or put the value between quotes if it is text"),
    ("seed: !!int x\n", "line 1: `seed`: the value does not fit its tag (`!!…`): remove the tag"),
    ("seed: !<x\n", "line 1: `seed`: a value that begins with `!` is read as a tag: put it between quotes"),
    ("<<: 3\n", "line 1: `<<`: `<<` takes a section (`<<: *name`), or a list of sections"),
    ("init: {weights: *.pth}\n", "line 1: `init.weights`: a value that begins with `*` is read as an alias, and nothing is named so (`&name`): put it between quotes"),
    ("init: {weights: &}\n", "line 1: `init.weights`: a value cannot begin with `*` or `&`: put it between quotes"),
    ("init: {weights: @x}\n", "line 1: `init.weights`: a value cannot begin with `@`: put it between quotes"),
    ("%foo\nseed: 3\n", "line 2: a line that begins with `%` is read as a directive: remove it"),
    ("seed: 1 # one\n  2\n", "line 1: `seed`: a comment cuts a text of several lines in two: move it above the key"),
    ("seed: |x\n  y\n", "line 1: `seed`: `|` or `>` begins a text of several lines: put the text on the next line, or quotes around it"),
    ("? [a, b]\n: 3\n", "line 1: the key or value cannot be read: a key is a word, and a value a number, a text, a list or a section"),
    ("seed: 3\n\u{feff}loss: 3\n", "line 2: `seed`: a byte-order mark inside the file: remove it"),
    ("seed: 3\nloss: \0\n", "line 2: a zero byte, which no text holds: save the file as UTF-8 text"),
    ("optim: {lr: 1e999}", "line 1: `optim.lr`: `1e999` is not a finite number: write one, or put it between quotes if it is text"),
    ("optim: {lr: .nan}", "line 1: `optim.lr`: `.nan` is not a finite number: write one, or put it between quotes if it is text"),
    ("optim: {lr: -.inf}", "line 1: `optim.lr`: `-.inf` is not a finite number: write one, or put it between quotes if it is text"),
];

#[rustfmt::skip]
const OF_VALUES: &[(&str, &str)] = &[
    ("# a list\n- seed\n", "line 2: keys with their values are expected (`key: value`, with augmentation, channel_order, checkpoint, collective, crops, …), not a list of 1"),
    ("seed:3\n", "line 1: keys with their values are expected (`key: value`, with augmentation, channel_order, checkpoint, collective, crops, …), not the text \"seed:3\""),
    ("loss: 3", "line 1: `loss`: a section is expected (`key: value`, with center_momentum, centering, dino_normaliser, dino_weight, ibot_weight, …), not 3"),
    ("optim:\n  lr: fast", "line 2: `optim.lr`: a number is expected, not the text \"fast\""),
    ("optim: {lr: {a: 1}}", "line 1: `optim.lr`: a number is expected, not a section with a"),
    ("seed: -1", "line 1: `seed`: a whole number from 0 is expected, not -1"),
    ("seed: 1.5", "line 1: `seed`: a whole number from 0 is expected, not 1.5"),
    ("seed: 99999999999999999999999", "line 1: `seed`: a whole number from 0 is expected, not 1e+23"),
    ("seed: 1,000", "line 1: `seed`: a whole number from 0 is expected, not the text \"1,000\""),
    ("seed:\n", "line 1: `seed`: a whole number from 0 is expected, not nothing; write a value, or leave the key out"),
    ("train: {extra_step: yes}", "line 1: `train.extra_step`: true or false is expected, not the text \"yes\""),
    ("device: gpu", "line 1: `device`: one of auto, cpu, cuda is expected, not the text \"gpu\"; did you mean `cpu`?"),
    ("device: 3", "line 1: `device`: one of auto, cpu, cuda is expected, not 3"),
    ("log: {tensorboard: 3}", "line 1: `log.tensorboard`: text is expected, not 3; put it between quotes"),
    ("crops:\n  ratio:\n  - 1\n  - two", "line 4: `crops.ratio[1]`: a number is expected, not the text \"two\""),
    ("crops: {ratio: 3}", "line 1: `crops.ratio`: a list of 2 is expected, not 3"),
    ("crops: {ratio: [1, 2, 3]}", "line 1: `crops.ratio`: a list of 2 is expected, not a list of 3"),
    ("crops: {ratio: [2, 1]}", "line 1: `crops.ratio`: [2.0, 1.0] is not [least, most]: swap the two"),
    ("augmentation: {ops: Blur}", "line 1: `augmentation.ops`: a list is expected, not the text \"Blur\"; write it between brackets: [a]"),
    ("data: {source_weights: {a: x}}", "line 1: `data.source_weights.a`: a number is expected, not the text \"x\""),
    ("loss: {koleo_weight: -5}", "line 1: `loss.koleo_weight`: a number from 0 is expected, not -5"),
    ("# a sweep\nname: s\nbase: b.yaml\nshards: {}\n", "line 2: a training configuration is expected, and this is a sweep file (it has `base` and `shards`)"),
    ("learning_rate: 3", "line 1: unknown key `learning_rate`; did you mean `optim.lr`?"),
    ("optim: {weight_decay: 3}", "line 1: unknown key `optim.weight_decay`; did you mean `optim.wd`?"),
    ("koleo_wieght: 3", "line 1: unknown key `koleo_wieght`; did you mean `loss.koleo_weight`?"),
    ("loss: {koleo_wieght: 5}", "line 1: unknown key `loss.koleo_wieght`; did you mean `loss.koleo_weight`?"),
];

#[test]
fn every_kind_of_mistake_has_its_sentence() {
    let all = OF_TEXT.iter().chain(OF_VALUES);
    let wrong: Vec<_> = all
        .map(|(text, message)| (text, told(text.as_bytes()), format!("a.yaml {message}")))
        .filter(|(_, told, right)| told != right)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn text_in_another_encoding_is_refused() {
    let utf16: Vec<u8> = "\u{feff}seed: 3\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(told(&utf16), "a.yaml: the text is UTF-16: save the file as UTF-8");
    let bare: Vec<u8> = "seed: 3\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(told(&bare), "a.yaml line 1: a zero byte, which no text holds: save the file as UTF-8 text");
    let latin1 = "a.yaml line 2: the byte 0xe9 is not UTF-8: save the file as UTF-8";
    assert_eq!(told(b"seed: 3\ninit: {weights: mod\xe9le}\n"), latin1);
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let lists = format!("seed: {}{}", "[".repeat(80), "]".repeat(80));
    let sections: String = (0..80).map(|depth| format!("{}seed:\n", " ".repeat(depth))).collect();
    for (text, start) in [(lists, "a.yaml line 1: `seed[0][0]"), (sections, "a.yaml line 65: `seed.seed")] {
        let told = told(text.as_bytes());
        assert!(told.starts_with(start), "{told}");
        let end = "…`: nested too deeply: at most 64 sections or lists may stand one within another";
        assert!(told.ends_with(end), "{told}");
    }
}

#[test]
fn what_is_no_mistake_is_read() {
    let comments = format!("loss:\n{}  n_local: 3\n", "  # a word\n".repeat(200));
    let merged = "init: &i {seed: 1}\n<<: {init: {seed: 2}}\n";
    let good =
        ["", "# words\n", "---\n", "\u{feff}seed: 3\n", "--- # one\nseed: 3\n...\n", "seed: !!int 3\r\nloss: {}\r\n"];
    for text in good.into_iter().chain([comments.as_str(), merged]) {
        assert_eq!(told(text.as_bytes()), "nothing", "{text:?}");
    }
}

#[test]
fn an_argument_has_no_line() {
    let error = Yaml::parse("[1, 2", "--set crops.ratio=[1, 2").unwrap_err().to_string();
    assert_eq!(error, "--set crops.ratio=[1, 2: the bracket `[` is never closed: add `]`");
}
