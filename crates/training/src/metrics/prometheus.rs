//! The last known metrics in Prometheus' text format, for node_exporter's textfile collector (docs/metrics.md has the names).
//!
//! The file is replaced as a whole, so a reader never sees half of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use run_folder::{MetricsLine, StepOutcome};

/// Metrics-line key, Prometheus name after `reddino_train_`, factor to base units, help.
const GAUGES: [(&str, &str, f64, &str); 25] = [
    ("step", "step", 1.0, "Number of the last step that has a metrics line."),
    ("loss", "loss", 1.0, "Total loss in nats."),
    ("dino_global", "dino_global_loss", 1.0, "DINO loss of the global crops in nats."),
    ("dino_local", "dino_local_loss", 1.0, "DINO loss of the local crops in nats."),
    ("ibot", "ibot_loss", 1.0, "Loss of the masked patches in nats."),
    ("koleo", "koleo_loss", 1.0, "KoLeo loss with its weight."),
    ("sigreg", "sigreg_loss", 1.0, "SIGReg loss with its weight."),
    ("lr", "learning_rate", 1.0, "Learning rate."),
    ("last_layer_lr", "last_layer_learning_rate", 1.0, "Learning rate of the last layer of the heads."),
    ("wd", "weight_decay", 1.0, "Weight decay."),
    ("momentum", "teacher_momentum", 1.0, "Momentum of the teacher."),
    ("teacher_temp", "teacher_temperature", 1.0, "Temperature of the teacher."),
    ("teacher_entropy", "teacher_entropy_nats", 1.0, "Mean entropy of the teacher's targets in nats."),
    ("rankme", "rankme_dimensions", 1.0, "Effective rank of the teacher's features in dimensions."),
    ("images_per_s", "images_per_second", 1.0, "Images per second over all ranks."),
    ("data_wait", "data_wait_ratio", 1.0, "Share of the time that was spent waiting for data."),
    ("memory_mb", "resident_memory_bytes", 1_048_576.0, "Memory of the process of rank 0 in bytes."),
    ("all_reduce_s", "all_reduce_seconds", 1.0, "Seconds of summing gradients in the last step."),
    (
        "kwh",
        "energy_joules",
        3.6e6,
        "Energy that all ranks have used since the run began in joules, by counters or estimated.",
    ),
    ("kg_co2e", "emissions_kilograms", 1.0, "What that has emitted in kilograms of CO2 equivalent."),
    ("ranks/slowest", "slowest_rank", 1.0, "The rank that the others waited for."),
    ("ranks/busy_s", "slowest_rank_busy_seconds", 1.0, "Median seconds of its steps without waits for other ranks."),
    ("ranks/median_busy_s", "median_rank_busy_seconds", 1.0, "The same of the median rank."),
    ("checkpoint_stall_s", "checkpoint_stall_seconds", 1.0, "Seconds that steps waited for the last checkpoint."),
    ("checkpoint_upload_s", "checkpoint_upload_seconds", 1.0, "Seconds of writing the last checkpoint."),
];

/// Beginning of metrics-line keys, the label that the rest becomes, Prometheus name after `reddino_train_`, help.
const FAMILIES: [(&str, &str, &str, &str); 2] = [
    ("grad_norm/", "module", "gradient_norm", "Gradient norm of a submodule before clipping."),
    ("probe/", "probe", "probe_weighted_f1", "Weighted F1 of the teacher by the online probe."),
];

/// A label's value, escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What is known so far of one run.
#[derive(Debug)]
pub(crate) struct Gauges {
    run: String,
    last: BTreeMap<String, f64>,
    failed_steps: u64,
}

impl Gauges {
    /// * `run` the run's address, which becomes a label.
    pub(crate) fn new(run: &str) -> Self {
        Self { run: escaped(run), last: BTreeMap::new(), failed_steps: 0 }
    }

    /// Takes a metrics line; a value that it lacks stays as it was.
    pub(crate) fn take(&mut self, line: &MetricsLine) {
        match &line.outcome {
            StepOutcome::LeftOut { .. } => self.failed_steps += 1,
            StepOutcome::Done(metrics) => self.last.extend(metrics.scalars()),
        }
        self.last.insert("step".to_owned(), line.step.get() as f64);
    }

    /// The text; `time` in seconds since 1970.
    pub(crate) fn text(&self, time: f64) -> String {
        let mut out = String::new();
        let run = &self.run;
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
            // Writing to a String does not fail.
            let _ = writeln!(out, "# HELP reddino_train_{name} {help}\n# TYPE reddino_train_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(out, "reddino_train_{name}{{run=\"{run}\"{labels}}} {value}");
            }
        };
        for (key, name, factor, help) in GAUGES {
            if let Some(value) = self.last.get(key).filter(|value| value.is_finite()) {
                family(name, "gauge", help, &[(String::new(), value * factor)]);
            }
        }
        for (below, label, name, help) in FAMILIES {
            let finite = self.last.iter().filter(|(_, value)| value.is_finite());
            let of = |(key, value): (&String, &f64)| {
                Some((format!(",{label}=\"{}\"", escaped(key.strip_prefix(below)?)), *value))
            };
            let samples: Vec<_> = finite.filter_map(of).collect();
            if !samples.is_empty() {
                family(name, "gauge", help, &samples);
            }
        }
        let help = "Steps of this attempt that were left out because they were not finite.";
        family("failed_steps_total", "counter", help, &[(String::new(), self.failed_steps as f64)]);
        let help = "When the last metrics line was made, in seconds since 1970.";
        family("last_line_timestamp_seconds", "gauge", help, &[(String::new(), time)]);
        out
    }
}

/// Replaces `path` by `text`: first whole beside it, then in its place.
///
/// # Errors
/// The folder is not there or full.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    // The collector reads *.prom only, so the file in the making is not seen.
    let beside = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    written.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_units_help_and_an_escaped_run() {
        let mut gauges = Gauges::new("/a \"b\"\\c");
        for line in [
            r#"{"step": 3, "loss": 7.5, "memory_mb": 2, "rankme": 9.5, "grad_norm": {"backbone": 0.25}, "probe": {"1nn": 0.5}}"#,
            r#"{"step": 4, "loss": 7.25, "lr": null}"#,
            r#"{"step": 5, "failed": "loss.ibot"}"#,
        ] {
            gauges.take(&serde_json::from_str(line).unwrap());
        }
        let text = gauges.text(1_700_000_000.5);
        let run = r#"run="/a \"b\"\\c""#;
        for line in [
            "# TYPE reddino_train_loss gauge".to_owned(),
            format!("reddino_train_loss{{{run}}} 7.25"),
            format!("reddino_train_step{{{run}}} 5"),
            format!("reddino_train_rankme_dimensions{{{run}}} 9.5"),
            format!("reddino_train_resident_memory_bytes{{{run}}} 2097152"),
            format!("reddino_train_gradient_norm{{{run},module=\"backbone\"}} 0.25"),
            format!("reddino_train_probe_weighted_f1{{{run},probe=\"1nn\"}} 0.5"),
            format!("reddino_train_failed_steps_total{{{run}}} 1"),
            format!("reddino_train_last_line_timestamp_seconds{{{run}}} 1700000000.5"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("learning_rate"), "what is not a number is left out: {text}");
    }

    #[test]
    fn the_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reddino.prom");
        for text in ["one\n", "two\n"] {
            replace(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        replace(&folder.path().join("none/reddino.prom"), "x").unwrap_err();
    }
}
