/// The template of a progress bar of `indicatif`, the same for all programs: bar, position, what is counted, time, message. On a narrow terminal the
/// message is cut.
///
/// ```
/// assert_eq!(terminal::bar_template("steps"), "{bar:30} {pos}/{len} steps, {elapsed} passed, {eta} left  {wide_msg}");
/// ```
pub fn bar_template(unit: &str) -> String {
    format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{elapsed}} passed, {{eta}} left  {{wide_msg}}")
}
