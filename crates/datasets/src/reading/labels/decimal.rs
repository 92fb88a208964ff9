//! The decimal point or comma of the numbers of a table.

use std::borrow::Cow;

use crate::error::TableError;
use crate::schema::text::shortened;
use crate::schema::{Decimal, TableForm};

/// What stands before the decimals of `numbers`, the cells of a table between `separator`: as its form says; a comma where the separator is
/// another one, some numbers have commas and none has a point.
///
/// # Errors
/// Commas that may stand between thousands as well.
pub(super) fn of_table<'a>(
    form: &TableForm,
    separator: u8,
    numbers: impl Iterator<Item = &'a str>,
) -> Result<Decimal, TableError> {
    if let Some(said) = form.decimal {
        return Ok(said);
    }
    let (mut first, mut is_clear) = (None, false);
    for number in numbers {
        if number.contains('.') {
            return Ok(Decimal::Point);
        }
        if let Some((whole, rest)) = number.split_once(',') {
            first.get_or_insert(number);
            let may_be_thousands = rest.split(',').all(|part| part.len() == 3) && (1..=3).contains(&whole.len());
            is_clear |= !rest.contains(',') && (!may_be_thousands || whole == "0");
        }
    }
    match first {
        Some(_) if separator == b',' => Ok(Decimal::Point),
        Some(number) if !is_clear => Err(TableError::Decimal { number: shortened(number) }),
        Some(_) => Ok(Decimal::Comma),
        None => Ok(Decimal::Point),
    }
}

/// A number with a decimal point.
pub(super) fn pointed(number: &str, decimal: Decimal) -> Cow<'_, str> {
    match decimal {
        Decimal::Comma if number.matches(',').count() == 1 && !number.contains('.') => {
            Cow::Owned(number.replace(',', "."))
        }
        // A point is none of the decimal comma.
        Decimal::Comma if number.contains('.') => Cow::Borrowed(""),
        _ => Cow::Borrowed(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_is_read_as_one_only_where_nothing_else_can_be_meant() {
        let said = |separator, numbers: &[&str]| {
            of_table(&TableForm::default(), separator, numbers.iter().copied()).map_err(|error| error.to_string())
        };
        assert_eq!(said(b';', &["1", "2,5", "1,250"]), Ok(Decimal::Comma));
        assert_eq!(said(b';', &["0,250"]), Ok(Decimal::Comma));
        assert_eq!(said(b';', &["1,5", "2.5"]), Ok(Decimal::Point));
        assert_eq!(said(b'\t', &["1", "2"]), Ok(Decimal::Point));
        assert_eq!(said(b',', &["1,5"]), Ok(Decimal::Point));
        assert!(said(b';', &["1,250", "12"]).expect_err("both are possible").contains("decimal: comma"));
        let form = TableForm { decimal: Some(Decimal::Comma), ..TableForm::default() };
        assert_eq!(of_table(&form, b';', ["1,250"].into_iter()).ok(), Some(Decimal::Comma));
        assert_eq!(pointed("1,250", Decimal::Comma), "1.250");
        assert_eq!((pointed("1.250", Decimal::Comma), pointed("1,2,3", Decimal::Comma)), ("".into(), "1,2,3".into()));
    }
}
