//! The parser's errors in our own words: what is wrong, and what would be right.

use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;
use serde_saphyr::{Error, Location, budget::BudgetBreach};

use super::places::{Walked, walk};
use super::{DEEPEST, MOST_REPEATED};
use crate::layer::ConfigError;

/// A mistake in a text, not yet said of which file.
#[derive(Debug)]
pub(super) struct Mistake {
    line: Option<usize>,
    key: Option<String>,
    message: String,
}

impl Mistake {
    pub(super) fn named(self, text: &str, what: &str) -> ConfigError {
        // The value of `--set key=value` is one line, and has no number.
        let one_line = what.starts_with("--");
        let what = match self.line {
            Some(line) if !one_line => format!("{what} line {}", line.min(text.lines().count().max(1))),
            _ => what.to_owned(),
        };
        let message = match self.key {
            Some(key) if !key.is_empty() => format!("`{}`: {}", short(&key), self.message),
            _ => self.message,
        };
        ConfigError::Syntax { what, message }
    }
}

/// The beginning of a key that is too long to be read.
fn short(key: &str) -> String {
    const LONGEST: usize = 80;
    match key.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key.to_owned(),
    }
}

/// A zero byte: text never holds one.
pub(super) fn binary(text: &str, at: usize) -> Mistake {
    let line = 1 + text[..at].matches('\n').count();
    let message = "a zero byte, which no text holds: save the file as UTF-8 text".to_owned();
    Mistake { line: Some(line), key: None, message }
}

/// What `error`, met in `text`, says to a person.
pub(super) fn mistake(error: &Error, text: &str) -> Mistake {
    let walked = walk(text);
    let (error, place) = unwrapped(error);
    let place = place.or_else(|| error.location()).filter(|place| *place != Location::UNKNOWN);
    let scan = match error {
        Error::ExternalMessage { source, .. } => match source.as_ref() {
            ExternalMessageSource::Parser(scan) => Some(scan.kind()),
            _ => None,
        },
        _ => None,
    };
    if let Some(kind) = scan
        && let Some(open) = unclosed(kind, &walked)
    {
        return open;
    }
    let line = place.map(|place| place.line() as usize);
    if let Error::MultipleDocuments { .. } = error {
        return second_document(text, line.unwrap_or(1));
    }
    let message = match scan {
        // Said of what follows a directive, and of a line that begins further left than the first key.
        Some(ErrorKind::ExpectedDocumentStart) if text.lines().any(|line| line.starts_with('%')) => {
            DIRECTIVE.to_owned()
        }
        Some(kind) => of_text(kind, &walked),
        None => of_value(error, &walked),
    };
    let key = place.and_then(|place| walked.key_at(place.line() as usize, place.column() as usize)).map(str::to_owned);
    Mistake { line, key, message }
}

/// The parser notices a second document at its first word; what is wrong is the line that begins it.
fn second_document(text: &str, noticed: usize) -> Mistake {
    let begins = |line: &str| line.starts_with("---") || line.starts_with("...");
    let lines: Vec<&str> = text.lines().take(noticed).collect();
    let line = lines.iter().rposition(|line| begins(line)).map_or(noticed, |index| index + 1);
    let message = "a second document begins here: a file holds one; remove this line, or move the rest to another file";
    Mistake { line: Some(line), key: None, message: message.to_owned() }
}

/// The error itself, and the place of the alias through which it was met.
fn unwrapped(error: &Error) -> (&Error, Option<Location>) {
    match error {
        Error::WithSnippet { error, .. } => unwrapped(error),
        Error::AliasError { error, locations, .. } => (unwrapped(error).0, Some(locations.reference_location)),
        error => (error, None),
    }
}

