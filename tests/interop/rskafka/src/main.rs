//! The `rskafka` crate, which knows neither groups nor transactions: BOOTSTRAP TOPIC. Each step prints its `ok:` line.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use chrono::DateTime;
use rskafka::client::controller::ControllerClient;
use rskafka::client::error::{Error as ClientError, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

type Failure = Box<dyn Error + Send + Sync>;

const CODECS: [Compression; 5] =
    [Compression::NoCompression, Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd];
const BATCH: i64 = 200;
const BASE: i64 = 1_700_000_000_000;

fn demand<T: PartialEq + std::fmt::Debug>(got: T, want: T, what: &str) -> Result<(), Failure> {
    if got == want {
        return Ok(());
    }
    Err(format!("{what}: got {got:?}, want {want:?}").into())
}

/// Record `index`, whichever codec its batch has.
fn record(index: i64) -> Record {
    Record {
        key: (index % 7 != 0).then(|| format!("key-{}", index % 10).into_bytes()),
        value: (index % 11 != 0).then(|| format!("value-{index}").into_bytes()),
        headers: BTreeMap::from([("a".to_owned(), index.to_string().into_bytes()), ("b".to_owned(), vec![])]),
        timestamp: DateTime::from_timestamp_millis(BASE + index).unwrap_or_default(),
    }
}

async fn create(controller: &ControllerClient, topic: &str) -> Result<(), Failure> {
    controller.create_topic(topic, 2, 1, 5_000).await?;
    let again = controller.create_topic(topic, 2, 1, 5_000).await;
    demand(protocol(&again.err()), Some(ProtocolError::TopicAlreadyExists), "second creation")?;
    println!("ok: created");
    Ok(())
}

fn protocol(error: &Option<ClientError>) -> Option<ProtocolError> {
    match error {
        Some(ClientError::ServerError { protocol_error, .. }) => Some(*protocol_error),
        _ => None,
    }
}

async fn produce(log: &PartitionClient) -> Result<(), Failure> {
    for (number, codec) in CODECS.into_iter().enumerate() {
        let first = number as i64 * BATCH;
        let offsets = log.produce((first..first + BATCH).map(record).collect(), codec).await?;
        demand(offsets, (first..first + BATCH).collect(), "offsets of a batch")?;
    }
    println!("ok: produced");
    Ok(())
}

async fn read(log: &PartitionClient) -> Result<(), Failure> {
    let (mut next, end) = (0, BATCH * CODECS.len() as i64);
    while next < end {
        let (records, high) = log.fetch_records(next, 1..20_000, 1_000).await?;
        demand(high, end, "high watermark")?;
        for got in records.into_iter().filter(|got| got.offset >= next).collect::<Vec<_>>() {
            demand((got.offset, got.record), (next, record(next)), "a record")?;
            next += 1;
        }
    }
    println!("ok: read");
    Ok(())
}

async fn offsets(log: &PartitionClient) -> Result<(), Failure> {
    let end = BATCH * CODECS.len() as i64;
    demand(log.get_offset(OffsetAt::Earliest).await?, 0, "earliest offset")?;
    demand(log.get_offset(OffsetAt::Latest).await?, end, "latest offset")?;
    let moment = DateTime::from_timestamp_millis(BASE + 321).unwrap_or_default();
    demand(log.get_offset(OffsetAt::Timestamp(moment)).await?, 321, "offset at a time")?;
    log.delete_records(100, 5_000).await?;
    demand(log.get_offset(OffsetAt::Earliest).await?, 100, "earliest offset after deleting")?;
    let gone = log.fetch_records(50, 1..1_000, 100).await.err();
    demand(protocol(&gone), Some(ProtocolError::OffsetOutOfRange), "a fetch of what is deleted")?;
    println!("ok: offsets");
    Ok(())
}

async fn unknown(client: &Client, controller: &ControllerClient, topic: &str) -> Result<(), Failure> {
    let absent = format!("{topic}-absent"); // asking for it makes it: at once, or while it is said to be unknown
    let opened = client.partition_client(absent, 0, UnknownTopicHandling::Error).await.err();
    let unknown = opened.is_none() || protocol(&opened) == Some(ProtocolError::UnknownTopicOrPartition);
    demand(unknown, true, &format!("a client of an unknown topic: {opened:?}"))?;
    let deleted = controller.delete_topic(format!("{topic}-never"), 5_000).await.err();
    demand(protocol(&deleted), Some(ProtocolError::UnknownTopicOrPartition), "deleting an unknown topic")?;
    let listed = client.list_topics().await?.into_iter().find(|one| one.name == topic);
    demand(listed.map(|one| one.partitions.len()), Some(2), "the topic in the list")?;
    println!("ok: unknown topic");
    Ok(())
}

async fn all(bootstrap: String, topic: String) -> Result<(), Failure> {
    let client = ClientBuilder::new(vec![bootstrap]).build().await?;
    let controller = client.controller_client()?;
    create(&controller, &topic).await?;
    let log = client.partition_client(topic.clone(), 1, UnknownTopicHandling::Retry).await?;
    produce(&log).await?;
    read(&log).await?;
    offsets(&log).await?;
    unknown(&client, &controller, &topic).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic] = args.as_slice() else {
        return Err("usage: interop-rskafka BOOTSTRAP TOPIC".into());
    };
    tokio::time::timeout(Duration::from_secs(50), all(bootstrap.clone(), topic.clone())).await?
}
