/// The text below the options of a command's help: command lines that show how it is used.
pub fn examples(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
    format!("Examples:{lines}")
}
