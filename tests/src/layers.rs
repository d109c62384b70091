//! The check of the layers (design, section 10) and of what style.md asks of every source file. Findings are lines of text; none is good.
//!
//! It reads manifests and sources as text. That finds what a person would write, not what somebody would hide.

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

pub use source::{faults, function_lengths, impurities};

/// Longest file, lines, tests aside.
pub const FILE_LINES: usize = 600;
/// Longest function, lines.
pub const FUNCTION_LINES: usize = 100;

/// Which folder may use which others. `objects` is a layer of its own that the design's table does not name: agent and compactor need it.
const LAYERS: &[(&str, &[&str])] = &[
    ("proto", &["proto"]),
    ("metadata", &["proto", "metadata"]),
    ("objects", &["proto"]),
    ("agent", &["proto", "metadata", "objects", "agent"]),
    ("compactor", &["proto", "metadata", "objects"]),
    ("client", &["proto"]),
    ("cli", &["proto", "metadata", "objects", "agent", "compactor", "client"]),
    ("tests", &["proto", "metadata", "objects", "agent", "compactor", "client", "cli"]),
];

/// Below `metadata` there is an order too: these use nothing of it.
const LOWEST: &[&str] = &["metadata/store", "metadata/configs"];

/// So it is within `agent`: this one uses nothing of it, nor of the metadata.
const ZONE: &str = "agent/zone";

/// Where nothing but unsafe code will do: FoundationDB's client has no other way to begin its network.
const UNSAFE: &[&str] = &["metadata/store/src/fdb/network.rs"];

/// Crates, folders and files without clock, chance, I/O and async.
const PURE: &[&str] = &[
    "proto/",
    "metadata/configs/src/",
    "metadata/store/src/postgres/steps.rs",
    "metadata/store/src/postgres/touched.rs",
    "metadata/src/keys/mod.rs",
    "metadata/src/shard/",
    "metadata/src/transaction/",
    "metadata/src/group/",
    "metadata/src/lease/observe.rs",
    "agent/src/placement.rs",
    "agent/src/placement/",
    "agent/src/zones.rs",
    "agent/zone/src/circuit.rs",
    "agent/zone/src/hot.rs",
    "agent/zone/src/owner.rs",
    "objects/src/pace.rs",
    "objects/src/said.rs",
    "objects/src/streak.rs",
    "compactor/src/compact/clean.rs",
    "compactor/src/compact/index.rs",
    "compactor/src/compact/map.rs",
    "compactor/src/compact/plan.rs",
    "compactor/src/plan/",
    "compactor/src/splice.rs",
    "compactor/src/view.rs",
    "compactor/src/merge/build.rs",
    "agent/src/produce/circuit.rs",
    "agent/src/produce/policy.rs",
    "agent/src/produce/segment.rs",
    "agent/src/produce/commit.rs",
    "compactor/src/fsck/finding.rs",
    "compactor/src/fsck/checks.rs",
    "compactor/src/fsck/segment_checks.rs",
];

/// What a crate without I/O can't depend on.
const DRIVERS: &[&str] =
    &["tokio", "async-trait", "futures", "rand", "reqwest", "object_store", "rustix", "redb"];

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One crate's manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its folder below the root.
    pub folder: String,
    /// Its Cargo.toml.
    pub table: Table,
}

impl Manifest {
    fn name(&self) -> &str {
        self.table.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str()).unwrap_or_default()
    }

    /// All tables of dependencies of this kind, those of targets too.
    fn tables(&self, kind: &str) -> Vec<&Table> {
        let own = self.table.get(kind).and_then(|t| t.as_table());
        let targets = self.table.get("target").and_then(|t| t.as_table());
        let targets = targets.into_iter().flat_map(Table::values);
        own.into_iter().chain(targets.filter_map(|t| t.get(kind)?.as_table())).collect()
    }
}

/// Reads the manifests of all members of the workspace.
///
/// # Errors
/// What can't be read.
pub fn manifests(root: &Path) -> Result<Vec<Manifest>, String> {
    let read = |path: PathBuf| -> Result<Table, String> {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        text.parse().map_err(|error| format!("{}: {error}", path.display()))
    };
    let workspace = read(root.join("Cargo.toml"))?;
    let members = workspace.get("workspace").and_then(|w| w.get("members")).and_then(|m| m.as_array());
    let folders = members.into_iter().flatten().filter_map(|m| m.as_str());
    folders
        .map(|folder| {
            Ok(Manifest { folder: folder.into(), table: read(root.join(folder).join("Cargo.toml"))? })
        })
        .collect()
}

fn layer(folder: &str) -> &str {
    folder.split('/').next().unwrap_or(folder)
}

