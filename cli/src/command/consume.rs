//! `siltstone consume`: records as lines, in a format, or as JSON.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::str::FromStr;

use clap::Args;
use siltstone_records::Scratch;

use crate::args::ServerAddress;
use crate::client::{Client, Consumer, ConsumerOptions, EARLIEST, LATEST, Polled, Topic};
use crate::failure::{Failure, Outcome};
use crate::output::{Format, parse_timestamp, record_line};

/// The most that a batch may be when decompressed.
const LARGEST_BATCH: usize = 1 << 30;
const OUTPUT_BUFFER: usize = 256 << 10;

/// Arguments of `consume`.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// The topic to read.
    topic: String,
    /// Where to begin: beginning, end, an offset, -N (the last N of each partition), a time (2026-01-31T12:00:00Z) or @MILLISECONDS.
    /// Default: end; with --exit: beginning.
    #[arg(short = 'o', long, value_name = "WHERE", allow_hyphen_values = true)]
    from: Option<From>,
    /// Only this partition. May be repeated.
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Wait for more at the end. This is the default.
    #[arg(short, long, conflicts_with = "exit")]
    follow: bool,
    /// End where the topic ended when the command began.
    #[arg(short, long)]
    exit: bool,
    /// End after so many records.
    #[arg(short = 'c', long, value_name = "N")]
    max: Option<u64>,
    /// One JSON object a line: topic, partition, offset, timestamp, key, value, headers. What is not UTF-8 is {"base64": ...}.
    #[arg(long, conflicts_with_all = ["format", "key_separator"])]
    json: bool,
    /// A format with %t topic, %p partition, %o offset, %k key, %v value, %h headers, %T time, and \n \t \xHH.
    #[arg(long, conflicts_with = "key_separator")]
    format: Option<String>,
    /// Print keys, with this between key and value.
    #[arg(short = 'K', long, value_name = "TEXT")]
    key_separator: Option<String>,
    #[command(flatten)]
    server: ServerAddress,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Beginning,
    End,
    Offset(i64),
    Last(i64),
    Time(i64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" | "start" | "earliest" => return Ok(From::Beginning),
            "end" | "latest" => return Ok(From::End),
            _ => {}
        }
        if let Some(millis) = text.strip_prefix('@').and_then(|rest| rest.parse().ok()) {
            return Ok(From::Time(millis));
        }
        if let Some(count) = text.strip_prefix('-').and_then(|rest| rest.parse::<u32>().ok()) {
            return Ok(From::Last(i64::from(count)));
        }
        if let Some(offset) = text.parse().ok().filter(|offset| *offset >= 0) {
            return Ok(From::Offset(offset));
        }
        parse_timestamp(text).map(From::Time).ok_or_else(|| {
            "expected beginning, end, an offset, -N, @MILLISECONDS or a time such as 2026-01-31T12:00:00Z"
                .to_owned()
        })
    }
}

/// Runs the command.
pub(crate) async fn run(args: ConsumeArgs) -> Outcome {
    let style = Style::new(&args)?;
    let client = args.server.client();
    let topic = client.topic(&args.topic, false).await?;
    let partitions = chosen(&topic, &args.partition)?;
    let default = if args.exit { From::Beginning } else { From::End };
    let (positions, ends) = span(&client, &topic.name, &partitions, args.from.unwrap_or(default)).await?;
    let mut printer = Printer {
        topic: topic.name.clone(),
        style,
        left: args.max.unwrap_or(u64::MAX),
        scratch: Scratch::new(),
        out: BufWriter::with_capacity(OUTPUT_BUFFER, std::io::stdout()),
    };
    let mut missing: BTreeMap<i32, i64> = ends;
    missing.retain(|partition, end| positions.get(partition).is_some_and(|at| at < end));
    let done = |missing: &BTreeMap<i32, i64>, left: u64| left == 0 || (args.exit && missing.is_empty());
    if done(&missing, printer.left) {
        return Ok(());
    }
    let mut consumer = Consumer::open(&client, &topic.name, positions, ConsumerOptions::default());
    while let Some(polled) = consumer.next().await {
        let polled = polled.map_err(|error| explain(&args.topic, error))?;
        let limit = if args.exit { missing.get(&polled.partition).copied().unwrap_or(0) } else { i64::MAX };
        printer.print(&polled, limit)?;
        if missing.get(&polled.partition).is_some_and(|end| polled.end() >= *end) {
            missing.remove(&polled.partition);
        }
        if done(&missing, printer.left) {
            break;
        }
    }
    Ok(())
}

fn explain(topic: &str, error: crate::client::Error) -> Failure {
    match error.code() {
        Some(siltstone_kafka::ErrorCode::OffsetOutOfRange) => Failure::new(format!(
            "{error}: `siltstone topic describe {topic}` shows the offsets that are there; --from beginning reads from the first"
        )),
        _ => error.into(),
    }
}

