//! Records as JSON, one object a line, the same for reading and writing.
//!
//! Keys and values that are UTF-8 are strings; others are `{"base64": "..."}`, so that nothing is lost and nothing is guessed.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use siltstone_records::RecordView;

/// Bytes, or null.
fn bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => Value::String(text.to_owned()),
        Some(Err(_)) => json!({ "base64": STANDARD.encode(bytes.unwrap_or_default()) }),
    }
}

/// One line for a record, without its end. Fields in the order in which a person looks for them.
pub(crate) fn record_line(topic: &str, partition: i32, record: &RecordView<'_>) -> String {
    let header = |(name, value): (&[u8], Option<&[u8]>)| json!({ "name": String::from_utf8_lossy(name), "value": bytes(value) });
    let (topic, headers) = (Value::from(topic), record.headers().map(header).collect::<Value>());
    let (offset, timestamp) = (record.offset, record.timestamp);
    let (key, value) = (bytes(record.key), bytes(record.value));
    format!(
        r#"{{"topic":{topic},"partition":{partition},"offset":{offset},"timestamp":{timestamp},"key":{key},"value":{value},"headers":{headers}}}"#
    )
}

/// A header: its name, and its value or null.
type JsonHeader = (String, Option<Vec<u8>>);

/// A record to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct JsonRecord {
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<JsonHeader>,
}

impl JsonRecord {
    /// Reads a line. `topic` and `offset` are passed over, so that what was read can be written again; other unknown fields are refused.
    pub(crate) fn parse(line: &[u8]) -> Result<JsonRecord, String> {
        let object: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))?;
        let mut record = JsonRecord::default();
        for (name, value) in object {
            match name.as_str() {
                "topic" | "offset" => {}
                "key" => record.key = binary(&name, value)?,
                "value" => record.value = binary(&name, value)?,
                "headers" => record.headers = headers(value)?,
                "timestamp" => record.timestamp = whole(&name, &value)?,
                "partition" => {
                    let number = whole(&name, &value)?.map(i32::try_from).transpose();
                    record.partition = number.map_err(|_| "partition is out of range".to_owned())?;
                }
                _ => return Err(format!("unknown field {name:?}")),
            }
        }
        Ok(record)
    }
}

fn whole(name: &str, value: &Value) -> Result<Option<i64>, String> {
    if value.is_null() {
        return Ok(None);
    }
    value.as_i64().map(Some).ok_or_else(|| format!("{name} is not a whole number"))
}

fn binary(name: &str, value: Value) -> Result<Option<Vec<u8>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes())),
        Value::Object(object) if object.len() == 1 => {
            let text = object.get("base64").and_then(Value::as_str);
            let text = text.ok_or_else(|| format!("{name} is an object without the field base64"))?;
            STANDARD.decode(text).map(Some).map_err(|error| format!("{name} is not base64: {error}"))
        }
        other => {
            let shown: Cow<'_, str> = other.to_string().chars().take(40).collect();
            Err(format!("{name} is neither a string, null nor {{\"base64\": ...}}: {shown}"))
        }
    }
}

fn headers(value: Value) -> Result<Vec<JsonHeader>, String> {
    let Value::Array(items) = value else { return Err("headers is not a list".to_owned()) };
    let header = |item: Value| match item {
        Value::Object(mut fields) => {
            let value = fields.remove("value").unwrap_or(Value::Null);
            match fields.remove("name") {
                Some(Value::String(name)) => Ok((name, binary("header", value)?)),
                _ => Err("a header has no name".to_owned()),
            }
        }
        _ => Err("a header is not an object with name and value".to_owned()),
    };
    items.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use siltstone_records::{Batch, BatchBuilder, NewRecord, Scratch};

    use super::*;

    #[test]
    fn a_printed_record_can_be_read_again() {
        let headers: [(&str, Option<&[u8]>); 2] = [("h", Some(b"\xff")), ("n", None)];
        let record = NewRecord {
            timestamp: 7,
            key: Some("k\"\n".as_bytes()),
            value: Some(&[0xfe, 0]),
            headers: &headers,
        };
        let mut builder = BatchBuilder::new();
        builder.push(&record).unwrap();
        let batch = Batch::parse(&builder.build(&mut Scratch::new()).unwrap()).unwrap();
        let records = batch.records(1000, &mut Scratch::new()).unwrap();
        let line = record_line("t", 3, &records.iter().next().unwrap().unwrap());
        assert!(line.contains(r#""value":{"base64":"/gA="}"#), "{line}");
        assert!(!line.contains('\n'));
        let expected = JsonRecord {
            partition: Some(3),
            timestamp: Some(7),
            key: Some(b"k\"\n".to_vec()),
            value: Some(vec![0xfe, 0]),
            headers: vec![("h".into(), Some(vec![0xff])), ("n".into(), None)],
        };
        assert_eq!(JsonRecord::parse(line.as_bytes()), Ok(expected));
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, why) in [
            ("x", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"{"kay": 1}"#, "unknown field \"kay\""),
            (r#"{"key": 1}"#, "key is neither"),
            (r#"{"value": {"base64": "!"}}"#, "value is not base64"),
            (r#"{"partition": 99999999999}"#, "out of range"),
            (r#"{"headers": [1]}"#, "a header is not"),
        ] {
            let error = JsonRecord::parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
