//! docs/formats/keys.md says what the heads of the key modules say.

use std::collections::BTreeMap;
use std::path::PathBuf;

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Links to code mean nothing outside the code's own docs.
fn without_links(text: &str) -> String {
    let mut plain = text.replace("siltstone_log::", "").replace("super::", "");
    for (link, code) in [("[`", "`"), ("`]", "`")] {
        plain = plain.replace(link, code);
    }
    plain
}

/// By module: what it is for, and the cells of its table.
fn heads() -> BTreeMap<String, (String, String)> {
    let mut heads = BTreeMap::new();
    for file in std::fs::read_dir(folder("src/keys")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "mod" || name == "parts" {
            continue;
        }
        let source = read(path);
        let mut lines = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
        let purpose = lines.next().unwrap_or_default().to_owned();
        let row = lines.find(|line| line.starts_with("| `"));
        let row = row.unwrap_or_else(|| panic!("{name}: no table at its head"));
        heads.insert(name, (purpose, row.to_owned()));
    }
    heads
}

fn expected_rows() -> Vec<String> {
    let mut rows: Vec<_> = heads()
        .into_iter()
        .map(|(name, (purpose, row))| {
            let purpose = purpose.trim_end_matches('.');
            (row.clone(), format!("| `{name}` | {} {}", without_links(purpose), without_links(&row)))
        })
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn the_page_holds_every_family() {
    let page = read(folder("../docs/formats/keys.md"));
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let expected = expected_rows();
    assert_eq!(rows, expected, "the table must be:\n{}\n", expected.join("\n"));
}

/// Each family byte in `keys/mod.rs` is that of exactly one module's table.
#[test]
fn every_family_byte_is_used_once() {
    let source = read(folder("src/keys/mod.rs"));
    let constants = source.lines().filter_map(|line| line.trim().strip_prefix("pub(super) const "));
    let mut bytes: Vec<String> = constants
        .filter_map(|line| line.split_once("= 0x"))
        .map(|(_, byte)| byte.trim_end_matches(';').to_owned())
        .collect();
    bytes.sort();
    let mut told: Vec<String> = Vec::new();
    for (name, (_, row)) in heads() {
        let layout = row.split('|').nth(1).unwrap();
        let of_module: Vec<_> = layout
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.len() == 2 && u8::from_str_radix(code, 16).is_ok())
            .map(str::to_owned)
            .collect();
        assert!(!of_module.is_empty(), "{name}: no family byte");
        told.extend(of_module);
    }
    told.sort();
    assert_eq!(told, bytes);
}
