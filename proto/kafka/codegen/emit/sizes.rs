//! The least size of a struct in each version, by which the decoder judges counts of arrays.

use super::line;
use crate::codegen::model::{Field, Kind, Message, Range, Struct};
use std::fmt::Write as _;

/// Writes `min_size`.
pub fn min_size(out: &mut String, message: &Message, item: &Struct) {
    let Range { lo, hi } = item.versions;
    let sizes: Vec<usize> = (lo..=hi).map(|v| struct_size(message, item, v)).collect();
    line!(out, "fn min_size(version: i16, _: bool) -> usize {{");
    match sizes.as_slice() {
        [first, rest @ ..] if rest.iter().all(|size| size == first) => {
            line!(out, "let _ = version;\n{first}")
        }
        _ => line!(out, "min_size_at(&{sizes:?}, {lo}, version)"),
    }
    line!(out, "}}");
}

/// The fewest bytes that a struct takes in `version`.
fn struct_size(message: &Message, item: &Struct, version: i16) -> usize {
    let carried = item.fields.iter().filter(|f| f.versions.contains(version) && f.tag.is_none());
    let flexible = message.is_flexible(version);
    carried.map(|f| field_size(message, f, version, flexible)).sum::<usize>() + usize::from(flexible)
}

fn field_size(message: &Message, field: &Field, version: i16, flexible: bool) -> usize {
    if field.array {
        return if flexible { 1 } else { 4 };
    }
    match &field.kind {
        Kind::Struct(_) if field.optional() => 1,
        Kind::Struct(name) => message.find(name).map_or(0, |item| struct_size(message, item, version)),
        Kind::Plain(name) => match *name {
            "bool" | "int8" => 1,
            "int16" | "uint16" => 2,
            "int32" | "uint32" => 4,
            "int64" | "float64" => 8,
            "uuid" => 16,
            "string" if flexible && !field.legacy => 1,
            "string" => 2,
            _ if flexible => 1,
            _ => 4,
        },
    }
}