/// The partitions that were asked for, or all.
pub(super) fn chosen(topic: &Topic, wanted: &[i32]) -> Result<Vec<i32>, Failure> {
    let all: Vec<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
    match wanted.iter().find(|index| !all.contains(index)) {
        Some(missing) => Err(Failure::new(format!(
            "topic {} has no partition {missing}: they are 0 to {}",
            topic.name,
            all.len().saturating_sub(1)
        ))),
        None if wanted.is_empty() => Ok(all),
        None => Ok(wanted.to_vec()),
    }
}

/// Offsets by partition.
pub(super) type Offsets = BTreeMap<i32, i64>;

/// Where each partition begins and ends for us.
pub(super) async fn span(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    from: From,
) -> Result<(Offsets, Offsets), Failure> {
    let ask = async |time: i64| -> Result<Offsets, Failure> {
        let wanted: Vec<(i32, i64)> = partitions.iter().map(|partition| (*partition, time)).collect();
        let found = client.offsets(topic, &wanted).await?;
        Ok(found.into_iter().map(|at| (at.partition, at.offset)).collect())
    };
    let ends = ask(LATEST).await?;
    let begin = match from {
        From::End => ends.clone(),
        From::Beginning => ask(EARLIEST).await?,
        From::Offset(offset) => ends.keys().map(|partition| (*partition, offset)).collect(),
        From::Last(count) => {
            let first = ask(EARLIEST).await?;
            let back = |(partition, end): (&i32, &i64)| {
                (*partition, (end - count).max(first.get(partition).copied().unwrap_or(0)))
            };
            ends.iter().map(back).collect()
        }
        From::Time(time) => {
            let found = ask(time).await?;
            let or_end = |(partition, offset): (&i32, &i64)| {
                (*partition, if *offset < 0 { ends.get(partition).copied().unwrap_or(0) } else { *offset })
            };
            found.iter().map(or_end).collect()
        }
    };
    Ok((begin, ends))
}

enum Style {
    Json,
    Format(Format),
}

impl Style {
    fn new(args: &ConsumeArgs) -> Result<Style, Failure> {
        if args.json {
            return Ok(Style::Json);
        }
        let format = args.format.as_deref().map(Format::parse).transpose();
        let format = format.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Style::Format(format.unwrap_or_else(|| Format::line(args.key_separator.as_deref()))))
    }
}

struct Printer<W: Write> {
    topic: String,
    style: Style,
    left: u64,
    scratch: Scratch,
    out: W,
}

impl<W: Write> Printer<W> {
    /// Prints records below `limit`, and not more than are left to print.
    fn print(&mut self, polled: &Polled, limit: i64) -> Outcome {
        for batch in polled.batches.iter().filter(|batch| !batch.attributes.is_control()) {
            let place = || format!("{}/{} at offset {}", self.topic, polled.partition, batch.base_offset);
            let broken =
                |error: siltstone_records::RecordsError| Failure::new(format!("{}: {error}", place()));
            if !batch.crc_is_valid() {
                return Err(Failure::new(format!("{}: the checksum does not match", place())));
            }
            let records = batch.records(LARGEST_BATCH, &mut self.scratch).map_err(broken)?;
            for record in &records {
                let record = record.map_err(|error| Failure::new(format!("{}: {error}", self.topic)))?;
                if record.offset < polled.from || record.offset >= limit || self.left == 0 {
                    continue;
                }
                self.left -= 1;
                match &self.style {
                    Style::Json => {
                        writeln!(self.out, "{}", record_line(&self.topic, polled.partition, &record))?
                    }
                    Style::Format(format) => {
                        format.write(&mut self.out, &self.topic, polled.partition, &record)?
                    }
                }
            }
        }
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use siltstone_records::{Batch, BatchBuilder, NewRecord};

    use super::*;

    #[test]
    fn places_to_begin_are_told_apart() {
        for (text, from) in [
            ("beginning", From::Beginning),
            ("end", From::End),
            ("17", From::Offset(17)),
            ("-3", From::Last(3)),
            ("@1500", From::Time(1500)),
            ("1970-01-01T00:00:01Z", From::Time(1000)),
        ] {
            assert_eq!(text.parse(), Ok(from), "{text}");
        }
        for bad in ["", "-", "--3", "@", "-x", "later"] {
            assert!(bad.parse::<From>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_printed() {
        let mut builder = BatchBuilder::new().base_offset(10);
        for value in [b"a", b"b", b"c", b"d"] {
            let record = NewRecord { value: Some(value), ..NewRecord::default() };
            builder.push(&record).unwrap();
        }
        let batch = Batch::parse(&builder.build(&mut Scratch::new()).unwrap()).unwrap();
        let polled = Polled { partition: 0, from: 11, batches: vec![batch], high_watermark: 14 };
        let printed = |limit: i64, left: u64| {
            let style = Style::Format(Format::line(None));
            let mut printer =
                Printer { topic: "t".into(), style, left, scratch: Scratch::new(), out: Vec::new() };
            printer.print(&polled, limit).unwrap();
            String::from_utf8(printer.out).unwrap()
        };
        assert_eq!(printed(i64::MAX, 10), "b\nc\nd\n");
        assert_eq!(printed(13, 10), "b\nc\n");
        assert_eq!(printed(i64::MAX, 1), "b\n");
        assert_eq!(polled.end(), 14);
    }
}
