//! Tests of sweep files: what is read, and what is refused in which words.

use super::*;
use results::measures::ProbeName;
use results::stats::score::Metric;

const SMALL: &str = "
name: small
base: ../train/tiny.yaml
shards: {train: ./patches, eval: [{name: cells, uri: ./cells, split: grouped}]}
reference: reference
arms:
  reference:
  koleo-on: {loss.koleo_weight: 0.1}
  locals: {loss: {n_local: 8}, shards.train: ./other}
seeds: [0, 1]
";

fn message(text: &str) -> String {
    format!("{:#}", SweepFile::parse(text, "s.yaml").unwrap_err())
}

#[test]
fn dotted_and_nested_deltas_are_the_same_and_the_reference_comes_first() {
    let arms = SweepFile::parse(SMALL, "s.yaml").unwrap().arm_specs().unwrap();
    let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names, ["reference", "koleo-on", "locals"]);
    assert_eq!(arms[2].delta.to_string(), "loss.n_local=8");
    assert_eq!(arms[2].train_shards.as_deref(), Some("./other"));
}

/// What is written instead of a part of the small sweep, and the whole message that a person gets.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str, &str)] = &[
    ("seeds:", "seed:", "line 10: unknown key `seed`; did you mean `seeds`?"),
    ("uri: ./cells", "url: ./cells", "line 4: unknown key `shards.eval[0].url`; did you mean `shards.eval[0].uri`?"),
    ("uri: ./cells, ", "", "line 4: `shards.eval[0].uri`: it is missing: give the URI of a labelled shard set"),
    ("split: grouped", "", "line 4: `shards.eval[0].split`: it is missing, and so is `probe.split`: name a split that `shard-builder split` wrote"),
    ("split: grouped}]", "split: a}, {name: cells, uri: x, split: a}]", "line 4: `shards.eval[1].name`: two evaluation sets are called `cells`: rename one"),
    ("eval: [{name: cells, uri: ./cells, split: grouped}]", "eval: []", "line 4: `shards.eval`: it is empty: a sweep compares arms by at least one labelled shard set"),
    ("train: ./patches, ", "", "line 4: `shards.train`: it is missing: give the URI of the shard set to train on"),
    ("name: small\n", "", ": `name`: it is missing: give a short name"),
    ("base: ../train/tiny.yaml\n", "", ": `base`: it is missing: give the path of a train config, relative to the sweep file"),
    ("name: small", "name: small\nname: big", "line 3: `name`: the key is given twice, first on line 2: keep one"),
    ("name: small", "name: [small]", "line 2: `name`: text is expected, not a list of 1"),
    ("[0, 1]", "[1, 1]", "line 10: `seeds`: it holds 1 twice: a seed is one trial of an arm"),
    ("[0, 1]", "[]", "line 10: `seeds`: it is empty: give at least one seed"),
    ("[0, 1]", "[-1]", "line 10: `seeds[0]`: a whole number from 0 is expected, not -1"),
    ("[0, 1]", "3", "line 10: `seeds`: a list is expected, not 3"),
    ("seeds:", "slots: 0\nseeds:", "line 10: `slots`: a number of trials at once from 1 to 10000 is expected"),
    ("seeds:", "slots: two\nseeds:", "line 10: `slots`: a whole number from 0 is expected, not the text \"two\""),
    ("seeds:", "time_limit_s: 0\nseeds:", "line 10: `time_limit_s`: seconds from 1 to 1000000000 are expected; leave it out for no limit"),
    ("seeds:", "threads: 5000\nseeds:", "line 10: `threads`: a number from 0 (all cores) to 4096 is expected"),
    ("seeds:", "primary: {probe: linear_standardized}\nseeds:", "line 10: `primary.probe`: one of linear, 1nn, 20nn, linear_standardised, knn_cosine, nearest_mean, mlp is expected, not the text \"linear_standardized\"; did you mean `linear_standardised`?"),
    ("seeds:", "primary: {metrics: accuracy}\nseeds:", "line 10: unknown key `primary.metrics`; did you mean `primary.metric`?"),
    ("split: grouped}", "split: grouped, primary: {metric: weightedf1}}", "line 4: `shards.eval[0].primary.metric`: one of accuracy, balanced_accuracy, weighted_f1, macro_f1 is expected, not the text \"weightedf1\"; did you mean `weighted_f1`?"),
    ("seeds:", "evaluations: [optimun]\nseeds:", "line 10: `evaluations[0]`: one of optimum, knn, nearest_mean, mlp, calibration, label_efficiency, labels_per_class, leave_one_source_out, anomaly, robustness, cost, controls is expected, not the text \"optimun\"; did you mean `optimum`?"),
    ("seeds:", "probe: {options: {no-random: true}}\nseeds:", "line 10: `probe.options.no-random`: write it with underscores: `no_random`"),
    ("seeds:", "probe:\n  options:\n    batch: 64\n    shape: yes please\nseeds:", "line 13: `probe.options.shape`: true or false is expected, not \"yes please\""),
    ("seeds:", "probe: {options: {out: x}}\nseeds:", "line 10: `probe.options.out`: the sweep gives this option itself; leave it out"),
    ("seeds:", "probe: {options: {step: last}}\nseeds:", "line 10: `probe.options.step`: a step number is expected, not \"last\""),
    ("seeds:", "primary: {probe: mlp}\nseeds:", "line 10: `primary`: nothing measures mlp: add mlp to `evaluations`"),
    ("seeds:", "evaluations: [optimum, optimum]\nseeds:", "line 10: `evaluations`: it names optimum twice: leave one out"),
    ("seeds:", "equivalence: 1\nseeds:", "line 10: `equivalence`: a fraction above 0 and up to 0.5 is expected: 0.01 is one point in either direction"),
    ("seeds:", "evidence: no\nseeds:", "line 10: `evidence`: true or false is expected, not the text \"no\""),
    ("seeds:", "leakage: deny\nseeds:", "line 10: `leakage`: one of refuse, warn, allow is expected, not the text \"deny\""),
    ("loss.koleo_weight: 0.1", "seed: 3", "line 8: `arms.koleo-on.seed`: seeds belong under `seeds`, so that all arms share them: leave it out here"),
    ("loss.koleo_weight: 0.1", "init: {seed: 3}", "line 8: `arms.koleo-on.init.seed`: seeds belong under `seeds`, so that all arms share them: leave it out here"),
    ("seeds:", "set: {init.seed: 1}\nseeds:", "line 10: `set.init.seed`: seeds belong under `seeds`, so that all arms share them: leave it out here"),
    ("seeds:", "grid: {seed: [1, 2]}\nseeds:", "line 10: `grid.seed`: seeds belong under `seeds`, so that all arms share them: leave it out here"),
    ("loss.koleo_weight: 0.1", "probe.batch: 3", "line 8: `arms.koleo-on.probe.batch`: it is the same for all arms: an arm may change `shards.train`, `slurm` and the keys of the train config"),
    ("{loss.koleo_weight: 0.1}", "3", "line 8: `arms.koleo-on`: a section is expected: names with their values"),
    ("loss.koleo_weight: 0.1", "loss.n_local: 1, loss: {n_local: 2}", "line 8: `arms.koleo-on.loss.n_local`: it is given twice, dotted and nested: keep one"),
    ("shards.train: ./other", "shards.train: 3", "line 9: `arms.locals.shards.train`: the URI of a shard set is expected"),
    ("koleo-on", "'../koleo'", "line 8: `arms.../koleo`: \"../koleo\" cannot name a record: use at most 100 letters, digits, `-`, `_`, `.`, `+`, `=` and `,`, beginning with a letter or digit"),
    ("koleo-on", "locals", "line 9: `arms.locals`: the key is given twice, first on line 8: keep one"),
    ("reference: reference\narms:\n  reference:", "arms:\n  base:", ": `reference`: no arm is called `reference`: write `reference: NAME`, the arm that the others are compared with"),
    ("reference: reference", "reference: koleo-off", "line 5: `reference`: `koleo-off` is not among the arms; did you mean `koleo-on`?"),
    ("seeds:", "exclude: [koleo-of*]\nseeds:", "line 10: `exclude[0]`: \"koleo-of*\" matches none; did you mean `koleo-on`?"),
    ("seeds:", "exclude: [ref*]\nseeds:", "line 10: `exclude`: it leaves out the reference arm `reference`: name another `reference`"),
    ("seeds:", "exclude: ['[a']\nseeds:", "line 10: `exclude[0]`: \"[a\" is not a glob: unclosed character class; missing ']'"),
    ("seeds:", "grid: {loss.n_local: 3}\nseeds:", "line 10: `grid.loss.n_local`: a list of values is expected: `[0, 8]`"),
    ("seeds:", "grid: {loss.n_local: [1]}\ngrid_names: locals\nseeds:", "line 9: `arms.locals`: the grid makes an arm that is called `locals` too: rename this one"),
    ("seeds:", "grid: {loss.n_local: [1, 2]}\ngrid_names: a\nseeds:", "line 11: `grid_names`: arms that differ only in `loss.n_local` would have the same name: write `{n_local}` in it"),
    ("loss.koleo_weight: 0.1", "slurm.node: 2", "line 8: unknown key `arms.koleo-on.slurm.node`; did you mean `arms.koleo-on.slurm.nodes`?"),
    ("seeds:", "slurm:\n  time: 3\nseeds:", "line 11: `slurm.time`: 180 s leave no time to work: a task writes its checkpoint `slurm.signal_s` = 300 s before its limit, and Slurm may say so 60 s earlier; ask for more than 360 s (a bare number is minutes), or lower signal_s"),
];

