//! The writing half of the benchmark.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BenchArgs;
use super::load::{self, Pace, Values};
use super::report::{Meter, Report, Until};
use crate::client::{Delivery, Producer, ProducerOptions, Record, Topic};
use crate::command::produce::Acks;
use crate::failure::{Failure, Outcome};

/// Records between two looks at the clock.
const STRIDE: u64 = 64;

/// Writes with all producers until the end of the run, and waits until all of it is acknowledged.
pub(super) async fn measure(args: &BenchArgs, topic: &Topic) -> Result<Report, Failure> {
    load::begin();
    let meter = Meter::new();
    let until = args.records.map_or(Until::Passed(args.duration), Until::Records);
    let shown = meter.show("produce", until);
    let tickets = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..args.producers {
        tasks.spawn(one(args.clone(), topic.clone(), meter.clone(), tickets.clone(), began));
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| Failure::new(format!("a producer ended unexpectedly: {error}")))??;
    }
    drop(shown);
    Ok(meter.report("produce", began))
}

fn options(args: &BenchArgs) -> ProducerOptions {
    ProducerOptions {
        batch_bytes: args.batch_size.bytes(),
        linger: args.linger,
        acks: args.acks.wire(),
        compression: args.compression.into(),
        idempotent: args.idempotent && args.acks == Acks::All,
        stamps: true,
        ..ProducerOptions::default()
    }
}

async fn one(
    args: BenchArgs,
    topic: Topic,
    meter: Meter,
    tickets: Arc<AtomicU64>,
    began: Instant,
) -> Outcome {
    let client = args.server.client();
    client.topic(&topic.name, false).await?;
    let size = args.record_size.bytes();
    let on_delivery = move |delivery: Delivery| {
        let now = Instant::now();
        let records = u64::from(delivery.records);
        let latencies = delivery.sent.iter().map(|sent| now.saturating_duration_since(*sent));
        meter.count(records, records * size as u64, latencies);
    };
    let producer = Producer::open(&client, &topic, options(&args), on_delivery).await?;
    let mut values = Values::new(size);
    let mut pace = Pace::new(args.rate.map(|rate| rate / f64::from(args.producers)));
    let most = args.records.unwrap_or(u64::MAX);
    let mut sent = 0u64;
    while tickets.fetch_add(1, Ordering::Relaxed) < most {
        let due = pace.next().await;
        let over = args.records.is_none() && began.elapsed() >= args.duration;
        if over {
            break;
        }
        let value = values.next(due);
        producer
            .send(Record {
                timestamp: crate::output::now(),
                value: Some(value),
                due: Some(due),
                ..Record::default()
            })
            .await?;
        sent += 1;
        if sent.is_multiple_of(STRIDE) {
            // Without a rate nothing else here ever waits while there is room.
            tokio::task::yield_now().await;
        }
    }
    Ok(producer.flush().await?)
}
