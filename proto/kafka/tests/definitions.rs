//! Our definitions against those in Kafka's client jar, field by field.
//!
//! Runs when `SILTSTONE_KAFKA_JSON` names a folder with the jar's message files (`common/message/*.json`).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: helpers outside of test functions count as code"
)]

#[allow(dead_code, unused_imports, reason = "shared with the build script; only the parser is used here")]
#[path = "../codegen/mod.rs"]
mod codegen;

use codegen::model::{Api, Field, File, Kind, Message, Range, Struct};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a Kafka 4.2 broker serves and we don't define: delegation tokens, share groups, streams groups, and what
/// brokers and controllers say to each other or an operator does to a KRaft quorum.
const LEFT_OUT: &[&str] = &[
    "AddRaftVoter",
    "AllocateProducerIds",
    "AlterPartition",
    "AlterShareGroupOffsets",
    "AssignReplicasToDirs",
    "CreateDelegationToken",
    "DeleteShareGroupOffsets",
    "DeleteShareGroupState",
    "DescribeDelegationToken",
    "DescribeShareGroupOffsets",
    "Envelope",
    "ExpireDelegationToken",
    "InitializeShareGroupState",
    "ReadShareGroupState",
    "ReadShareGroupStateSummary",
    "RemoveRaftVoter",
    "RenewDelegationToken",
    "ShareAcknowledge",
    "ShareFetch",
    "ShareGroupDescribe",
    "ShareGroupHeartbeat",
    "StreamsGroupDescribe",
    "StreamsGroupHeartbeat",
    "UnregisterBroker",
    "UpdateRaftVoter",
    "WriteShareGroupState",
];

/// What Kafka has not: our own APIs, whose keys are far from its.
fn is_own(api: &Api) -> bool {
    api.key >= 30_000
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SILTSTONE_KAFKA_JSON").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SILTSTONE_KAFKA_JSON is not set");
    }
    folder
}

fn ours() -> Vec<File> {
    codegen::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("messages")).unwrap()
}

/// Kafka's files are JSON with comments.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut comment) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => comment = false,
            _ if comment => continue,
            '\\' if quoted => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => {
                comment = true;
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

fn theirs(folder: &Path, name: &str) -> Value {
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&without_comments(&text)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).map(|inner| inner.as_str().unwrap_or_else(|| panic!("{key} is no string: {value}")))
}

/// `none`, `4`, `3-9` or `7+`.
fn range(text: &str) -> Option<Range> {
    let number = |part: &str| part.trim().parse::<i16>().unwrap_or_else(|_| panic!("bad range {text}"));
    match text.trim() {
        "none" => None,
        open if open.ends_with('+') => Some(Range { lo: number(open.trim_end_matches('+')), hi: i16::MAX }),
        text => Some(match text.split_once('-') {
            Some((lo, hi)) => Range { lo: number(lo), hi: number(hi) },
            None => Range { lo: number(text), hi: number(text) },
        }),
    }
}

fn meet(a: Range, b: Range) -> Option<Range> {
    let both = Range { lo: a.lo.max(b.lo), hi: a.hi.min(b.hi) };
    (both.lo <= both.hi).then_some(both)
}

/// All that matters of a field on the wire, in one line.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    path: String,
    kind: String,
    versions: Range,
    nullable: Option<Range>,
    tag: Option<u64>,
    default: String,
    /// Only said where it matters: where the field is not in all versions of its struct.
    ignorable: bool,
    legacy: bool,
}

fn implied_default(kind: &str, nullable: bool) -> &'static str {
    match kind {
        "bool" => "false",
        "string" | "bytes" | "uuid" | "struct" => "",
        "records" if nullable => "null",
        "records" => "",
        array if array.starts_with("[]") => "",
        _ => "0",
    }
}

fn normal_default(written: Option<String>, kind: &str, nullable: bool) -> String {
    let Some(written) = written else { return implied_default(kind, nullable).to_owned() };
    match written.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).unwrap().to_string(),
        None => written,
    }
}