#[test]
fn every_kind_of_mistake_has_its_sentence() {
    let told = |old: &str, new: &str| message(&SMALL.replacen(old, new, 1));
    let wrong: Vec<_> = MISTAKES
        .iter()
        .map(|(old, new, said)| {
            (new, told(old, new), format!("s.yaml{}{said}", if said.starts_with(':') { "" } else { " " }))
        })
        .filter(|(_, told, right)| told != right)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_training_configuration_is_not_taken_for_a_sweep() {
    assert_eq!(
        message("# tiny\nmodel: {dim: 96}\nseed: 1\n"),
        "s.yaml line 2: a sweep file is expected, and this is a training configuration (it has `model`): name it as `base` of a sweep file"
    );
}

#[test]
fn arms_there_are_none_and_arms_of_a_list() {
    let start = SMALL.split("arms:").next().unwrap();
    let none = "`arms`: there are none: write at least the reference, `arms: {reference: }`, or `baselines`";
    assert_eq!(message(start), format!("s.yaml: {none}"));
    assert_eq!(message(&format!("{start}arms: {{}}\n")), format!("s.yaml line 6: {none}"));
    let list = message(&format!("{start}arms: [reference]\n"));
    assert_eq!(list, "s.yaml line 6: `arms`: a section is expected: names with their values");
}

#[test]
fn a_grid_or_a_sweep_that_is_too_large_is_refused_before_it_is_built() {
    let hundred = format!("{:?}", (0..100).collect::<Vec<_>>());
    let axes =
        ["loss.n_local", "optim.lr", "optim.wd", "model.depth"].map(|key| format!("{key}: {hundred}")).join(", ");
    assert_eq!(
        message(&format!("{SMALL}grid: {{{axes}}}\n")),
        "s.yaml line 11: `grid`: it makes 100 × 100 × 100 × 100 = 100000000 arms, and a sweep has at most 1000: write fewer values, or several sweeps"
    );
    let arms: String = (0..1000).map(|i| format!("  arm-{i}: {{loss.n_local: {i}}}\n")).collect();
    assert_eq!(
        message(&SMALL.replace("seeds:", &format!("{arms}seeds:"))),
        "s.yaml line 6: `arms`: there are 1003 arms, and a sweep has at most 1000: write several sweeps"
    );
    let seeds = format!("{:?}", (0..4000).collect::<Vec<_>>());
    assert_eq!(
        message(&SMALL.replace("[0, 1]", &seeds)),
        "s.yaml line 10: `seeds`: 3 arms × 4000 seeds are 12000 trials, and a sweep has at most 10000: write several sweeps"
    );
}

#[test]
fn deltas_know_their_lines() {
    let text = format!("{SMALL}set: {{optim: {{wd: 0.1}}}}\nthreads: 2\n");
    let file = SweepFile::parse(&text, "s.yaml").unwrap();
    let arms = file.arm_specs().unwrap();
    let deltas = file.deltas(&file.common().unwrap(), &arms[2]);
    let found: Vec<_> = deltas.iter().map(|delta| (delta.what.as_str(), delta.key.as_str())).collect();
    let expected =
        [("s.yaml line 11", "optim.wd"), ("s.yaml line 9", "loss.n_local"), ("s.yaml line 12", "train.threads")];
    assert_eq!(found, expected);
}

#[test]
fn a_grid_gives_one_arm_per_combination_less_the_excluded() {
    let text =
        format!("{SMALL}grid: {{loss.n_local: [0, 8], optim.lr: [0.001, 0.01]}}\nexclude: ['n_local=8,lr=0.01']\n");
    let arms = SweepFile::parse(&text, "s.yaml").unwrap().arm_specs().unwrap();
    let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(
        names,
        ["reference", "koleo-on", "locals", "n_local=0,lr=0.001", "n_local=0,lr=0.01", "n_local=8,lr=0.001"]
    );
}

#[test]
fn an_evaluation_set_has_the_primary_of_the_sweep_unless_it_names_another() {
    let evals = |text: &str| SweepFile::parse(text, "s.yaml").unwrap().evals().unwrap();
    assert_eq!(evals(SMALL)[0].primary, Primary::default());
    let other = format!("{SMALL}primary: {{metric: macro_f1}}\n");
    let default = Primary::default();
    assert_eq!(evals(&other)[0].primary, Primary { metric: Metric::MacroF1, ..default });
    let of_set = evals(&other.replace("split: grouped", "split: grouped, primary: {probe: 1nn}"));
    assert_eq!(of_set[0].primary, Primary { probe: ProbeName::OneNearest, metric: Metric::MacroF1 });
}

#[test]
fn leakage_is_refused_where_a_sweep_is_evidence_and_warned_of_elsewhere() {
    let leakage = |more: &str| SweepFile::parse(&format!("{SMALL}{more}"), "s.yaml").unwrap().leakage();
    assert_eq!(leakage(""), Leakage::Refuse);
    assert_eq!(leakage("evidence: false\n"), Leakage::Warn);
    assert_eq!(leakage("evidence: false\nleakage: refuse\n"), Leakage::Refuse);
    assert_eq!(leakage("leakage: allow\n"), Leakage::Allow);
}

#[test]
fn an_arm_may_ask_for_another_shape_and_its_experiment_stays_the_same() {
    let text = SMALL.replace("{loss.koleo_weight: 0.1}", "{loss.koleo_weight: 0.1, slurm: {nodes: 2}}");
    let file = SweepFile::parse(&format!("{text}slurm: {{partition: gpu}}\n"), "s.yaml").unwrap();
    let shapes = file.shapes().unwrap();
    assert_eq!((shapes["koleo-on"].train.nodes, shapes["reference"].train.nodes), (2, 1));
    assert_eq!(file.arm_specs().unwrap()[1].delta.keys().count(), 1);
}
