//! Texts become values: parsing by kind, and the one text that each value is written as.
//!
//! Guarantees: parsing never panics; the text of a parsed value parses to the same value and text again.

use crate::kind::Kind;

/// The longest text of a config value, in bytes: well under what one row of the metadata store may hold.
pub const MAX_VALUE_BYTES: usize = 32 * 1024;

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of kind BOOLEAN.
    Boolean(bool),
    /// Of kind INT, SHORT or LONG, within the range of its kind.
    Integer(i64),
    /// Of kind DOUBLE; always finite.
    Double(f64),
    /// Of kind STRING, CLASS or PASSWORD.
    Text(String),
    /// Of kind LIST.
    List(Vec<String>),
}

/// A value and the text in which it is kept and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised {
    /// What is stored: without needless spaces, signs and zeros. Checks to itself.
    pub text: String,
    /// What it means.
    pub value: Value,
}

impl Normalised {
    /// Makes the text of a value.
    pub fn of(value: Value) -> Normalised {
        let text = match &value {
            Value::Boolean(b) => b.to_string(),
            Value::Integer(i) => i.to_string(),
            Value::Double(d) => write_double(*d),
            Value::Text(t) => t.clone(),
            Value::List(items) => items.join(","),
        };
        Normalised { text, value }
    }

    /// The number, if this is one of kind INT, SHORT or LONG.
    pub fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(i) => Some(i),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn items(&self) -> Option<&[String]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }
}

/// Parses a text as a value of a kind.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(crate) fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    let text = text.trim();
    match kind {
        Kind::Boolean => parse_boolean(text),
        Kind::Int => parse_integer(text, i32::MIN.into(), i32::MAX.into(), kind),
        Kind::Short => parse_integer(text, i16::MIN.into(), i16::MAX.into(), kind),
        Kind::Long => parse_integer(text, i64::MIN, i64::MAX, kind),
        Kind::Double => match text.parse::<f64>() {
            // Adding zero turns -0 into 0, so that equal values have equal texts.
            Ok(d) if d.is_finite() => Ok(Value::Double(d + 0.0)),
            _ => Err("it is not a number of type DOUBLE".to_owned()),
        },
        Kind::String | Kind::Class | Kind::Password => Ok(Value::Text(text.to_owned())),
        Kind::List => parse_list(text),
    }
}

fn parse_boolean(text: &str) -> Result<Value, String> {
    if text.eq_ignore_ascii_case("true") {
        Ok(Value::Boolean(true))
    } else if text.eq_ignore_ascii_case("false") {
        Ok(Value::Boolean(false))
    } else {
        Err("the value must be true or false".to_owned())
    }
}

fn parse_integer(text: &str, low: i64, high: i64, kind: Kind) -> Result<Value, String> {
    match text.parse::<i64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(Value::Integer(number)),
        _ => Err(format!("it is not a number of type {kind}")),
    }
}

fn parse_list(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::List(Vec::new()));
    }
    let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
    if items.iter().any(String::is_empty) {
        return Err("no item of the list may be empty".to_owned());
    }
    Ok(Value::List(items))
}

/// Writes a number as Java does, since that is what Kafka's tools show: `1.0`, `0.5`, `1.0E-5`, `1.7976931348623157E308`.
fn write_double(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        for (number, text) in [
            (0.5, "0.5"),
            (1.0, "1.0"),
            (0.0, "0.0"),
            (1e-5, "1.0E-5"),
            (1.25e7, "1.25E7"),
            (-2e8, "-2.0E8"),
            (f64::MAX, "1.7976931348623157E308"),
        ] {
            assert_eq!(write_double(number), text);
        }
    }

    #[test]
    fn texts_are_trimmed_and_numbers_lose_signs_and_zeros() {
        for (kind, text, normal) in [
            (Kind::Long, " +078 ", "78"),
            (Kind::Boolean, "TRUE ", "true"),
            (Kind::List, " a , b", "a,b"),
            (Kind::List, "  ", ""),
            (Kind::String, " gzip ", "gzip"),
            (Kind::Double, "-0", "0.0"),
        ] {
            let parsed = Normalised::of(parse(kind, text).unwrap());
            assert_eq!(parsed.text, normal, "{kind} {text:?}");
        }
    }

    #[test]
    fn what_does_not_fit_its_kind_is_refused() {
        for (kind, text) in [
            (Kind::Int, "2147483648"),
            (Kind::Short, "-32769"),
            (Kind::Long, "99999999999999999999"),
            (Kind::Long, "1.0"),
            (Kind::Long, ""),
            (Kind::Double, "NaN"),
            (Kind::Double, "inf"),
            (Kind::Boolean, "yes"),
            (Kind::List, "a,,b"),
            (Kind::List, "a,"),
        ] {
            assert!(parse(kind, text).is_err(), "{kind} {text:?}");
        }
    }
}