fn our_facts(message: &Message) -> Vec<Fact> {
    let mut facts = Vec::new();
    our_struct(message, &message.root, message.versions, "", &mut facts);
    facts
}

fn our_struct(message: &Message, item: &Struct, context: Range, path: &str, facts: &mut Vec<Fact>) {
    for field in &item.fields {
        let Some(versions) = meet(field.versions, context) else { continue };
        let path = format!("{path}.{}", field.name);
        facts.push(our_field(field, versions, context, &path));
        if let Kind::Struct(name) = &field.kind {
            our_struct(message, message.find(name).unwrap(), versions, &path, facts);
        }
    }
}

fn our_field(field: &Field, versions: Range, context: Range, path: &str) -> Fact {
    let base = match &field.kind {
        Kind::Plain(name) => name,
        Kind::Struct(_) => "struct",
    };
    let kind = if field.array { format!("[]{base}") } else { base.to_owned() };
    let nullable = field.nullable.and_then(|range| meet(range, versions));
    Fact {
        path: path.to_owned(),
        default: normal_default(field.default.clone(), &kind, nullable.is_some()),
        kind,
        versions,
        nullable,
        tag: field.tag.map(u64::from),
        ignorable: field.ignorable && versions != context,
        legacy: field.legacy,
    }
}

fn their_facts(message: &Value) -> Vec<Fact> {
    let mut facts = Vec::new();
    let valid = range(text(message, "validVersions").unwrap()).unwrap();
    their_fields(message, message, valid, "", &mut facts);
    facts
}

fn their_fields(message: &Value, holder: &Value, context: Range, path: &str, facts: &mut Vec<Fact>) {
    for field in holder["fields"].as_array().unwrap() {
        let name = text(field, "name").unwrap();
        let written = text(field, "versions").or(text(field, "taggedVersions")).unwrap();
        let Some(versions) = range(written).and_then(|range| meet(range, context)) else { continue };
        let path = format!("{path}.{name}");
        let written = text(field, "type").unwrap();
        let base = written.trim_start_matches("[]");
        let is_struct = base.starts_with(|c: char| c.is_ascii_uppercase());
        let kind = if is_struct { written.replace(base, "struct") } else { written.to_owned() };
        facts.push(their_field(field, kind, versions, context, &path));
        if is_struct {
            let holder = if field.get("fields").is_some() { field } else { common_struct(message, base) };
            their_fields(message, holder, versions, &path, facts);
        }
    }
}

fn common_struct<'a>(message: &'a Value, name: &str) -> &'a Value {
    let all = message["commonStructs"].as_array().unwrap();
    all.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no struct {name}"))
}

fn their_field(field: &Value, kind: String, versions: Range, context: Range, path: &str) -> Fact {
    let nullable = text(field, "nullableVersions").and_then(range).and_then(|range| meet(range, versions));
    if let Some(tagged) = text(field, "taggedVersions") {
        assert_eq!(
            range(tagged).and_then(|range| meet(range, context)),
            Some(versions),
            "{path}: partly tagged"
        );
    }
    let default =
        field.get("default").map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let ignorable = field.get("ignorable").is_some_and(|value| *value == true || *value == "true");
    Fact {
        path: path.to_owned(),
        default: normal_default(default, &kind, nullable.is_some()),
        kind,
        versions,
        nullable,
        tag: field.get("tag").map(|tag| tag.as_u64().unwrap()),
        ignorable: ignorable && versions != context,
        legacy: text(field, "flexibleVersions") == Some("none"),
    }
}

fn compare(message: &Message, name: &str, folder: &Path) -> usize {
    let json = theirs(folder, name);
    assert_eq!(json["name"], name);
    assert_eq!(Some(message.versions), range(text(&json, "validVersions").unwrap()), "{name}");
    let flexible =
        range(text(&json, "flexibleVersions").unwrap()).map(|range| range.lo.max(message.versions.lo));
    assert_eq!(message.flexible, flexible, "{name}");
    let (ours, theirs) = (our_facts(message), their_facts(&json));
    for (our, their) in ours.iter().zip(&theirs) {
        assert_eq!(our, their, "{name}: ours is on the left");
    }
    assert_eq!(ours.len(), theirs.len(), "{name}: number of fields");
    ours.len()
}

