//! Turns the message definitions in `messages/*.kmsg` into Rust.
//!
//! [`parse`] reads the definition language (described in `docs/formats/kafka-messages.md`) into the
//! [`model`]; [`emit`] writes the model as Rust source. The build script uses both; the test that
//! compares the definitions with Kafka's own uses the parser alone.

pub mod emit;
pub mod model;
pub mod parse;

use std::path::Path;

/// Reads every definition in `folder`, in the order of file names, so that builds are repeatable.
pub fn load(folder: &Path) -> Result<Vec<model::File>, String> {
    let listing = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<_> = listing.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "kmsg"));
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        files.push(parse::file(&text).map_err(|e| format!("{}:{e}", path.display()))?);
    }
    Ok(files)
}
