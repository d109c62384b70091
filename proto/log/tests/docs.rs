//! The byte tables in docs/formats are those at the heads of the modules.

use std::path::PathBuf;

fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The table between the fences of a module's head.
fn table(module: &str) -> String {
    let source = file(&format!("src/{module}.rs"));
    let head = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut lines = head.map(|line| line.strip_prefix(' ').unwrap_or(line));
    assert!(lines.any(|line| line == "```text"), "{module}: no table at its head");
    lines.take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect()
}

#[test]
fn docs_hold_the_modules_tables() {
    let pages = [
        ("entries", "entry"),
        ("segments", "segment"),
        ("segments", "segment_row"),
        ("rows", "row"),
        ("rows", "extent"),
        ("rows", "aborted"),
        ("rows", "cleaned"),
        ("rows", "head"),
        ("rows", "erasure"),
        ("catalog", "catalog"),
        ("catalog", "registration"),
        ("groups", "group/consumer"),
        ("transactions", "txn"),
    ];
    for (page, module) in pages {
        let table = table(module);
        assert!(table.lines().count() >= 3, "{module}: the table is not there");
        let page_text = file(&format!("../../docs/formats/{page}.md"));
        let fenced = format!("```text\n{table}```\n");
        assert!(page_text.contains(&fenced), "docs/formats/{page}.md must hold this:\n{fenced}");
    }
}