fn compare_api(api: &Api, folder: &Path) -> usize {
    let request = theirs(folder, &format!("{}Request", api.name));
    let response = theirs(folder, &format!("{}Response", api.name));
    assert_eq!(request["apiKey"], api.key, "{}", api.name);
    assert_eq!(response["apiKey"], api.key, "{}", api.name);
    let unstable = request.get("latestVersionUnstable").is_some_and(|value| *value == true);
    assert_eq!(api.unstable, unstable, "{}: latest version unstable", api.name);
    assert_eq!((api.versions, api.flexible), (api.request.versions, api.request.flexible));
    assert_eq!((api.versions, api.flexible), (api.response.versions, api.response.flexible));
    compare(&api.request, &format!("{}Request", api.name), folder)
        + compare(&api.response, &format!("{}Response", api.name), folder)
}

#[test]
fn every_field_is_as_in_kafka() {
    let Some(folder) = folder() else { return };
    let mut fields = 0;
    for file in ours() {
        fields += match file {
            File::Api(api) if is_own(&api) => 0,
            File::Api(api) => compare_api(&api, &folder),
            File::Schemas(all) => all.iter().map(|schema| compare(schema, &schema.name, &folder)).sum(),
        };
    }
    println!("{fields} fields compared");
    assert!(fields > 900, "only {fields} fields");
}

#[test]
fn what_a_broker_serves_is_defined_or_left_out_on_purpose() {
    let Some(folder) = folder() else { return };
    let mut served = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(api) = file.strip_suffix("Request.json") else { continue };
        let json = theirs(&folder, &format!("{api}Request"));
        let listeners = json["listeners"].as_array().cloned().unwrap_or_default();
        if listeners.iter().any(|listener| listener == "broker") && json["validVersions"] != "none" {
            served.insert(api.to_owned());
        }
    }
    for file in ours() {
        if let File::Api(api) = file {
            if is_own(&api) {
                assert!(!served.contains(&api.name), "{} is Kafka's", api.name);
                continue;
            }
            assert!(!LEFT_OUT.contains(&api.name.as_str()), "{} is defined", api.name);
            assert!(served.remove(&api.name), "{} is nothing that a broker serves", api.name);
        }
    }
    served.retain(|api| !LEFT_OUT.contains(&api.as_str()));
    assert_eq!(served, BTreeSet::new(), "neither defined nor left out on purpose");
}

#[test]
fn the_parser_names_the_line_of_a_mistake() {
    let cases = [
        ("api 1 X versions 0-3\n\nrequest\n  A: int99\nresponse\n", "4: unknown type or struct"),
        ("api 1 X versions 0-3\n\nrequest\n  A: int8 2-5\nresponse\n", "4: versions outside"),
        ("api 1 X versions 0-3\nrequest\n  A: int8\n  A: int16\nresponse\n", "twice"),
        ("api 1 X versions 3-0\nrequest\nresponse\n", "1: bad version range"),
        ("api 1 X versions 0-3\nrequest\n   A: int8\nresponse\n", "3: indent"),
        ("api 1 X versions 0-3\nrequest\n  A: int8 = null\nresponse\n", "3: default null"),
        ("api 1 X versions 0-3\nrequest\n  A: int8 magic\nresponse\n", "3: unknown word"),
        ("schema X versions 0-3\n  A: []B\n", "2: unknown type or struct"),
        ("schema X versions 0-3\n  A: int8\n    B: int8\n", "2: only structs have fields"),
    ];
    for (source, expected) in cases {
        let error = codegen::parse::file(source).unwrap_err();
        assert!(error.contains(expected), "{source:?}: {error}");
    }
}
