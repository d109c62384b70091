//! Records by a format string, with kcat's tokens.

use std::io::{self, Write};

use siltstone_records::RecordView;

/// Why a format string is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("the format has %{0}, which is none of %t %p %o %k %v %s %h %T %K %V %%")]
    Token(char),
    #[error("the format ends in the middle of a token")]
    Ends,
    #[error("the format has \\{0}, which is none of \\n \\r \\t \\0 \\\\ \\xHH")]
    Escape(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Timestamp,
    KeyLength,
    ValueLength,
}

/// A format string, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    parts: Vec<Part>,
}

impl Format {
    /// Parses `%` tokens and `\` escapes.
    pub(crate) fn parse(text: &str) -> Result<Format, FormatError> {
        let mut format = Format { parts: Vec::new() };
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => {
                    let token = chars.next().ok_or(FormatError::Ends)?;
                    match part(token)? {
                        Part::Literal(bytes) => format.literal(&bytes),
                        part => format.parts.push(part),
                    }
                }
                '\\' => format.literal(&[escape(&mut chars)?]),
                c => format.literal(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Ok(format)
    }

    /// The value on a line of its own; before it the key, if a separator is given.
    pub(crate) fn line(separator: Option<&str>) -> Format {
        let mut format = Format { parts: Vec::new() };
        if let Some(separator) = separator {
            format.parts.push(Part::Key);
            format.literal(separator.as_bytes());
        }
        format.parts.push(Part::Value);
        format.literal(b"\n");
        format
    }

    fn literal(&mut self, bytes: &[u8]) {
        if let Some(Part::Literal(last)) = self.parts.last_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.parts.push(Part::Literal(bytes.to_vec()));
        }
    }

    /// Writes one record.
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        topic: &str,
        partition: i32,
        record: &RecordView<'_>,
    ) -> io::Result<()> {
        let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.write_all(bytes)?,
                Part::Topic => out.write_all(topic.as_bytes())?,
                Part::Partition => write!(out, "{partition}")?,
                Part::Offset => write!(out, "{}", record.offset)?,
                Part::Key => out.write_all(record.key.unwrap_or_default())?,
                Part::Value => out.write_all(record.value.unwrap_or_default())?,
                Part::Timestamp => write!(out, "{}", record.timestamp)?,
                Part::KeyLength => write!(out, "{}", length(record.key))?,
                Part::ValueLength => write!(out, "{}", length(record.value))?,
                Part::Headers => headers(out, record)?,
            }
        }
        Ok(())
    }
}

fn headers(out: &mut impl Write, record: &RecordView<'_>) -> io::Result<()> {
    for (at, (name, value)) in record.headers().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        out.write_all(name)?;
        out.write_all(b"=")?;
        out.write_all(value.unwrap_or_default())?;
    }
    Ok(())
}

fn part(token: char) -> Result<Part, FormatError> {
    Ok(match token {
        't' => Part::Topic,
        'p' => Part::Partition,
        'o' => Part::Offset,
        'k' => Part::Key,
        'v' | 's' => Part::Value,
        'h' => Part::Headers,
        'T' => Part::Timestamp,
        'K' => Part::KeyLength,
        'V' | 'S' => Part::ValueLength,
        '%' => Part::Literal(b"%".to_vec()),
        other => return Err(FormatError::Token(other)),
    })
}

fn escape(chars: &mut std::str::Chars<'_>) -> Result<u8, FormatError> {
    Ok(match chars.next().ok_or(FormatError::Ends)? {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        '0' => 0,
        '\\' => b'\\',
        'x' => {
            let digits: String = chars.by_ref().take(2).collect();
            let byte = Some(&digits).filter(|digits| digits.len() == 2);
            byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(FormatError::Escape('x'))?
        }
        other => return Err(FormatError::Escape(other)),
    })
}

#[cfg(test)]
mod tests {
    use siltstone_records::{Batch, BatchBuilder, NewRecord, Scratch};

    use super::*;

    fn shown(format: &Format) -> String {
        let headers: [(&str, Option<&[u8]>); 2] = [("a", Some(b"1")), ("b", None)];
        let record = NewRecord { timestamp: 9, key: None, value: Some(b"v"), headers: &headers };
        let mut builder = BatchBuilder::new().base_offset(5);
        builder.push(&record).unwrap();
        let batch = Batch::parse(&builder.build(&mut Scratch::new()).unwrap()).unwrap();
        let records = batch.records(1000, &mut Scratch::new()).unwrap();
        let mut out = Vec::new();
        format.write(&mut out, "top", 2, &records.iter().next().unwrap().unwrap()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tokens_and_escapes_mean_what_they_mean_in_kcat() {
        let format = Format::parse(r"%t[%p]@%o %T|%k|%s|%v|%h|%K/%V %%\t\x41\\\n").unwrap();
        assert_eq!(shown(&format), "top[2]@5 9||v|v|a=1,b=|-1/1 %\tA\\\n");
        assert_eq!(shown(&Format::line(Some(": "))), ": v\n");
        assert_eq!(shown(&Format::line(None)), "v\n");
    }

    #[test]
    fn what_is_no_format_is_refused() {
        assert_eq!(Format::parse("%q"), Err(FormatError::Token('q')));
        assert_eq!(Format::parse("a%"), Err(FormatError::Ends));
        assert_eq!(Format::parse("\\"), Err(FormatError::Ends));
        assert_eq!(Format::parse(r"\y"), Err(FormatError::Escape('y')));
        assert_eq!(Format::parse(r"\x4"), Err(FormatError::Escape('x')));
    }
}
