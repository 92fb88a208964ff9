//! The paragraph of methods, from what was really run.

use results::measures::Primary;
use results::render::metric_words;
use results::table::{POWER, Table};

use crate::sentence::{counted, percent, points};

/// What was run, as far as a table does not say it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Design {
    /// Version of the code.
    pub code: String,
    /// The arms with what they change, the reference first.
    pub arms: Vec<(String, String)>,
    /// The seeds.
    pub seeds: Vec<String>,
    /// What trained, in words, one of each kind.
    pub devices: Vec<String>,
    /// Device hours of all scored trials.
    pub hours: f64,
    /// Trials that were planned.
    pub trials: usize,
    /// The evaluation sets.
    pub evaluations: Vec<EvaluationDesign>,
}

/// One evaluation set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EvaluationDesign {
    /// The evaluation set as the sweep file names it.
    pub name: String,
    /// The split by which folds are held out.
    pub split: String,
    /// The probe and metric on which verdicts are based.
    pub primary: Primary,
    /// Short digest of its shard set.
    pub shards: String,
    /// Classes, cells, sources and groups; `None` where no predictions are kept.
    pub size: Option<Size>,
    /// Whether training saw its images.
    pub transductive: bool,
}

/// How large an evaluation set is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of classes.
    pub classes: usize,
    /// Number of cells.
    pub cells: usize,
    /// Number of sources.
    pub sources: usize,
    /// Number of groups (images, patients).
    pub groups: usize,
}

/// The paragraphs. Those of a smoke test begin with that.
pub fn methods(table: &Table, design: &Design) -> Vec<String> {
    let mut paragraphs = Vec::new();
    if !table.evidence {
        paragraphs.push(
            "This was a smoke test: the runs are far too short and too few to say anything about the arms.".to_owned(),
        );
    }
    paragraphs.push(trained(table, design));
    paragraphs.extend(design.evaluations.iter().map(evaluated));
    paragraphs.extend(compared(table));
    paragraphs
}

fn trained(table: &Table, design: &Design) -> String {
    let seeds = match design.seeds.as_slice() {
        [one] => format!("one seed ({one})"),
        several => format!("{} seeds ({})", several.len(), several.join(", ")),
    };
    let mut text = format!(
        "We trained {} by self-distillation without labels (DINOv2), each under {seeds}",
        counted(design.arms.len(), "arm")
    );
    let others: Vec<String> = design.arms.iter().skip(1).map(|(name, changes)| format!("{name} ({changes})")).collect();
    if let (Some((reference, _)), false) = (design.arms.first(), others.is_empty()) {
        text += &format!("; compared with the reference arm, `{reference}`, they differ in: {}", others.join(", "));
    }
    text += &format!(
        ". Trials of one seed share initial weights, order of images and views. Code: reddino {}.",
        design.code
    );
    if design.hours > 0.0 {
        text += &format!(" Training took {:.1} hours in total, on {}.", design.hours, design.devices.join(" and "));
    }
    let missing = table.unscored.len();
    if missing > 0 {
        text += &format!(" {missing} of {} have no scores and are listed.", counted(design.trials, "trial"));
    }
    text
}

fn evaluated(eval: &EvaluationDesign) -> String {
    let Primary { probe, metric } = eval.primary;
    let mut text = format!("On {} (shard set {})", eval.name, eval.shards);
    if let Some(size) = eval.size {
        let (cells, classes) = (
            counted(size.cells, "cell"),
            if size.classes == 1 { "1 class".to_owned() } else { format!("{} classes", size.classes) },
        );
        text += &format!(
            ", {cells} of {classes} in {} from {},",
            counted(size.groups, "group"),
            counted(size.sources, "source")
        );
    }
    text += &format!(
        " the class token of the teacher was frozen and probed in the folds of the split {}, whose folds share no group; the primary \
         comparison is {} by the probe {}.",
        eval.split,
        metric_words(metric.name()),
        probe.name()
    );
    if eval.transductive {
        text += " The training set contains images of this set, without labels: scores on it are transductive.";
    }
    text
}

fn compared(table: &Table) -> Option<String> {
    let reference = table.reference.as_ref().filter(|_| table.family.tests() > 0)?;
    Some(format!(
        "A score is the metric of each fold, averaged over the folds of a source, then over sources, then over seeds. Differences to \
         {reference} are paired by seed; their {} % intervals cover new seeds and new groups of these sources (the analysis of multi-reader studies \
         of Obuchowski & Rockette with seeds as readers and groups as cases, critical values of Cochran & Cox). An arm is called equivalent if the \
         {} % interval lies within ±{} points (two one-sided tests), else better or worse if p is below {} after Holm's correction over {}, else \
         undecided. What a design can detect is given for a power of {} %.",
        percent(table.level()),
        percent(1.0 - 2.0 * table.rules.alpha),
        points(table.rules.margin),
        table.rules.alpha,
        counted(table.family.tests(), "comparison"),
        percent(POWER),
    ))
}
