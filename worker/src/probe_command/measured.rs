//! What further evaluations found, as lines for people.

use std::fmt::Write as _;

use results::measures::Evaluation;
use results::predictions::Measure;
use results::render::metric_words;

/// Numbers of curves, which are read from rows and reports.
const CURVES: [&str; 1] = ["risk"];

/// What a line is about: evaluation, probe, and the class, share, number of labels or source.
type About = (String, String, String);

/// Values by metric.
type Values<'a> = Vec<(&'a str, Vec<f64>)>;

/// One line for each evaluation, probe, class, share, number of labels and left-out source, with the mean of each metric over folds and draws.
pub(super) fn lines(measures: &[Measure]) -> Vec<String> {
    let mut found: Vec<(About, Values<'_>)> = Vec::new();
    for measure in measures.iter().filter(|measure| !CURVES.contains(&measure.metric.as_str())) {
        let about = about(measure);
        let at = found.iter().position(|(known, _)| *known == about).unwrap_or_else(|| {
            found.push((about, Vec::new()));
            found.len() - 1
        });
        let metrics = &mut found[at].1;
        match metrics.iter_mut().find(|(metric, _)| *metric == measure.metric) {
            Some((_, values)) => values.push(measure.value),
            None => metrics.push((&measure.metric, vec![measure.value])),
        }
    }
    found.iter().map(|(about, metrics)| line(about, metrics)).collect()
}

fn about(measure: &Measure) -> About {
    let share = measure.fraction.map(|share| format!(" at {} %", (1e4 * share).round() / 100.0));
    let labels = measure.labels_per_class.map(|labels| format!(" with {labels} labels per class"));
    let class = measure.class.as_ref().map(|class| format!(" {class}"));
    let source = (measure.evaluation == Evaluation::LeaveOneSourceOut.name()).then(|| format!(" {}", measure.fold));
    let parts = [class, share, labels, source].into_iter().flatten().collect::<String>();
    (measure.evaluation.clone(), measure.probe.clone(), parts)
}

fn line((evaluation, probe, place): &About, metrics: &[(&str, Vec<f64>)]) -> String {
    let mut text = format!("{evaluation:<20} {probe}{place}:");
    for (i, (metric, values)) in metrics.iter().enumerate() {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let _ = write!(text, "{} {} {mean:.3}", if i > 0 { "," } else { "" }, metric_words(metric));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_and_draws_are_averaged_and_shares_are_not() {
        let measure = |fraction, fold: &str, metric: &str, value| Measure {
            evaluation: "label_efficiency".into(),
            probe: "linear_standardised".into(),
            metric: metric.into(),
            class: None,
            fraction: Some(fraction),
            labels_per_class: None,
            repeat: Some(0),
            fold: fold.into(),
            value,
            n: 10,
            n_train: 20,
            note: String::new(),
        };
        let measures = [
            measure(0.05, "0", "weighted_f1", 0.5),
            measure(0.05, "1", "weighted_f1", 0.7),
            measure(1.0, "0", "weighted_f1", 0.9),
            measure(1.0, "0", "risk", 0.9),
        ];
        let expected = [
            "label_efficiency     linear_standardised at 5 %: weighted F1 0.600",
            "label_efficiency     linear_standardised at 100 %: weighted F1 0.900",
        ];
        assert_eq!(lines(&measures), expected);
    }
}
