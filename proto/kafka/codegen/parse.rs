//! The parser of the definition language. It is strict: what it does not know is an error with a
//! line number, and so are ranges outside their parent's, unknown structs and doubled names.

mod lines;
mod types;

use super::model::{Api, Field, File, Kind, Message, Range, Struct};
use lines::{Line, lines};

struct Parser<'a> {
    lines: Vec<Line<'a>>,
    next: usize,
}

/// A message under construction: what its fields may refer to.
struct Scope {
    versions: Range,
    structs: Vec<Struct>,
    shared: Vec<String>,
}

/// What stands on a head line after its name.
struct Head {
    versions: Range,
    flexible: Option<i16>,
    unstable: bool,
    advertised_from: Option<i16>,
}

/// Parses one definition file. Errors begin with the line number.
pub fn file(text: &str) -> Result<File, String> {
    let mut parser = Parser { lines: lines(text)?, next: 0 };
    let parsed = match parser.word(0) {
        Some("api") => File::Api(Box::new(parser.api()?)),
        Some("schema") => File::Schemas(parser.schemas()?),
        _ => return Err(parser.wrong("a file starts with `api` or `schema`")),
    };
    match parser.peek() {
        None => Ok(parsed),
        Some(_) => Err(parser.wrong("unexpected line")),
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Line<'a>> {
        self.lines.get(self.next)
    }

    fn word(&self, index: usize) -> Option<&'a str> {
        self.peek().and_then(|line| line.text.split_whitespace().nth(index))
    }

    fn wrong(&self, what: &str) -> String {
        let number = self.peek().or(self.lines.last()).map_or(0, |line| line.number);
        format!("{number}: {what}")
    }

    /// As `wrong`, for the line just stepped over.
    fn was_wrong(&self, what: &str) -> String {
        let number =
            self.next.checked_sub(1).and_then(|last| self.lines.get(last)).map_or(0, |line| line.number);
        format!("{number}: {what}")
    }

    fn api(&mut self) -> Result<Api, String> {
        let key = self.word(1).and_then(|w| w.parse().ok()).ok_or_else(|| self.wrong("bad API key"))?;
        let name = self.word(2).ok_or_else(|| self.wrong("an API needs a name"))?.to_owned();
        let head = self.head(3)?;
        let request = self.section("request", "Request", &head)?;
        let response = self.section("response", "Response", &head)?;
        let Head { versions, flexible, unstable, advertised_from } = head;
        Ok(Api { key, name, versions, flexible, unstable, advertised_from, request, response })
    }

    fn schemas(&mut self) -> Result<Vec<Message>, String> {
        let mut found = Vec::new();
        while self.word(0) == Some("schema") {
            let name = self.word(1).ok_or_else(|| self.wrong("a schema needs a name"))?.to_owned();
            let head = self.head(2)?;
            found.push(self.message(&name, &head)?);
        }
        Ok(found)
    }

    fn section(&mut self, keyword: &str, name: &str, head: &Head) -> Result<Message, String> {
        if self.peek().is_none_or(|line| line.depth != 0 || line.text != keyword) {
            return Err(self.wrong(&format!("`{keyword}` expected")));
        }
        self.next += 1;
        self.message(name, head)
    }

    /// Reads the rest of a head line, from word `from`, and steps over it.
    fn head(&mut self, from: usize) -> Result<Head, String> {
        let mut head = Head {
            versions: Range { lo: 0, hi: -1 },
            flexible: None,
            unstable: false,
            advertised_from: None,
        };
        let line = self.peek().map_or("", |line| line.text);
        let mut words = line.split_whitespace().skip(from);
        while let Some(word) = words.next() {
            match word {
                "latest-unstable" => head.unstable = true,
                "versions" | "flexible" | "advertised-from" => {
                    let value = words.next().unwrap_or_default();
                    match word {
                        "versions" => head.versions = self.range(value, i16::MAX)?,
                        "flexible" => head.flexible = Some(self.range(value, i16::MAX)?.lo),
                        _ => head.advertised_from = Some(self.range(value, i16::MAX)?.lo),
                    }
                }
                _ => return Err(self.wrong(&format!("unknown word `{word}`"))),
            }
        }
        if head.versions.hi < head.versions.lo {
            return Err(self.wrong("`versions` missing or empty"));
        }
        self.next += 1;
        Ok(head)
    }

    fn message(&mut self, name: &str, head: &Head) -> Result<Message, String> {
        let versions = head.versions;
        let mut scope = Scope { versions, structs: Vec::new(), shared: Vec::new() };
        let fields = self.fields(1, versions, &mut scope)?;
        let root = Struct { name: name.to_owned(), versions, fields };
        if scope.structs.iter().any(|s| s.name == name) {
            return Err(self.wrong(&format!("struct `{name}` has the message's name")));
        }
        Ok(Message { name: name.to_owned(), versions, flexible: head.flexible, root, structs: scope.structs })
    }

    fn fields(&mut self, depth: usize, parent: Range, scope: &mut Scope) -> Result<Vec<Field>, String> {
        let mut found: Vec<Field> = Vec::new();
        while let Some(line) = self.peek() {
            if line.depth < depth {
                break;
            }
            if line.depth > depth {
                return Err(self.wrong("indented too far"));
            }
            if let Some(name) = line.text.strip_prefix("struct ") {
                self.shared(name.trim(), depth, scope)?;
                continue;
            }
            let field = self.field(depth, parent, scope)?;
            if found.iter().any(|f| f.name == field.name || (f.tag.is_some() && f.tag == field.tag)) {
                return Err(self.wrong(&format!("field or tag of `{}` twice in one struct", field.name)));
            }
            found.push(field);
        }
        Ok(found)
    }

    fn shared(&mut self, name: &str, depth: usize, scope: &mut Scope) -> Result<(), String> {
        if depth != 1 {
            return Err(self.wrong("shared structs stand at the top of a message"));
        }
        self.next += 1;
        let fields = self.fields(depth + 1, scope.versions, scope)?;
        scope.shared.push(name.to_owned());
        self.declare(name, scope.versions, fields, scope)
    }

    fn declare(
        &self,
        name: &str,
        versions: Range,
        fields: Vec<Field>,
        scope: &mut Scope,
    ) -> Result<(), String> {
        if fields.is_empty() {
            return Err(self.wrong(&format!("struct `{name}` has no fields")));
        }
        if scope.structs.iter().any(|s| s.name == name) {
            return Err(self.wrong(&format!("struct `{name}` twice")));
        }
        scope.structs.push(Struct { name: name.to_owned(), versions, fields });
        Ok(())
    }

    fn field(&mut self, depth: usize, parent: Range, scope: &mut Scope) -> Result<Field, String> {
        let text = self.peek().map_or("", |line| line.text);
        let (name, rest) = text.split_once(':').ok_or_else(|| self.wrong("`Name: type` expected"))?;
        let mut words = rest.split_whitespace().peekable();
        let written = words.next().ok_or_else(|| self.wrong("a type expected"))?;
        let versions = match words.next_if(|w| w.starts_with(|c: char| c.is_ascii_digit())) {
            Some(word) => self.range(word, parent.hi)?,
            None => parent,
        };
        if !parent.covers(versions) {
            return Err(self.wrong("versions outside those of the struct"));
        }
        let mut field = types::typed(name, written, versions);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| self.wrong(&format!("`{word}` needs a value")));
            match word {
                "null" => field.nullable = Some(self.range(value()?, versions.hi)?),
                "=" => field.default = Some(value()?.to_owned()),
                "tag" => field.tag = Some(value()?.parse().map_err(|_| self.wrong("bad tag"))?),
                "ignorable" => field.ignorable = true,
                "legacy" => field.legacy = true,
                _ => return Err(self.wrong(&format!("unknown word `{word}`"))),
            }
        }
        types::check(&field).map_err(|what| self.wrong(&what))?;
        self.next += 1;
        self.body(depth, &field, scope)?;
        Ok(field)
    }

    /// Reads the fields of the struct that `field` declares in place, or checks that it exists.
    fn body(&mut self, depth: usize, field: &Field, scope: &mut Scope) -> Result<(), String> {
        let nested = self.peek().is_some_and(|line| line.depth > depth);
        match &field.kind {
            Kind::Plain(_) if nested => Err(self.was_wrong("only structs have fields")),
            Kind::Plain(_) => Ok(()),
            Kind::Struct(name) if nested => {
                let fields = self.fields(depth + 1, field.versions, scope)?;
                self.declare(name, field.versions, fields, scope)
            }
            Kind::Struct(name) if scope.shared.contains(name) => Ok(()),
            Kind::Struct(name) => Err(self.was_wrong(&format!("unknown type or struct `{name}`"))),
        }
    }

    /// Reads `7`, `3-9`, or `3+`, where `+` reaches to `top`.
    fn range(&self, text: &str, top: i16) -> Result<Range, String> {
        let bad = || self.wrong(&format!("bad version range `{text}`"));
        let number = |part: &str| part.parse::<i16>().map_err(|_| bad());
        let range = if let Some(lo) = text.strip_suffix('+') {
            Range { lo: number(lo)?, hi: top }
        } else if let Some((lo, hi)) = text.split_once('-') {
            Range { lo: number(lo)?, hi: number(hi)? }
        } else {
            Range { lo: number(text)?, hi: number(text)? }
        };
        if range.lo < 0 || range.lo > range.hi { Err(bad()) } else { Ok(range) }
    }
}
