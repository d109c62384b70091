//! From Kafka's names to Rust's, and from the definition language's types to Rust's.

use crate::codegen::model::{Field, Kind};

/// `V3AndBelowTopics` becomes `v3_and_below_topics`.
pub fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    let mut lower_before = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && lower_before {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        lower_before = !c.is_ascii_uppercase();
    }
    snake
}

/// The name of a field in Rust. Keywords become raw identifiers.
pub fn field(name: &str) -> String {
    match snake(name).as_str() {
        keyword @ ("match" | "type" | "ref" | "use") => format!("r#{keyword}"),
        other => other.to_owned(),
    }
}

/// The Rust type of a field's value, or of its elements if it is an array.
pub fn element(kind: &Kind) -> &str {
    match kind {
        Kind::Struct(name) => name,
        Kind::Plain(plain) => match *plain {
            "int8" => "i8",
            "int16" => "i16",
            "uint16" => "u16",
            "int32" => "i32",
            "uint32" => "u32",
            "int64" => "i64",
            "float64" => "f64",
            "uuid" => "Uuid",
            "string" => "String",
            "bytes" => "Bytes",
            "records" => "Records",
            other => other,
        },
    }
}

/// The Rust type of a field.
pub fn rust_type(field: &Field) -> String {
    let mut name = element(&field.kind).to_owned();
    if field.array {
        name = format!("Vec<{name}>");
    }
    if field.optional() { format!("Option<{name}>") } else { name }
}

/// The type in words, for documentation.
pub fn words(field: &Field) -> String {
    match (&field.kind, field.array) {
        (Kind::Plain(name), false) => (*name).to_owned(),
        (Kind::Plain(name), true) => format!("array of {name}"),
        (Kind::Struct(name), false) => format!("[`{name}`]"),
        (Kind::Struct(name), true) => format!("array of [`{name}`]"),
    }
}
