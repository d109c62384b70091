//! Writes the model as Rust source: one module per API with its request and response, one per
//! schema, then the tables over all APIs (see [`tables`]).
//!
//! The code is kept lean, because all of it is compiled in every build: a field is a line or two that call
//! into the generic readers and writers of `wire`.

mod coding;
mod conditions;
mod names;
mod sizes;
mod structs;
mod tables;

use super::model::{Api, File, Message, Range};
use std::fmt::Write as _;

/// Appends one formatted line to the output.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{
        // Writing to a string can't fail.
        let _ = writeln!($out, $($arg)*);
    }};
}
use line;

/// The source of the module `messages` of this crate.
pub fn source(files: &[File]) -> String {
    let mut apis: Vec<&Api> = Vec::new();
    let mut out = String::new();
    for file in files {
        match file {
            File::Api(api) => {
                apis.push(api);
                api_module(&mut out, api);
            }
            File::Schemas(schemas) => schemas.iter().for_each(|schema| schema_module(&mut out, schema)),
        }
    }
    apis.sort_by_key(|api| api.key);
    tables::emit(&mut out, &apis);
    out
}

fn api_module(out: &mut String, api: &Api) {
    let (name, module) = (&api.name, names::snake(&api.name));
    line!(out, "/// {name}: API key {}, {}.", api.key, api.versions.words());
    line!(out, "pub mod {module} {{");
    line!(out, "pub use self::request::Request;\npub use self::response::Response;");
    for (message, role) in [(&api.request, "request"), (&api.response, "response")] {
        line!(out, "/// The {role} of {name} and the structs in it.");
        line!(out, "pub mod {role} {{");
        message_items(out, message, &format!("{name} {role}"));
        line!(out, "}}");
    }
    line!(out, "impl crate::api::ApiRequest for Request {{");
    line!(out, "const API: crate::ApiKey = crate::ApiKey::{name};\ntype Response = Response;\n}}");
    line!(out, "impl crate::api::ApiResponse for Response {{");
    line!(out, "const API: crate::ApiKey = crate::ApiKey::{name};\n}}");
    line!(out, "}}");
}

fn schema_module(out: &mut String, schema: &Message) {
    let (name, module) = (&schema.name, names::snake(&schema.name));
    line!(out, "/// {name} and the structs in it, {}.", schema.versions.words());
    line!(out, "pub mod {module} {{");
    message_items(out, schema, name);
    line!(out, "}}\npub use self::{module}::{name};");
}

fn message_items(out: &mut String, message: &Message, label: &str) {
    line!(out, "use crate::wire::prelude::*;");
    let Range { lo, hi } = message.versions;
    let root = &message.name;
    structs::emit(out, message, &message.root, label);
    line!(out, "impl Message for {root} {{");
    line!(out, "const NAME: &'static str = \"{label}\";");
    line!(out, "const VERSIONS: RangeInclusive<i16> = {lo}..={hi};");
    line!(out, "const FLEXIBLE_FROM: Option<i16> = {:?};", message.flexible);
    line!(out, "}}");
    for nested in &message.structs {
        structs::emit(out, message, nested, label);
    }
}
