//! Types as they are written, and what may be said of a field of each.

use crate::codegen::model::{Field, Kind, Range};

const PLAIN: [&str; 12] = [
    "bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64", "uuid", "string", "bytes",
    "records",
];

/// A field of the type that is `written`, without attributes.
pub fn typed(name: &str, written: &str, versions: Range) -> Field {
    let (written, nullable) = match written.strip_suffix('?') {
        Some(inner) => (inner, Some(versions)),
        None => (written, None),
    };
    let (written, array) = match written.strip_prefix("[]") {
        Some(inner) => (inner, true),
        None => (written, false),
    };
    let plain = PLAIN.iter().find(|name| **name == written);
    let kind = plain.map_or_else(|| Kind::Struct(written.to_owned()), |name| Kind::Plain(name));
    let name = name.trim().to_owned();
    Field { name, kind, array, versions, nullable, default: None, tag: None, ignorable: false, legacy: false }
}

/// What no definition may say.
pub fn check(field: &Field) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{what}: `{}`", field.name));
    if field.nullable.is_some_and(|range| !field.versions.covers(range)) {
        return fail("nullable outside the field's versions");
    }
    if field.default.as_deref() == Some("null") && !field.optional() {
        return fail("default null of a field that is never null");
    }
    if matches!(field.kind, Kind::Struct(_)) && !field.array {
        if field.optional() && (field.nullable != Some(field.versions) || field.tag.is_some()) {
            return fail("a struct must be nullable in all versions or none, and not be tagged then");
        }
        if field.optional() && !field.null_default() {
            return fail("a nullable struct must default to null");
        }
    }
    if field.kind == Kind::Plain("records") && (field.array || field.tag.is_some()) {
        return fail("records can't be tagged or in an array");
    }
    if field.kind == Kind::Plain("string") && field.default.as_deref().is_some_and(|value| value != "null") {
        return fail("a string's default is empty or null");
    }
    if field.legacy && (field.kind != Kind::Plain("string") || !field.optional()) {
        return fail("only a nullable string can be legacy");
    }
    Ok(())
}
