//! Command lines of programs, with examples in the help of each command.

use clap::{Command, Parser};

/// Two command lines of each command, by its name.
pub type Examples = [(&'static str, [&'static str; 2])];

/// Reads the command line of a program, whose help shows `examples`. A wrong one ends the program with a message.
pub fn arguments<P: Parser>(examples: &Examples) -> P {
    P::from_arg_matches(&with_examples::<P>(examples).get_matches()).unwrap_or_else(|error| error.exit())
}

/// The program's commands with the examples below their options.
fn with_examples<P: Parser>(examples: &Examples) -> Command {
    examples.iter().fold(P::command(), |command, (name, lines)| {
        command.mut_subcommand(name, |command| command.after_help(text(lines)))
    })
}

/// What a test finds wrong with the examples of `program`: commands that have none, and command lines that are refused or belong to
/// another command.
pub fn wrong_examples<P: Parser>(program: &str, examples: &Examples) -> Vec<String> {
    with_examples::<P>(examples).debug_assert();
    let mut wrong = Vec::new();
    for command in P::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        let Some((_, lines)) = examples.iter().find(|(known, _)| *known == name) else {
            wrong.push(format!("{name}: no examples"));
            continue;
        };
        for line in lines {
            if !line.contains(name) {
                wrong.push(format!("{name}: an example of another command: {line}"));
            }
            let words = line.split_whitespace().skip_while(|word| *word != program);
            wrong.extend(P::try_parse_from(words).err().map(|error| format!("{line}: {error}")));
        }
    }
    wrong
}

fn text(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("\n  {line}")).collect();
    format!("Examples:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    enum Kitchen {
        /// Cooks.
        Boil {
            #[arg(long)]
            minutes: u32,
        },
        /// Cuts.
        Slice,
    }

    #[test]
    fn missing_foreign_and_refused_examples_are_found() {
        let good: &Examples = &[
            ("boil", ["kitchen boil --minutes 3", "FOO=1 kitchen boil --minutes 4"]),
            ("slice", ["kitchen slice", "kitchen slice"]),
        ];
        assert!(wrong_examples::<Kitchen>("kitchen", good).is_empty());
        let bad: &Examples = &[("boil", ["kitchen boil --minutes soft", "kitchen slice"])];
        let wrong = wrong_examples::<Kitchen>("kitchen", bad);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].contains("soft") && wrong[1].contains("another command") && wrong[2].contains("no examples"));
    }

    #[test]
    fn the_help_of_a_command_ends_with_its_examples() {
        let examples: &Examples = &[("slice", ["kitchen slice", "kitchen slice # again"])];
        let mut command = with_examples::<Kitchen>(examples);
        let help = command.find_subcommand_mut("slice").map(|slice| slice.render_help().to_string());
        assert!(
            help.is_some_and(|help| help.trim_end().ends_with("Examples:\n  kitchen slice\n  kitchen slice # again"))
        );
    }
}
