//! One struct: its definition, its defaults, and its `Wire` implementation.

use super::line;
use super::names::{element, field as ident, rust_type, words};
use crate::codegen::model::{Field, Kind, Message, Range, Struct};
use std::fmt::Write as _;

/// Writes everything that belongs to `item`, a struct of `message`, which documentation calls `label`.
pub fn emit(out: &mut String, message: &Message, item: &Struct, label: &str) {
    definition(out, item, label);
    defaults(out, item);
    line!(out, "impl Wire for {} {{", item.name);
    min_size(out, message, item);
    read(out, item);
    write(out, item);
    line!(out, "}}");
    if is_nullable(message, &item.name) {
        line!(out, "impl NullableStruct for {} {{}}", item.name);
    }
    fill(out, item);
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

/// An expression that is true if the field's value is not its default.
fn differs(field: &Field) -> String {
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

/// The condition under which a version `v` of `outer` lies in `inner`; none if it always does.
fn condition(inner: Range, outer: Range) -> Option<String> {
    match (inner.lo > outer.lo, inner.hi < outer.hi) {
        (false, false) => None,
        (true, false) => Some(format!("v >= {}", inner.lo)),
        (false, true) => Some(format!("v <= {}", inner.hi)),
        (true, true) => Some(format!("({}..={}).contains(&v)", inner.lo, inner.hi)),
    }
}

/// The condition under which a nullable field may *not* be null, within its own versions.
fn never_null(field: &Field) -> Option<String> {
    let range = field.nullable.filter(|range| *range != field.versions)?;
    condition(range, field.versions).map(|can| format!("!({can})"))
}

fn is_nullable(message: &Message, name: &str) -> bool {
    let all = message.structs.iter().chain([&message.root]).flat_map(|s| &s.fields);
    all.into_iter().any(|f| f.kind == Kind::Struct(name.to_owned()) && !f.array && f.optional())
}

fn min_size(out: &mut String, message: &Message, item: &Struct) {
    let Range { lo, hi } = item.versions;
    let sizes: Vec<usize> = (lo..=hi).map(|v| struct_size(message, item, v)).collect();
    line!(out, "fn min_size(version: i16, _: bool) -> usize {{");
    match sizes.as_slice() {
        [first, rest @ ..] if rest.iter().all(|size| size == first) => {
            line!(out, "let _ = version;\n{first}")
        }
        _ => line!(out, "min_size_at(&{sizes:?}, version - {lo})"),
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

/// Binds the version if the body, which is written by `body`, uses it.
fn with_version(out: &mut String, getter: &str, body: &str) {
    let uses = body.contains("v >=") || body.contains("v <=") || body.contains("(&v)");
    if uses {
        line!(out, "let v = {getter}.version();");
    }
    out.push_str(body);
}

fn read(out: &mut String, item: &Struct) {
    let mut body = String::new();
    for field in item.fields.iter().filter(|f| f.tag.is_none()) {
        let condition = condition(field.versions, item.versions);
        if let Some(condition) = &condition {
            line!(body, "if {condition} {{");
        }
        let name = ident(&field.name);
        line!(body, "d.at(\"{}.{}\");", item.name, field.name);
        if field.legacy {
            line!(body, "d.legacy_string(&mut self.{name})?;");
        } else {
            line!(body, "self.{name}.read(d)?;");
        }
        if let Some(condition) = never_null(field) {
            line!(body, "if {condition} && self.{name}.is_none() {{ return Err(d.null()); }}");
        }
        if condition.is_some() {
            line!(body, "}}");
        }
    }
    read_tags(&mut body, item);
    line!(out, "fn read(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError> {{");
    with_version(out, "d", &body);
    line!(out, "}}");
}

fn read_tags(out: &mut String, item: &Struct) {
    let tagged: Vec<&Field> = item.fields.iter().filter(|f| f.tag.is_some()).collect();
    if tagged.is_empty() {
        line!(out, "d.skip_tags()");
        return;
    }
    line!(out, "let mut tags = d.tags()?;\nwhile let Some(tag) = tags.next(d)? {{\nmatch tag {{");
    for field in tagged {
        let guard = condition(field.versions, item.versions).map_or(String::new(), |c| format!(" if {c}"));
        line!(out, "{}{guard} => {{", field.tag.unwrap_or_default());
        line!(out, "d.at(\"{}.{}\");", item.name, field.name);
        line!(out, "tags.read(&mut self.{}, d)?;\n}}", ident(&field.name));
    }
    line!(out, "_ => tags.skip(d)?,\n}}\n}}\nOk(())");
}

fn write(out: &mut String, item: &Struct) {
    let mut body = String::new();
    for field in item.fields.iter().filter(|f| f.tag.is_none()) {
        write_field(&mut body, item, field);
    }
    write_tags(&mut body, item);
    line!(out, "fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {{");
    with_version(out, "w", &body);
    line!(out, "}}");
}

fn write_field(out: &mut String, item: &Struct, field: &Field) {
    let name = ident(&field.name);
    line!(out, "w.at(\"{}.{}\");", item.name, field.name);
    let condition = condition(field.versions, item.versions);
    if let Some(condition) = &condition {
        line!(out, "if {condition} {{");
    }
    if let Some(condition) = never_null(field) {
        line!(out, "if {condition} && self.{name}.is_none() {{ return Err(w.null()); }}");
    }
    if field.legacy {
        line!(out, "w.legacy_string(self.{name}.as_deref())?;");
    } else {
        line!(out, "self.{name}.write(w)?;");
    }
    match condition {
        Some(_) if field.ignorable => line!(out, "}}"),
        Some(_) => line!(out, "}} else if {} {{ return Err(w.not_in_version()); }}", differs(field)),
        None => {}
    }
}

fn write_tags(out: &mut String, item: &Struct) {
    let tagged: Vec<&Field> = item.fields.iter().filter(|f| f.tag.is_some()).collect();
    if tagged.is_empty() {
        line!(out, "w.tag_count(0);\nOk(())");
        return;
    }
    let mut present = Vec::new();
    for (index, field) in tagged.iter().enumerate() {
        line!(out, "let t{index} = {};", differs(field));
        match condition(field.versions, item.versions) {
            Some(condition) if field.ignorable => line!(out, "let t{index} = t{index} && {condition};"),
            Some(condition) => {
                line!(out, "w.at(\"{}.{}\");", item.name, field.name);
                line!(out, "if t{index} && !({condition}) {{ return Err(w.not_in_version()); }}");
            }
            None => {}
        }
        present.push(format!("u32::from(t{index})"));
    }
    line!(out, "w.tag_count({});", present.join(" + "));
    let mut order: Vec<(usize, &&Field)> = tagged.iter().enumerate().collect();
    order.sort_by_key(|(_, field)| field.tag);
    for (index, field) in order {
        line!(out, "if t{index} {{\nw.at(\"{}.{}\");", item.name, field.name);
        line!(out, "w.tagged({}, &self.{})?;\n}}", field.tag.unwrap_or_default(), ident(&field.name));
    }
    line!(out, "Ok(())");
}

/// The seeded filler, for tests: sets every field that `v` carries.
fn fill(out: &mut String, item: &Struct) {
    let mut body = String::new();
    for field in &item.fields {
        let condition = condition(field.versions, item.versions);
        if let Some(condition) = &condition {
            line!(body, "if {condition} {{");
        }
        let of =
            if field.array { format!("Vec<{}>", element(&field.kind)) } else { element(&field.kind).into() };
        let value = match (field.optional(), never_null(field)) {
            (false, _) => format!("g.value::<{of}>(v)"),
            (true, None) => format!("g.maybe::<{of}>(v, true)"),
            (true, Some(never)) => format!("g.maybe::<{of}>(v, !({never}))"),
        };
        let chance = if field.tag.is_some() { "if g.flip() " } else { "" };
        line!(body, "{chance}{{ self.{} = {value}; }}", ident(&field.name));
        if condition.is_some() {
            line!(body, "}}");
        }
    }
    line!(out, "#[cfg(feature = \"testing\")]\nimpl crate::testing::Fill for {} {{", item.name);
    line!(out, "fn fill(&mut self, g: &mut crate::testing::Gen, v: i16) {{\n{body}}}\n}}");
}
