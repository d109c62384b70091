//! Generates the messages from the definitions in `messages/`; see `codegen/`.

#[path = "codegen/mod.rs"]
mod codegen;

use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for input in ["messages", "codegen", "build.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let files = codegen::load(Path::new("messages"))?;
    let folder = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    std::fs::write(PathBuf::from(folder).join("messages.rs"), codegen::emit::source(&files))?;
    Ok(())
}
