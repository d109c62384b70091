//! One struct: its definition, its defaults, and its `Wire` implementation.

use super::line;
use super::names::{field as ident, rust_type, words};
use super::{coding, sizes};
use crate::codegen::model::{Field, Kind, Message, Range, Struct};
use std::fmt::Write as _;

/// Writes everything that belongs to `item`, a struct of `message`, which documentation calls `label`.
pub fn emit(out: &mut String, message: &Message, item: &Struct, label: &str) {
    definition(out, item, label);
    defaults(out, item);
    line!(out, "impl Wire for {} {{", item.name);
    sizes::min_size(out, message, item);
    coding::read(out, item);
    coding::write(out, item);
    line!(out, "}}");
    if is_nullable(message, &item.name) {
        line!(out, "impl NullableStruct for {} {{}}", item.name);
    }
    coding::fill(out, item);
}

fn definition(out: &mut String, item: &Struct, label: &str) {
    line!(out, "/// `{}` in {label}, {}.", item.name, item.versions.words());
    line!(out, "#[derive(Debug, Clone, PartialEq{})]", if plain_defaults(item) { ", Default" } else { "" });
    line!(out, "pub struct {} {{", item.name);
    for field in &item.fields {
        line!(out, "/// {}", document(field, item.versions));
        line!(out, "pub {}: {},", ident(&field.name), rust_type(field));
    }
    line!(out, "}}");
}

fn document(field: &Field, parent: Range) -> String {
    let mut text = format!("`{}`: {}", field.name, words(field));
    if field.versions != parent {
        let _ = write!(text, ", {}", field.versions.words());
    }
    match field.nullable {
        Some(range) if range == field.versions => text.push_str(", nullable"),
        Some(range) => {
            let _ = write!(text, ", nullable in {}", range.words());
        }
        None => {}
    }
    if let Some(default) = &field.default {
        let _ = write!(text, ", default {default}");
    }
    if let Some(tag) = field.tag {
        let _ = write!(text, ", tag {tag}");
    }
    if field.ignorable {
        text.push_str(", dropped where the version can't carry it");
    }
    text.push('.');
    text
}

fn plain_defaults(item: &Struct) -> bool {
    item.fields.iter().all(|f| if f.optional() { f.null_default() } else { f.default.is_none() })
}

fn defaults(out: &mut String, item: &Struct) {
    if plain_defaults(item) {
        return;
    }
    line!(out, "impl Default for {} {{\nfn default() -> Self {{\nSelf {{", item.name);
    for field in &item.fields {
        line!(out, "{}: {},", ident(&field.name), default_value(field));
    }
    line!(out, "}}\n}}\n}}");
}

fn default_value(field: &Field) -> String {
    match (&field.default, field.optional()) {
        _ if field.null_default() => "None".to_owned(),
        (Some(value), false) => value.clone(),
        (Some(value), true) => format!("Some({value})"),
        (None, false) => "Default::default()".to_owned(),
        (None, true) => "Some(Default::default())".to_owned(),
    }
}

fn is_nullable(message: &Message, name: &str) -> bool {
    let all = message.structs.iter().chain([&message.root]).flat_map(|s| &s.fields);
    all.into_iter().any(|f| f.kind == Kind::Struct(name.to_owned()) && !f.array && f.optional())
}
