//! `siltstone bench`: throughput and latency of any Kafka-compatible server.
//!
//! Latencies are those of single records, from the call that hands a record over to its acknowledgement (or, with `roundtrip`, to its
//! arrival at a consumer). With `--rate` records are due at fixed times and latency counts from then, so that a server
//! that stalls can't hide it by slowing the load down.

mod consume;
mod load;
mod produce;
mod report;

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::ServerAddress;
use crate::client::{Client, NewTopic, Topic};
use crate::command::produce::{Acks, Codec};
use crate::failure::{Failure, Outcome};
use crate::settings::value::{Size, Value};
use report::Report;

/// Arguments of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value_t = Mode::Both)]
    mode: Mode,
    /// The topic. Made if it is not there, and then deleted at the end.
    #[arg(short, long, default_value = "siltstone-bench")]
    topic: String,
    /// Partitions of a topic that is made.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Keep the topic.
    #[arg(long)]
    keep: bool,
    /// Bytes of a record's value.
    #[arg(short = 's', long, value_name = "SIZE", default_value = "1KiB", value_parser = Size::parse)]
    record_size: Size,
    /// Stop after so many records. Default: by time.
    #[arg(short = 'n', long, conflicts_with = "duration")]
    records: Option<u64>,
    /// Stop after this time.
    #[arg(short, long, default_value = "10s", value_parser = <Duration as Value>::parse)]
    duration: Duration,
    /// Records a second, all producers together. Default: as many as can be.
    #[arg(short, long)]
    rate: Option<f64>,
    /// Producers, each with a connection of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    producers: u16,
    /// Consumers, each with a connection of its own; each reads its share of the partitions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    consumers: u16,
    /// Bytes of records in a batch, before compression.
    #[arg(long, value_name = "SIZE", default_value = "128KiB", value_parser = Size::parse)]
    batch_size: Size,
    /// How long a batch waits for more records.
    #[arg(long, default_value = "5ms", value_parser = <Duration as Value>::parse)]
    linger: Duration,
    /// When a record counts as written.
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    compression: Codec,
    /// Write each record once. Off with --acks 0 or 1.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    idempotent: bool,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Write.
    Produce,
    /// Read what is there.
    Consume,
    /// Write, then read it.
    Both,
    /// Write and read at once; latency is from producer to consumer.
    Roundtrip,
}

/// Runs the command.
pub(crate) async fn run(args: BenchArgs) -> Outcome {
    if args.record_size.bytes() < load::LEAST_RECORD || args.record_size.bytes() > load::LARGEST_RECORD {
        return Err(Failure::new("--record-size must be from 16B to 64MiB"));
    }
    if args.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
        return Err(Failure::new("--rate must be above 0"));
    }
    let client = args.server.client();
    let (topic, made) = topic(&client, &args).await?;
    let measured = tokio::select! {
        biased;
        measured = measure(&args, &client, &topic) => measured,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("interrupted")),
    };
    if made && !args.keep {
        client.delete_topic(&topic.name).await?;
    }
    let reports = measured?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let object: serde_json::Map<_, _> =
            reports.iter().map(|report| (report.name.to_owned(), report.json())).collect();
        return Ok(writeln!(out, "{}", serde_json::Value::Object(object))?);
    }
    Ok(report::write(&mut out, &reports)?)
}

async fn topic(client: &Client, args: &BenchArgs) -> Result<(Topic, bool), Failure> {
    if let Ok(topic) = client.topic(&args.topic, false).await {
        return Ok((topic, false));
    }
    if args.mode == Mode::Consume {
        return Err(Failure::new(format!(
            "there is no topic {} to read: write one with `bench produce --keep`",
            args.topic
        )));
    }
    let new = NewTopic { name: args.topic.clone(), partitions: Some(args.partitions), ..NewTopic::default() };
    client.create_topic(&new).await?;
    // It may take moments to be known.
    Ok((client.topic(&args.topic, true).await?, true))
}

async fn measure(args: &BenchArgs, client: &Client, topic: &Topic) -> Result<Vec<Report>, Failure> {
    match args.mode {
        Mode::Produce => Ok(vec![produce::measure(args, topic).await?]),
        Mode::Consume => Ok(vec![consume::measure(args, client, topic).await?]),
        Mode::Both => {
            let produced = produce::measure(args, topic).await?;
            Ok(vec![produced, consume::measure(args, client, topic).await?])
        }
        Mode::Roundtrip => {
            let follower = consume::Follower::start(args, client, topic).await?;
            let produced = produce::measure(args, topic).await?;
            let read = follower.finish(produced.records).await?;
            Ok(vec![produced, read])
        }
    }
}
