//! Looking through one source file, as rustfmt leaves it.

/// What panics or is not done yet.
const FAULTS: &[&str] = &[".unwrap()", ".expect(", "todo!(", "unimplemented!(", "unsafe {"];
/// What pure code has no use for.
const IMPURE: &[&str] = &[
    "tokio",
    ".await",
    "async fn",
    "async move",
    "async {",
    "SystemTime",
    "Instant",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "rand::",
    "RandomState",
    "HashMap",
    "HashSet",
    "println!(",
];

/// The part of a file before its inline tests, which come last.
pub(super) fn without_tests(text: &str) -> &str {
    let inline = text.match_indices("#[cfg(test)]").find(|(at, mark)| {
        let rest = text[at + mark.len()..].trim_start();
        rest.starts_with("mod ") && rest.lines().next().is_some_and(|line| line.ends_with('{'))
    });
    inline.map_or(text, |(at, _)| &text[..at])
}

/// A line without comments and the contents of strings.
fn code(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut quoted, mut escaped) = (false, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                out.push(c);
            }
            '\'' if chars.peek() == Some(&'"') => {
                chars.next();
            }
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => out.push(c),
        }
    }
    out
}

fn search(text: &str, words: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(number, line)| {
            let code = code(line);
            let found: Vec<String> = words
                .iter()
                .filter(|word| code.contains(**word))
                .map(|word| format!("{}: {word}", number + 1))
                .collect();
            found
        })
        .collect()
}

/// What panics or is not done yet, by line.
pub fn faults(text: &str) -> Vec<String> {
    search(text, FAULTS)
}

/// Clock, chance, I/O and async, by line.
pub fn impurities(text: &str) -> Vec<String> {
    search(text, IMPURE)
}

/// Every function and how many lines it has.
pub fn function_lengths(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let body =
            lines[at..].iter().position(|line| **line == end || line.ends_with(';') && at_same(line, indent));
        found.push((name, body.map_or(1, |length| length + 1)));
    }
    found
}

/// A declaration without a body ends where it began.
fn at_same(line: &str, indent: &str) -> bool {
    line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with(' '))
}

fn function(line: &str) -> Option<String> {
    let rest = line.trim_start();
    let (before, after) = rest.split_once("fn ")?;
    let words = ["pub", "async", "const", "extern", "unsafe", "default"];
    let modifier = |word: &str| words.contains(&word) || word.starts_with("pub(") || word.ends_with(')');
    if !before.split_whitespace().all(modifier) {
        return None;
    }
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}
