//! What a config allows beyond its kind: ranges, choices, and the forms of a few lists.
//!
//! [`Rule`] displays as Kafka's tables do (`[0,...]`, `[1,...,9] or -1`, `[compact, delete]`), so that the two can be compared.

use crate::value::Value;
use std::fmt;

/// What values a config allows. A rule that does not fit the kind of value allows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Every value of the kind.
    Any,
    /// A whole number, at least this.
    AtLeast(i64),
    /// A whole number from the first to the second, both allowed.
    Between(i64, i64),
    /// As `Between` the first two, or equal to the third.
    BetweenOr(i64, i64, i64),
    /// At least this, or -1 for "without limit".
    UnlimitedOr(i64),
    /// A number from the first to the second, both allowed.
    Range(f64, f64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in upper or lower case; kept in lower case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list whose items are all among these. An item that comes twice counts once.
    ItemsOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
}

impl Rule {
    /// Checks a value, and returns it in the form in which it is kept.
    ///
    /// # Errors
    /// What is allowed, as the end of a sentence.
    pub(crate) fn check(&self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (Rule::AtLeast(low), Value::Integer(i)) => at_least(i, *low),
            (Rule::Between(low, high), Value::Integer(i)) if i <= *high => at_least(i, *low),
            (Rule::Between(_, high), Value::Integer(_)) => Err(format!("the value must be at most {high}")),
            (Rule::BetweenOr(low, high, or), Value::Integer(i))
                if i != *or && !(*low..=*high).contains(&i) =>
            {
                Err(format!("the value must be from {low} to {high}, or {or}"))
            }
            (Rule::UnlimitedOr(low), Value::Integer(i)) if i != -1 && i < *low => {
                Err(format!("the value must be at least {low}, or -1 for no limit"))
            }
            (Rule::Range(low, high), Value::Double(d)) if !(*low..=*high).contains(&d) => {
                Err(format!("the value must be from {low} to {high}"))
            }
            (Rule::OneOf(choices), Value::Text(text)) => one_of(text, choices),
            (Rule::OneOfAnyCase(choices), Value::Text(text)) => any_case(text, choices),
            (Rule::ItemsOf(choices), Value::List(items)) => items_of(items, choices),
            (Rule::ThrottledReplicas, Value::List(items)) => throttled(items),
            (_, value) => Ok(value),
        }
    }
}

fn at_least(number: i64, low: i64) -> Result<Value, String> {
    if number >= low { Ok(Value::Integer(number)) } else { Err(format!("the value must be at least {low}")) }
}

fn one_of(text: String, choices: &[&str]) -> Result<Value, String> {
    if choices.contains(&text.as_str()) {
        return Ok(Value::Text(text));
    }
    Err(format!("the value must be one of: {}", choices.join(", ")))
}

fn any_case(text: String, choices: &[&str]) -> Result<Value, String> {
    if choices.iter().any(|choice| choice.eq_ignore_ascii_case(&text)) {
        return Ok(Value::Text(text.to_ascii_lowercase()));
    }
    Err(format!("the value must be, in upper or lower case, one of: {}", choices.join(", ")))
}

fn items_of(items: Vec<String>, choices: &[&str]) -> Result<Value, String> {
    if !items.iter().all(|item| choices.contains(&item.as_str())) {
        return Err(format!("each item must be one of: {}", choices.join(", ")));
    }
    // At most as many as there are choices, so the quadratic search is short.
    let mut kept: Vec<String> = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(Value::List(kept))
}

fn throttled(items: Vec<String>) -> Result<Value, String> {
    let all = items.len() == 1 && items[0] == "*";
    if all || items.iter().all(|item| is_replica(item)) {
        return Ok(Value::List(items));
    }
    Err("the value must be * or a list of [partitionId]:[brokerId]".to_owned())
}

fn is_replica(item: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    item.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker))
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Any => Ok(()),
            Rule::AtLeast(low) => write!(f, "[{low},...]"),
            Rule::Between(low, high) => write!(f, "[{low},...,{high}]"),
            Rule::BetweenOr(low, high, or) => write!(f, "[{low},...,{high}] or {or}"),
            Rule::UnlimitedOr(low) => write!(f, "[{low},...] or -1"),
            Rule::Range(low, high) => write!(f, "[{low},...,{high}]"),
            Rule::OneOf(choices) | Rule::ItemsOf(choices) => write!(f, "[{}]", choices.join(", ")),
            Rule::OneOfAnyCase(choices) => write!(f, "(case insensitive) [{}]", choices.join(", ")),
            Rule::ThrottledReplicas => f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],..."),
        }
    }
}