/// Dependencies that go upwards, or into a layer that may not be used.
pub fn wrong_dependencies(manifests: &[Manifest]) -> Vec<String> {
    let folders: BTreeMap<&str, &str> =
        manifests.iter().map(|manifest| (manifest.name(), manifest.folder.as_str())).collect();
    let mut found = Vec::new();
    for manifest in manifests {
        let folder = manifest.folder.as_str();
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == layer(folder)) else {
            found.push(format!("{folder} is in no layer"));
            continue;
        };
        for name in manifest.tables("dependencies").into_iter().flat_map(Table::keys) {
            let Some(target) = folders.get(name.as_str()) else { continue };
            let up = LOWEST.contains(&folder) && layer(target) == "metadata";
            let up = up || folder == ZONE && ["agent", "metadata"].contains(&layer(target));
            if !may.contains(&layer(target)) || up {
                found.push(format!("{folder} must not use {target}"));
            }
        }
        let pure = PURE.iter().any(|pure| format!("{folder}/src/").starts_with(pure));
        let drivers = manifest.tables("dependencies").into_iter().flat_map(Table::keys);
        for driver in drivers.filter(|name| pure && DRIVERS.contains(&name.as_str())) {
            found.push(format!("{folder} does no I/O and must not use {driver}"));
        }
    }
    found
}

/// Places that turn the feature `bugs` on, but for the development dependencies of the tests.
pub fn bugs_shipped(manifests: &[Manifest]) -> Vec<String> {
    let mut found = Vec::new();
    for manifest in manifests {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let on = manifest.tables(kind).into_iter().flat_map(Table::values).any(|dependency| {
                let features = dependency.get("features").and_then(|f| f.as_array());
                features.into_iter().flatten().any(|feature| feature.as_str() == Some("bugs"))
            });
            if on && (manifest.folder.as_str(), kind) != ("tests", "dev-dependencies") {
                found.push(format!("{} turns bugs on in its {kind}", manifest.folder));
            }
        }
        let features = manifest.table.get("features").and_then(|f| f.as_table());
        for (name, list) in features.into_iter().flatten() {
            let text = list.to_string();
            if text.contains("/bugs") || name == "default" && text.contains("bugs") {
                found.push(format!("{}: its feature {name} turns bugs on", manifest.folder));
            }
        }
    }
    found
}

/// A source file of what is shipped.
#[derive(Debug, Clone)]
pub struct Source {
    /// Below the root.
    pub path: String,
    /// Its text, up to its tests.
    pub text: String,
}

/// All sources of all crates but for tests and what only tests use.
///
/// # Errors
/// What can't be read.
pub fn sources(root: &Path, manifests: &[Manifest]) -> Result<Vec<Source>, String> {
    let mut all = Vec::new();
    for manifest in manifests.iter().filter(|manifest| manifest.folder != "tests") {
        walk(root, &format!("{}/src", manifest.folder), &mut all)?;
    }
    Ok(all)
}

fn walk(root: &Path, folder: &str, all: &mut Vec<Source>) -> Result<(), String> {
    let entries = fs::read_dir(root.join(folder)).map_err(|error| format!("{folder}: {error}"))?;
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if is_for_tests(&name) {
            continue;
        }
        // Followed if it is a link: what counts is what is built.
        if root.join(&path).is_dir() {
            walk(root, &path, all)?;
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
            all.push(Source { text: source::without_tests(&text).to_owned(), path });
        }
    }
    Ok(())
}

fn is_for_tests(name: &str) -> bool {
    let stem = name.trim_end_matches(".rs");
    ["tests", "testing", "contract", "fuzz"].contains(&stem) || stem.ends_with("_tests")
}

/// Whether the file may hold nothing but pure code.
pub fn is_pure(path: &str) -> bool {
    PURE.iter().any(|pure| path.starts_with(pure))
}

/// All that is wrong with a source file.
pub fn wrong(file: &Source) -> Vec<String> {
    let Source { path, text } = file;
    let excused = |what: &String| UNSAFE.contains(&path.as_str()) && what.ends_with("unsafe {");
    let faults = faults(text).into_iter().filter(|what| !excused(what));
    let mut found: Vec<String> = faults.map(|what| format!("{path}:{what}")).collect();
    if is_pure(path) {
        found.extend(impurities(text).into_iter().map(|what| format!("{path}:{what}")));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES {
        found.push(format!("{path}: {lines} lines, more than {FILE_LINES}"));
    }
    for (name, lines) in function_lengths(text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES) {
        found.push(format!("{path}: {name} has {lines} lines, more than {FUNCTION_LINES}"));
    }
    found
}
