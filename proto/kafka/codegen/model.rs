//! What a definition says, after parsing: every version range is closed and already cut to the
//! versions of what contains it, so that no later step has to intersect ranges again.

/// A closed range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first version.
    pub lo: i16,
    /// The last version.
    pub hi: i16,
}

impl Range {
    /// Whether `version` lies in the range.
    pub fn contains(self, version: i16) -> bool {
        (self.lo..=self.hi).contains(&version)
    }

    /// Whether all of `other` lies in the range.
    pub fn covers(self, other: Self) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// The range in words, for documentation.
    pub fn words(self) -> String {
        match self {
            Self { lo, hi } if lo == hi => format!("version {lo}"),
            Self { lo, hi } => format!("versions {lo} to {hi}"),
        }
    }
}

/// The type of a field, or of an array's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One of the built-in types, by its name in the definition language.
    Plain(&'static str),
    /// A struct of the same message, by name.
    Struct(String),
}

/// One field of a struct.
#[derive(Debug, Clone)]
pub struct Field {
    /// Kafka's name, in camel case.
    pub name: String,
    /// The type, or the element type of an array.
    pub kind: Kind,
    /// Whether the field is an array of `kind`.
    pub array: bool,
    /// The versions that carry the field.
    pub versions: Range,
    /// The versions in which it may be null.
    pub nullable: Option<Range>,
    /// The default as written, if it isn't the type's own.
    pub default: Option<String>,
    /// The tag, for a tagged field.
    pub tag: Option<u32>,
    /// Whether a value is dropped silently by versions that can't carry it.
    pub ignorable: bool,
    /// Whether the field is encoded in the old way even in flexible versions.
    pub legacy: bool,
}

impl Field {
    /// Whether the field's Rust type is an `Option`.
    pub fn optional(&self) -> bool {
        self.nullable.is_some()
    }

    /// Whether the default is null: said so, or a nullable `records`.
    pub fn null_default(&self) -> bool {
        self.default.as_deref() == Some("null")
            || (self.optional() && self.kind == Kind::Plain("records") && self.default.is_none())
    }
}

/// A struct: fields in wire order.
#[derive(Debug, Clone)]
pub struct Struct {
    /// Its Rust name, unique in its message.
    pub name: String,
    /// The versions in which it occurs.
    pub versions: Range,
    /// Its fields, tagged ones included.
    pub fields: Vec<Field>,
}

/// A request, a response, or a schema of its own.
#[derive(Debug, Clone)]
pub struct Message {
    /// `Request`, `Response`, or the schema's name; also the name of the root struct.
    pub name: String,
    /// Valid versions.
    pub versions: Range,
    /// The first version with compact lengths and tagged fields.
    pub flexible: Option<i16>,
    /// The root struct.
    pub root: Struct,
    /// All other structs, in order of appearance.
    pub structs: Vec<Struct>,
}

impl Message {
    /// Whether `version` is flexible.
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible.is_some_and(|from| version >= from)
    }

    /// The struct with this name; the parser has made sure that it exists.
    pub fn find(&self, name: &str) -> Option<&Struct> {
        self.structs.iter().find(|s| s.name == name)
    }
}

/// An API: a request and its response.
#[derive(Debug, Clone)]
pub struct Api {
    /// The API key on the wire.
    pub key: i16,
    /// Kafka's name.
    pub name: String,
    /// Valid versions.
    pub versions: Range,
    /// The first flexible version.
    pub flexible: Option<i16>,
    /// Whether the latest version is not yet stable, and so not advertised.
    pub unstable: bool,
    /// A lower first version to advertise than the first served.
    pub advertised_from: Option<i16>,
    /// The request.
    pub request: Message,
    /// The response.
    pub response: Message,
}

/// One definition file.
#[derive(Debug, Clone)]
pub enum File {
    /// `api`: one API.
    Api(Box<Api>),
    /// `schema`, once or more: messages that belong to no API.
    Schemas(Vec<Message>),
}
