//! `siltstone produce`: lines from standard input become records.

mod input;
mod line;

use std::io::{BufWriter, Stdout, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use siltstone_records::Compression;

use crate::args::{ServerAddress, pair};
use crate::client::{Delivery, Producer, ProducerOptions};
use crate::failure::{Failure, Outcome};
use crate::settings::value::{Size, Value};
use line::LineReader;

/// Arguments of `produce`.
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// The topic to write to. Made if it is not there and the server makes topics by itself.
    topic: String,
    /// What stands between key and value on a line; a line without it has no key.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with_all = ["key", "json"])]
    key_separator: Option<String>,
    /// The key of all records.
    #[arg(short, long, conflicts_with = "json")]
    key: Option<String>,
    /// A header of all records. May be repeated.
    #[arg(short = 'H', long, alias = "headers", value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "json")]
    header: Vec<(String, String)>,
    /// The partition of all records. Default: by key as Kafka's clients choose it, else any.
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Lines are JSON objects, as `consume --json` prints them: key, value, headers, partition, timestamp.
    #[arg(long)]
    json: bool,
    /// Empty keys and values are null.
    #[arg(short = 'Z', long, conflicts_with = "json")]
    null_if_empty: bool,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    compression: Codec,
    /// When a record counts as written: all or 1 (durable), 0 (sent).
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// Write each record once, whatever happens to the connection. Off with --acks 0 or 1.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    idempotent: bool,
    /// Bytes of records in a batch, before compression.
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = Size::parse)]
    batch_size: Size,
    /// How long a batch waits for more lines.
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = <Duration as Value>::parse)]
    linger: Duration,
    /// Print partition and offset of each record to standard output.
    #[arg(long)]
    print_offsets: bool,
    /// Say nothing at the end.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// Compression of batches.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Codec {
    /// As they are.
    None,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        }
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    /// Durable.
    #[value(alias = "-1")]
    All,
    /// Durable, too.
    #[value(name = "1")]
    One,
    /// Nothing.
    #[value(name = "0")]
    None,
}

impl Acks {
    /// The number on the wire.
    pub(crate) fn wire(self) -> i16 {
        match self {
            Acks::All => -1,
            Acks::One => 1,
            Acks::None => 0,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(args: ProduceArgs) -> Outcome {
    let client = args.server.client();
    let topic = client.topic(&args.topic, true).await?;
    let offsets = args.print_offsets.then(Offsets::default);
    let printer = offsets.clone();
    let options = ProducerOptions {
        batch_bytes: args.batch_size.bytes(),
        linger: args.linger,
        acks: args.acks.wire(),
        compression: args.compression.into(),
        idempotent: args.idempotent && args.acks == Acks::All,
        ..ProducerOptions::default()
    };
    let on_delivery = move |delivery: Delivery| {
        if let Some(printer) = &printer {
            printer.print(&delivery);
        }
    };
    let producer = Producer::open(&client, &topic, options, on_delivery).await?;
    let reader = LineReader::new(&args);
    let written = tokio::select! {
        biased;
        written = pour(&producer, &reader) => written,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    // What came before a bad line is written, as whoever watches the output expects.
    let flushed = producer.flush().await;
    if !args.quiet {
        let count = producer.delivered();
        let noun = if count == 1 { "record" } else { "records" };
        writeln!(std::io::stderr(), "{count} {noun} written to {}", args.topic)?;
    }
    offsets.map_or(Ok(()), |offsets| offsets.finish())?;
    flushed?;
    written
}

async fn pour(producer: &Producer, reader: &LineReader) -> Outcome {
    let mut blocks = input::lines();
    let mut number = 0;
    while let Some(block) = blocks.recv().await {
        let block: Bytes = block.map_err(|error| Failure::new(format!("standard input: {error}")))?;
        let whole = block.strip_suffix(b"\n").unwrap_or(&block);
        for line in whole.split(|byte| *byte == b'\n') {
            number += 1;
            reader.send(producer, line, number).await?;
        }
    }
    Ok(())
}

/// Prints where records went.
#[derive(Clone)]
struct Offsets {
    state: Arc<Mutex<(BufWriter<Stdout>, Option<std::io::Error>)>>,
}

impl Default for Offsets {
    fn default() -> Self {
        Offsets { state: Arc::new(Mutex::new((BufWriter::new(std::io::stdout()), None))) }
    }
}

impl Offsets {
    fn print(&self, delivery: &Delivery) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, failed) = &mut *state;
        let mut write = || -> std::io::Result<()> {
            for at in 0..i64::from(delivery.records) {
                let offset = if delivery.base_offset < 0 { -1 } else { delivery.base_offset + at };
                writeln!(out, "{}\t{offset}", delivery.partition)?;
            }
            out.flush()
        };
        if failed.is_none() {
            *failed = write().err();
        }
    }

    fn finish(self) -> Outcome {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.1.take() {
            Some(error) => Err(error.into()),
            None => Ok(state.0.flush()?),
        }
    }
}
