//! Reading and writing a struct, and filling it in tests.

use super::conditions::{condition, differs, never_null, outside};
use super::line;
use super::names::{element, field as ident};
use crate::codegen::model::{Field, Struct};
use std::fmt::Write as _;

/// Binds the version if the body, which is written by `body`, uses it.
fn with_version(out: &mut String, getter: &str, body: &str) {
    let uses = ["v >", "v <", "(&v)"].iter().any(|use_of_v| body.contains(use_of_v));
    if uses {
        line!(out, "let v = {getter}.version();");
    }
    out.push_str(body);
}

/// Writes `read`.
pub fn read(out: &mut String, item: &Struct) {
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

/// Writes `write`.
pub fn write(out: &mut String, item: &Struct) {
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
        if field.ignorable {
            if let Some(condition) = condition(field.versions, item.versions) {
                line!(out, "let t{index} = t{index} && {condition};");
            }
        } else if let Some(outside) = outside(field.versions, item.versions) {
            line!(out, "w.at(\"{}.{}\");", item.name, field.name);
            line!(out, "if t{index} && {outside} {{ return Err(w.not_in_version()); }}");
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
pub fn fill(out: &mut String, item: &Struct) {
    let mut body = String::new();
    for field in &item.fields {
        let carried = condition(field.versions, item.versions);
        let chance = field.tag.map(|_| "g.flip()".to_owned());
        let conditions: Vec<String> = carried.into_iter().chain(chance).collect();
        let of =
            if field.array { format!("Vec<{}>", element(&field.kind)) } else { element(&field.kind).into() };
        let value = match field.nullable {
            None => format!("g.value::<{of}>(v)"),
            Some(range) => {
                let can_be_null = condition(range, field.versions).unwrap_or("true".to_owned());
                format!("g.maybe::<{of}>(v, {can_be_null})")
            }
        };
        let set = format!("self.{} = {value};", ident(&field.name));
        if conditions.is_empty() {
            line!(body, "{set}");
        } else {
            line!(body, "if {} {{\n{set}\n}}", conditions.join(" && "));
        }
    }
    line!(out, "#[cfg(feature = \"testing\")]\nimpl crate::testing::Fill for {} {{", item.name);
    line!(out, "fn fill(&mut self, g: &mut crate::testing::Gen, v: i16) {{\n{body}}}\n}}");
}
