//! The layers and the style of every source file, and that their checks can fail. See [`siltstone_tests::layers`].
#![allow(clippy::unwrap_used, reason = "tests")]

use siltstone_tests::layers::{
    Manifest, Source, bugs_shipped, faults, function_lengths, impurities, manifests, root, sources, wrong,
    wrong_dependencies,
};

fn manifest(folder: &str, rest: &str) -> Manifest {
    let name = folder.replace('/', "-");
    let table = format!("[package]\nname = \"{name}\"\n{rest}").parse().unwrap();
    Manifest { folder: folder.into(), table }
}

#[test]
fn nothing_imports_upwards() {
    let all = manifests(&root()).unwrap();
    assert!(all.len() >= 10, "{} members", all.len());
    assert_eq!(wrong_dependencies(&all), Vec::<String>::new());
}

#[test]
fn no_build_of_the_command_has_known_bugs() {
    let all = manifests(&root()).unwrap();
    assert_eq!(bugs_shipped(&all), Vec::<String>::new());
    let on = all.iter().filter(|manifest| manifest.table.to_string().contains("\"bugs\""));
    let on: Vec<&str> = on.map(|manifest| manifest.folder.as_str()).collect();
    assert_eq!(on, ["tests"], "the simulation needs them");
}

#[test]
fn sources_keep_to_the_rules() {
    let all = sources(&root(), &manifests(&root()).unwrap()).unwrap();
    assert!(all.len() > 200, "{} files", all.len());
    let found: Vec<String> = all.iter().flat_map(wrong).collect();
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn wrong_dependencies_are_found() {
    let all = [
        manifest("proto/log", "[dependencies]\ntokio = \"1\"\nmetadata.workspace = true"),
        manifest("metadata", "[target.'cfg(unix)'.dependencies]\nagent = { path = \"../agent\" }"),
        manifest("metadata/store", "[dependencies]\nproto-log.workspace = true\nmetadata.workspace = true"),
        manifest("objects", "[dependencies]\nmetadata = \"1\""),
        manifest(
            "agent",
            "[dependencies]\nproto-log = \"1\"\nmetadata = \"1\"\nobjects = \"1\"\ntokio = \"1\"",
        ),
        manifest("agent/zone", "[dependencies]\nobjects = \"1\"\nmetadata = \"1\""),
        manifest("gadgets", ""),
    ];
    let found = wrong_dependencies(&all);
    let wanted = [
        "proto/log must not use metadata",
        "proto/log does no I/O and must not use tokio",
        "metadata must not use agent",
        "metadata/store must not use metadata",
        "objects must not use metadata",
        "agent/zone must not use metadata",
        "gadgets is in no layer",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn bugs_that_would_be_shipped_are_found() {
    let on = "metadata = { path = \"x\", features = [\"bugs\"] }";
    let all = [
        manifest("cli", &format!("[dependencies]\n{on}")),
        manifest("agent", &format!("[dev-dependencies]\n{on}\n[features]\nextra = [\"metadata/bugs\"]")),
        manifest("metadata", "[features]\nbugs = []\ndefault = [\"bugs\"]"),
        manifest("tests", &format!("[dev-dependencies]\n{on}")),
    ];
    assert_eq!(bugs_shipped(&all).len(), 4, "{:?}", bugs_shipped(&all));
    assert!(bugs_shipped(&all[3..]).is_empty());
}

#[test]
fn faults_and_impurities_are_found_in_code_alone() {
    let text = "//! Never .unwrap() here.\nfn f() {\n    let a = b.unwrap();\n    g(\"todo!(x) // no\").expect(\"x\");\n}\n";
    assert_eq!(faults(text), ["3: .unwrap()", "4: .expect("]);
    let text = "use tokio::time::Instant;\n// SystemTime\nlet s = \"HashMap\";\nlet now = clock().await;\n";
    assert_eq!(impurities(text), ["1: tokio", "1: Instant", "4: .await"]);
    let unsafe_in =
        |path: &str| Source { path: path.into(), text: "    let x = unsafe { boot() };\n".into() };
    assert_eq!(
        wrong(&unsafe_in("metadata/store/src/fdb/mod.rs")),
        ["metadata/store/src/fdb/mod.rs:1: unsafe {"]
    );
    assert_eq!(wrong(&unsafe_in("metadata/store/src/fdb/network.rs")), Vec::<String>::new());
}

#[test]
fn long_functions_and_files_are_found() {
    let body = "        x();\n".repeat(120);
    let text =
        format!("trait T {{\n    fn short(&self);\n    pub(crate) async fn long() {{\n{body}    }}\n}}\n");
    assert_eq!(function_lengths(&text), [("short".to_owned(), 1), ("long".to_owned(), 122)]);
    let file = Source { path: "agent/src/a.rs".into(), text: text.clone() };
    assert_eq!(wrong(&file), ["agent/src/a.rs: long has 122 lines, more than 100"]);
    let file =
        Source { path: "metadata/src/shard/a.rs".into(), text: "let x = Instant::now();\n".repeat(601) };
    assert_eq!(wrong(&file).len(), 602);
}
