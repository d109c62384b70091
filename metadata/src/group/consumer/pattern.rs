//! Regular expressions of subscriptions: RE2's syntax, as Kafka's brokers take it, matched against whole topic names.
//!
//! The crate `regex` is of RE2's family: linear time, no back references, no looking around. Where the two read the same text differently it is translated:
//! `\Q…\E` is literal text, and in a class `[`, `&` and `~` are themselves (the crate nests classes and intersects them). What a pattern takes compiled
//! is bounded; one that would take more is refused as invalid.

use regex::{Regex, RegexBuilder};

use super::Refusal;

/// Most bytes that a compiled pattern may take.
const COMPILED_BYTES: usize = 1 << 20;
/// Longest pattern, bytes.
const LONGEST: usize = 16 << 10;

/// Compiles a pattern so that it matches whole names.
///
/// # Errors
/// [`Refusal::InvalidRegex`].
pub fn compile(pattern: &str) -> Result<Regex, Refusal> {
    if pattern.len() > LONGEST {
        return Err(Refusal::InvalidRegex(format!("it has more than {LONGEST} bytes")));
    }
    let build = |text: &str| {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(COMPILED_BYTES).dfa_size_limit(COMPILED_BYTES).nest_limit(250).build()
    };
    let translated = translate(pattern);
    // On its own first: a pattern like `a)(b` must not become valid by what stands around it.
    let whole = build(&translated).and_then(|_| build(&format!("^(?:{translated})$")));
    whole.map_err(|error| Refusal::InvalidRegex(reason(&error)))
}

/// The last line says what is wrong, the others draw it.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut class = Class::Outside;
    while let Some(first) = rest.chars().next() {
        if let Some(literal) = rest.strip_prefix("\\Q") {
            let end = literal.find("\\E");
            out.push_str(&regex::escape(&literal[..end.unwrap_or(literal.len())]));
            rest = end.map_or("", |end| &literal[end + 2..]);
            continue;
        }
        let escaped = first == '\\';
        let taken: String = rest.chars().take(1 + usize::from(escaped)).collect();
        rest = &rest[taken.len()..];
        let named = class.inside() && first == '[' && rest.starts_with(':') && rest.contains(":]");
        if named {
            let end = rest.find(":]").map_or(0, |end| end + 2);
            out.push('[');
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            class = Class::Inside;
            continue;
        }
        if class.inside() && matches!(first, '[' | '&' | '~') {
            out.push('\\');
        }
        out.push_str(&taken);
        class = class.after(first);
    }
    out
}

/// Where a character stands: a `]` that comes first in a class is itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Outside,
    Begin,
    Negated,
    Inside,
}

impl Class {
    fn inside(self) -> bool {
        self != Class::Outside
    }

    fn after(self, c: char) -> Self {
        match (self, c) {
            (Class::Outside, '[') => Class::Begin,
            (Class::Outside, _) | (Class::Inside, ']') => Class::Outside,
            (Class::Begin, '^') => Class::Negated,
            _ => Class::Inside,
        }
    }
}