/// A bracket that is never closed is named where it stands, not where the file ends.
fn unclosed(kind: &ErrorKind, walked: &Walked) -> Option<Mistake> {
    use ErrorKind as K;
    let open = match kind {
        K::UnclosedFlowCollection { open } => *open,
        K::UnexpectedEofFlowSequence => '[',
        K::UnexpectedEofFlowMapping | K::UnexpectedEofImplicitFlowMapping => '{',
        K::UnexpectedEof => walked.innermost_bracket()?,
        _ => return None,
    };
    let close = if open == '[' { ']' } else { '}' };
    let message = format!("the bracket `{open}` is never closed: add `{close}`");
    // Without one, the parser gave up at the very first bracket of the text.
    let (line, key) = walked.innermost().map_or((1, String::new()), |(line, key)| (line, key.to_owned()));
    Some(Mistake { line: Some(line), key: Some(key), message })
}

/// Mistakes in the text, by what the parser calls them.
#[allow(clippy::too_many_lines, reason = "a table of words")]
fn of_text(kind: &ErrorKind, walked: &Walked) -> String {
    use ErrorKind as K;
    let words = match kind {
        K::MismatchedFlowCollectionEnd { open, close } => {
            let right = if *open == '[' { ']' } else { '}' };
            return format!("the bracket `{open}` is closed by `{close}`: close it by `{right}`");
        }
        K::UnexpectedCharacter { character } => {
            return format!("a value cannot begin with `{}`: put it between quotes", character.escape_default());
        }
        K::ExpectedFlowMappingSeparator | K::ExpectedFlowSequenceSeparator => {
            let close = if matches!(kind, K::ExpectedFlowMappingSeparator) { '}' } else { ']' };
            let opened = walked.innermost().map(|(line, _)| format!(" of line {line}")).unwrap_or_default();
            return format!("a comma is missing, or the `{close}` that closes the bracket{opened}: add it");
        }
        K::MisplacedFlowCollectionEnd => {
            "a closing bracket has no opening one: remove it, or put the text between quotes"
        }
        K::UnclosedQuotedScalar | K::DocumentIndicatorInQuotedScalar => {
            "a quote is never closed: add the closing quote"
        }
        K::InvalidTrailingSingleQuotedScalar | K::InvalidTrailingDoubleQuotedScalar => {
            "something follows a closing quote: put all of the text between the quotes"
        }
        K::UnknownQuotedScalarEscape
        | K::InvalidQuotedScalarHexEscape
        | K::InvalidLowSurrogateHexEscape
        | K::InvalidLowSurrogate
        | K::MissingLowSurrogate
        | K::UnpairedLowSurrogate
        | K::InvalidUnicodeEscape => {
            "a backslash begins an escape that does not exist: double it, or use single quotes"
        }
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabAtBlockScalarStart
        | K::TabInPlainScalar => "a tab where only spaces may be: replace it by spaces",
        K::InvalidIndentation
        | K::ExpectedDocumentStart
        | K::ExpectedBlockMappingKey
        | K::ExpectedBlockSequenceEntry
        | K::InvalidFlowScalarIndent
        | K::InvalidQuotedScalarIndent
        | K::InvalidBlockScalarIndent
        | K::UnexpectedEofBlockMapping
        | K::UnexpectedEofBlockSequence => {
            "this line does not fit the ones above: begin all keys of a section, and all items of a list, in one column"
        }
        K::MappingValueNotAllowed | K::MappingKeyNotAllowed | K::InvalidColonPlacement => {
            "a key where none may be: give each key its own line, indented like its neighbours, and put text that holds `: ` between quotes"
        }
        K::InvalidMappingValueWhitespace | K::FlowMappingValueAdjacentCollection => {
            "a `:` is not followed by a space: write `key: value`"
        }
        K::SimpleKeyExpected | K::InvalidSimpleKey => {
            "a line that is neither a key nor a value: write `key: value`, with a space after the colon"
        }
        K::BlockEntryInFlowCollection
        | K::BlockSequenceEntryNotAllowed
        | K::InvalidBlockEntryWhitespace
        | K::PlainScalarStartsWithDashFlowIndicator => {
            "a `-` where no list item may be: put each item on its own line below the key, or write `[a, b]`"
        }
        K::MissingAnchorOrAliasName => "a value cannot begin with `*` or `&`: put it between quotes",
        K::UndeclaredTagHandle
        | K::ExpectedTagBang
        | K::InvalidGlobalTagCharacter
        | K::InvalidTagTerminator
        | K::MissingTagUri
        | K::UnclosedVerbatimTag
        | K::InvalidTagEscape => "a value that begins with `!` is read as a tag: put it between quotes",
        K::CommentInterceptedScalar => "a comment cuts a text of several lines in two: move it above the key",
        K::CommentNotSeparated => {
            "a `#` follows the text without a space: put a space before it, or quotes around the text"
        }
        K::RecursionLimitExceeded => return too_deep(),
        K::BomInsideDocument => "a byte-order mark inside the file: remove it",
        K::InvalidBlockScalarHeader | K::ZeroBlockScalarIndent => {
            "`|` or `>` begins a text of several lines: put the text on the next line, or quotes around it"
        }
        K::DuplicateVersionDirective
        | K::UnsupportedYamlMajorVersion
        | K::DuplicateTagDirective
        | K::MissingDocumentEndBeforeDirective
        | K::InvalidDirectiveTerminator
        | K::MissingDirectiveName
        | K::InvalidDirectiveName
        | K::MissingYamlVersion
        | K::MissingYamlVersionSeparator => DIRECTIVE,
        _ => "this is not YAML: write `key: value`, one key a line",
    };
    words.to_owned()
}

