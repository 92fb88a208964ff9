//! Numbers as people read them.

use crate::stats::score::Metric;

/// A metric as a reader knows it.
pub fn metric_words(metric: &str) -> String {
    match metric {
        "auroc" | "aupr" | "aurc" => metric.to_uppercase(),
        "parameters_million" => "parameters, millions".to_owned(),
        "gflop_per_image" => "GFLOP an image".to_owned(),
        "images_per_s" => "images a second".to_owned(),
        "brier" => "Brier".to_owned(),
        metric => metric.replace("f1", "F1").replace("at_90", "at_90_%").replace('_', " "),
    }
}

/// Metrics of further evaluations that are shown in percent.
const FRACTIONS: [&str; 10] = [
    "optimum_changes",
    "accuracy_at_90_coverage",
    "auroc",
    "aupr",
    "calibration_error",
    "prevalence",
    "biology_index",
    "biology_index_by_chance",
    "same_class_other_source",
    "same_source_other_class",
];

/// How the numbers of a metric are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// A fraction, shown in percent with one decimal.
    Percent,
    /// A number with four decimals.
    Plain,
    /// A number of dimensions or of other large things, with one decimal.
    Dimensions,
}

/// Whether a metric is a fraction that is shown in percent.
pub fn is_percent(metric: &str) -> bool {
    Scale::of(metric) == Scale::Percent
}

impl Scale {
    pub(super) fn of(metric: &str) -> Self {
        match metric {
            "effective_rank" | "parameters_million" | "gflop_per_image" | "images_per_s" => Self::Dimensions,
            metric if Metric::named(metric).is_some() || FRACTIONS.contains(&metric) => Self::Percent,
            metric if metric.strip_prefix("worst_").is_some_and(|metric| Metric::named(metric).is_some()) => {
                Self::Percent
            }
            _ => Self::Plain,
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Percent => " in %",
            Self::Plain | Self::Dimensions => "",
        }
    }

    pub(super) fn number(self, x: f64) -> String {
        match self {
            Self::Percent => format!("{:.1}", 100.0 * x),
            Self::Plain => format!("{x:.4}"),
            Self::Dimensions => format!("{x:.1}"),
        }
    }

    /// With a sign, unless it rounds to nothing.
    pub(super) fn signed(self, x: f64) -> String {
        let text = self.number(x.abs());
        let zero = text.chars().all(|c| c == '0' || c == '.');
        let sign = match (zero, x < 0.0) {
            (true, _) => "",
            (false, true) => "−",
            (false, false) => "+",
        };
        format!("{sign}{text}")
    }

    /// A mean, and its spread where there is one.
    pub(super) fn spread(self, mean: f64, std: Option<f64>) -> String {
        // The mean may be negative here: uniformity is.
        let sign = if mean < 0.0 { "−" } else { "" };
        let std = std.map(|std| format!(" ± {}", self.number(std))).unwrap_or_default();
        format!("{sign}{}{std}", self.number(mean.abs()))
    }
}

/// A p value, never shown as zero.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}
