//! Conditions in generated code, over a version `v` and over values.

use super::names::field as ident;
use crate::codegen::model::{Field, Kind, Range};

/// The condition under which a version `v` of `outer` lies in `inner`; none if it always does.
pub fn condition(inner: Range, outer: Range) -> Option<String> {
    match (inner.lo > outer.lo, inner.hi < outer.hi) {
        (false, false) => None,
        (true, false) => Some(format!("v >= {}", inner.lo)),
        (false, true) => Some(format!("v <= {}", inner.hi)),
        (true, true) => Some(format!("({}..={}).contains(&v)", inner.lo, inner.hi)),
    }
}

/// The condition under which a version `v` of `outer` does not lie in `inner`; none if it always does.
pub fn outside(inner: Range, outer: Range) -> Option<String> {
    match (inner.lo > outer.lo, inner.hi < outer.hi) {
        (false, false) => None,
        (true, false) => Some(format!("v < {}", inner.lo)),
        (false, true) => Some(format!("v > {}", inner.hi)),
        (true, true) => Some(format!("!({}..={}).contains(&v)", inner.lo, inner.hi)),
    }
}

/// The condition under which a nullable field may *not* be null, within its own versions.
pub fn never_null(field: &Field) -> Option<String> {
    outside(field.nullable?, field.versions)
}

/// An expression that is true if the field's value is not its default.
pub fn differs(field: &Field) -> String {
    let name = format!("self.{}", ident(&field.name));
    if field.null_default() {
        return format!("{name}.is_some()");
    }
    if field.optional() {
        return format!("{name}.as_ref().is_none_or(|x| !x.is_empty())");
    }
    match (&field.kind, &field.default) {
        _ if field.array => format!("!{name}.is_empty()"),
        (Kind::Plain("string" | "bytes" | "records"), _) => format!("!{name}.is_empty()"),
        (Kind::Plain("uuid"), _) => format!("!{name}.is_nil()"),
        (Kind::Plain("bool"), None) => name,
        (Kind::Plain("bool"), Some(value)) if value == "true" => format!("!{name}"),
        (Kind::Plain("float64"), None) => format!("{name} != 0.0"),
        (Kind::Plain(_), None) => format!("{name} != 0"),
        (Kind::Plain(_), Some(value)) => format!("{name} != {value}"),
        (Kind::Struct(of), _) => format!("{name} != {of}::default()"),
    }
}