const DIRECTIVE: &str = "a line that begins with `%` is read as a directive: remove it";

fn too_deep() -> String {
    format!("nested too deeply: at most {DEEPEST} sections or lists may stand one within another")
}

/// Mistakes in a text that the parser can read.
fn of_value(error: &Error, walked: &Walked) -> String {
    use BudgetBreach as B;
    match error {
        Error::DuplicateMappingKey { location, .. } => {
            let path = walked.key_at(location.line() as usize, location.column() as usize);
            let first = path.and_then(|path| walked.first_line(path));
            let first = first.map(|line| format!(", first on line {line}")).unwrap_or_default();
            format!("the key is given twice{first}: keep one")
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::Budget {
            breach:
                B::Aliases { .. }
                | B::Anchors { .. }
                | B::AliasAnchorRatio { .. }
                | B::MergeKeys { .. }
                | B::RecordedAnchorEvents { .. }
                | B::RecordedAnchorBytes { .. },
            ..
        } => {
            format!("aliases (`*name`) repeat more than {MOST_REPEATED} values: write out what is needed")
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias stands within what it repeats: write the values out".to_owned()
        }
        Error::Budget { breach: B::Depth { .. }, .. } => too_deep(),
        Error::Budget { .. } => "the file holds more than any configuration needs: shorten it".to_owned(),
        Error::NonFiniteFloat { value, .. } => {
            format!("`{value}` is not a finite number: write one, or put it between quotes if it is text")
        }
        Error::UnknownAnchor { .. } => {
            "a value that begins with `*` is read as an alias, and nothing is named so (`&name`): put it between quotes"
                .to_owned()
        }
        Error::UnsupportedTag { tag, .. } | Error::TaggedStructFieldName { tag, .. } => {
            format!("the tag `{tag}` means nothing here: remove it, or put the value between quotes if it is text")
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            "`<<` takes a section (`<<: *name`), or a list of sections".to_owned()
        }
        Error::InvalidScalar { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. }
        | Error::InvalidBooleanStrict { .. } => "the value does not fit its tag (`!!…`): remove the tag".to_owned(),
        _ => "the key or value cannot be read: a key is a word, and a value a number, a text, a list or a section"
            .to_owned(),
    }
}
