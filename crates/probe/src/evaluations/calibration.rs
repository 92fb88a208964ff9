//! Whether the probabilities of each probe that gives them are true, and what it may leave unanswered.

use results::measures::{Evaluation, settings::COVERAGES};
use results::predictions::Measure;

use super::{Subject, number};
use crate::ProbeError;
use crate::calibration::{Answers, area, risk_at};

/// Over all cells, each predicted by the fit that had not seen its group: `calibration_error`, `brier`, `accuracy_at_90_coverage`,
/// `aurc`, and `risk` at each coverage of the curve.
pub(super) fn measure(subject: &Subject<'_>) -> Result<Vec<Measure>, ProbeError> {
    let classes = subject.setting.cells.classes();
    let mut found = Vec::new();
    for of in subject.evaluation.predictions() {
        let Some(probabilities) = &of.probabilities else { continue };
        let answers = Answers::new(probabilities, classes.names().len(), classes.of_row())?;
        let risks = answers.risks();
        let n = classes.of_row().len() as u64;
        let measured = |metric, value| Measure { n, ..number(Evaluation::Calibration, (of.probe.name, metric), value) };
        found.extend([
            measured("calibration_error", answers.calibration_error()),
            measured("brier", answers.brier()),
            measured("accuracy_at_90_coverage", 1.0 - risk_at(&risks, 0.9)),
            measured("aurc", area(&risks)),
        ]);
        let risk = |coverage| Measure { fraction: Some(coverage), ..measured("risk", risk_at(&risks, coverage)) };
        found.extend(COVERAGES.map(risk));
    }
    Ok(found)
}
