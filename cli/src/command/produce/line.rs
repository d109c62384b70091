//! From a line to a record.

use siltstone_records::NewHeader;

use super::ProduceArgs;
use crate::client::{Producer, Record};
use crate::failure::{Failure, Outcome};
use crate::output::{JsonRecord, now};

/// How lines are read.
pub(super) struct LineReader {
    json: bool,
    separator: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    headers: Vec<(String, String)>,
    partition: Option<i32>,
    null_if_empty: bool,
}

impl LineReader {
    pub(super) fn new(args: &ProduceArgs) -> LineReader {
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        LineReader {
            json: args.json,
            separator: bytes(&args.key_separator).filter(|separator| !separator.is_empty()),
            key: bytes(&args.key),
            headers: args.header.clone(),
            partition: args.partition,
            null_if_empty: args.null_if_empty,
        }
    }

    /// Sends the record of a line; `number` counts lines from 1.
    pub(super) async fn send(&self, producer: &Producer, line: &[u8], number: u64) -> Outcome {
        if self.json {
            return self.send_json(producer, line, number).await;
        }
        let (key, value) = self.split(line);
        let headers: Vec<NewHeader<'_>> =
            self.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_bytes()))).collect();
        let record =
            Record { partition: self.partition, timestamp: now(), key, value, headers: &headers, due: None };
        Ok(producer.send(record).await?)
    }

    /// Key and value of a line.
    fn split<'a>(&'a self, line: &'a [u8]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let found = self.separator.as_ref().and_then(|separator| {
            let at = line.windows(separator.len()).position(|part| part == separator)?;
            Some((&line[..at], &line[at + separator.len()..]))
        });
        let (key, value) = match found {
            Some((key, value)) => (Some(key), value),
            None => (self.key.as_deref(), line),
        };
        let kept = |bytes: &&[u8]| !(self.null_if_empty && bytes.is_empty());
        (key.filter(kept), Some(value).filter(kept))
    }

    async fn send_json(&self, producer: &Producer, line: &[u8], number: u64) -> Outcome {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let wrong = |why: String| Failure::new(format!("line {number} of the input: {why}"));
        let json = JsonRecord::parse(line).map_err(wrong)?;
        let headers: Vec<NewHeader<'_>> =
            json.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let record = Record {
            partition: self.partition.or(json.partition),
            timestamp: json.timestamp.unwrap_or_else(now),
            key: json.key.as_deref(),
            value: json.value.as_deref(),
            headers: &headers,
            due: None,
        };
        Ok(producer.send(record).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(separator: Option<&str>, null_if_empty: bool) -> LineReader {
        LineReader {
            json: false,
            separator: separator.map(|text| text.as_bytes().to_vec()),
            key: None,
            headers: Vec::new(),
            partition: None,
            null_if_empty,
        }
    }

    type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    #[test]
    fn lines_are_split_at_the_first_separator() {
        let colon = reader(Some("::"), false);
        let cases: [(&[u8], Parts<'_>); 4] = [
            (b"k::v::w", (Some(b"k"), Some(b"v::w"))),
            (b"no key", (None, Some(b"no key"))),
            (b"::v", (Some(b""), Some(b"v"))),
            (b"", (None, Some(b""))),
        ];
        for (line, parts) in cases {
            assert_eq!(colon.split(line), parts);
        }
        assert_eq!(reader(Some(":"), true).split(b":"), (None, None));
        assert_eq!(reader(None, false).split(b"a:b"), (None, Some(&b"a:b"[..])));
    }
}
