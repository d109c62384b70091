//! Lines that say something: without comments and blank lines, with their depth.

/// A line that says something: its number, its depth in steps of two blanks, its words.
pub struct Line<'a> {
    pub number: usize,
    pub depth: usize,
    pub text: &'a str,
}

/// Splits a file into its lines; an odd indent or a tab is an error.
pub fn lines(text: &str) -> Result<Vec<Line<'_>>, String> {
    let mut found = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let content = raw.split('#').next().unwrap_or_default().trim_end();
        let body = content.trim_start_matches(' ');
        if body.is_empty() {
            continue;
        }
        let blanks = content.len() - body.len();
        if blanks % 2 != 0 || body.starts_with('\t') {
            return Err(format!("{}: indent by two blanks", index + 1));
        }
        found.push(Line { number: index + 1, depth: blanks / 2, text: body });
    }
    Ok(found)
}
