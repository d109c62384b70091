//! One life of a server: it reads all that is there, then writes until the power fails or it has written enough.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::{Engine, EngineSettings, Foundations, Presence};
use siltstone_agent::fetch::{FetchPartition, FetchSpec};
use siltstone_agent::produce::{BlockCompression, NewBatch, Placement, PolicySettings, WriteSettings};
use siltstone_log::{BatchMeta, Configs, PartitionId, TopicRow, mix64};
use siltstone_metadata::ambient::{self, Ambient};
use siltstone_metadata::catalog::{CatalogError, NewTopic};
use siltstone_metadata::checkpoint::CheckpointSettings;
use siltstone_metadata::shard::Verdict;
use siltstone_objects::Objects;
use siltstone_objects::testing::DiscardingDir;
use siltstone_records::{Batch, BatchBuilder, NewRecord, Scratch, batches};
use siltstone_store::memory::Chance;
use siltstone_store::redb::RedbStore;

use crate::disk::SimDisk;

const PARTITIONS: u32 = 4;
const WRITERS: u64 = 4;
/// Batches that a life without a power failure writes, each writer.
const ENOUGH: u64 = 30;
const DEADLINE: Duration = Duration::from_secs(60);
const NOW: i64 = 1_700_000_000_000;

/// When the power fails: at whichever comes first.
pub struct Plan {
    pub disk_operations: u64,
    pub dir_steps: u64,
}

/// A batch that somebody was told is at `offset`.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledged {
    pub partition: u32,
    pub offset: i64,
    pub crc: u32,
}

/// What a life wrote: all that was sent (checksum ▸ partition), and what was acknowledged.
#[derive(Debug, Default)]
pub struct Written {
    pub sent: BTreeMap<u32, u32>,
    pub acknowledged: Vec<Acknowledged>,
}

/// (partition, offset, checksum) of every batch that was read.
pub type Found = Vec<(u32, i64, u32)>;

pub struct Life {
    pub number: u64,
    pub seed: u64,
    pub disk: SimDisk,
    pub dir: DiscardingDir,
    pub plan: Option<Plan>,
}

impl Life {
    pub async fn run(self, store: Arc<RedbStore>, objects: Objects) -> Result<(Found, Written), String> {
        let ambient =
            Ambient { clock: Arc::new(Still), chance: Arc::new(Numbers(AtomicU64::new(self.seed))) };
        let foundations = Foundations { store, objects, ambient };
        let engine = Engine::start(foundations, settings()).await.map_err(|error| error.to_string())?;
        let topic = topic(&engine).await?;
        let found = read_all(&engine, &topic).await?;
        let written = Arc::new(Mutex::new(Written::default()));
        if let Some(plan) = &self.plan {
            self.disk.crash_after(plan.disk_operations);
            self.dir.halt_at(self.dir.steps() + plan.dir_steps);
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let most = if self.plan.is_some() { 100 * ENOUGH } else { ENOUGH };
                let lot =
                    Lot { life: self.number, writer, most, chance: Chance::new(self.seed ^ (writer << 40)) };
                tokio::spawn(lot.write(engine.clone(), topic.clone(), written.clone()))
            })
            .collect();
        let done = async {
            while !self.is_dark() && !writers.iter().all(|writer| writer.is_finished()) {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        };
        tokio::time::timeout(DEADLINE, done).await.map_err(|_| "the power did not fail".to_owned())?;
        if self.plan.is_some() {
            // One disk is dead: so is the other. What is told after that still counts.
            self.disk.crash_after(0);
            self.dir.halt_at(0);
        }
        writers.iter().for_each(|writer| writer.abort());
        for writer in writers {
            if let Err(error) = writer.await {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        let written = std::mem::take(&mut *written.lock().unwrap());
        Ok((found, written))
    }

    /// Whether the power has failed.
    fn is_dark(&self) -> bool {
        self.plan.is_some() && (self.disk.is_dead() || self.dir.is_halted())
    }
}

struct Still;

impl ambient::Clock for Still {
    fn now(&self) -> i64 {
        NOW
    }
}

struct Numbers(AtomicU64);

impl ambient::Chance for Numbers {
    fn next(&self) -> u128 {
        u128::from(mix64(self.0.fetch_add(1, Ordering::Relaxed))) << 64 | 1
    }
}

/// Small figures, so that all of it happens in a short life: objects, inline segments, checkpoints.
fn settings() -> EngineSettings {
    let ms = Duration::from_millis;
    let policy = PolicySettings {
        flush_bytes: 64 << 10,
        inline_bytes: 8 << 10,
        flush_interval: ms(5),
        ..PolicySettings::local()
    };
    let checkpoint = CheckpointSettings {
        interval: ms(20),
        floor_lag: ms(40),
        lease: ms(2000),
        ..CheckpointSettings::default()
    };
    EngineSettings {
        node: 1,
        zone: String::new(),
        host: "127.0.0.1".into(),
        port: 9092,
        shards: 2,
        write: WriteSettings {
            policy,
            compression: BlockCompression::Off,
            buffer_bytes: 4 << 20,
            upload_timeout: ms(5000),
            patience: ms(5000),
        },
        cache_bytes: 8 << 20,
        page_bytes: 64 << 10,
        block_bytes: None,
        checkpoint,
        lease: Duration::from_secs(10),
        exclusive: true,
        presence: Presence::default(),
    }
}

/// The topic, made if need be.
async fn topic(engine: &Engine) -> Result<TopicRow, String> {
    let new = NewTopic {
        name: "t".into(),
        partitions: PARTITIONS,
        replication_factor: 1,
        configs: Configs::default(),
    };
    match engine.changes().create(new).await {
        Ok(row) => Ok(row),
        Err(CatalogError::Exists(_)) => {
            engine.catalog().fresh().await.map_err(|error| error.to_string())?;
            engine
                .catalog()
                .state()
                .topic("t")
                .map(|row| row.as_ref().clone())
                .ok_or_else(|| "no topic".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// (partition, offset, checksum) of every batch that can be read, each from the disks.
async fn read_all(engine: &Engine, topic: &TopicRow) -> Result<Found, String> {
    let mut found = Vec::new();
    for index in 0..PARTITIONS {
        let partition = PartitionId { topic: topic.id, index };
        engine.followers().load(&[partition]).await.map_err(|error| error.to_string())?;
        let bounds = engine.reader().fresh_bounds(partition).await.map_err(|error| error.to_string())?;
        let mut next = bounds.log_start;
        while next < bounds.high_watermark {
            let partitions = vec![FetchPartition { partition, offset: next, max_bytes: 1 << 20 }];
            let spec = FetchSpec {
                partitions,
                committed: false,
                min_bytes: 1,
                max_bytes: 1 << 20,
                max_wait: Duration::ZERO,
            };
            let results = engine.reader().fetch(&spec).await;
            let pieces = match &results[0].records {
                Ok(pieces) if !pieces.is_empty() => pieces.concat(),
                other => return Err(format!("{index}/{next} can't be read: {other:?}")),
            };
            for batch in batches(Bytes::from(pieces)) {
                let batch = batch.map_err(|error| error.to_string())?;
                if batch.header().base_offset != next {
                    return Err(format!("{index}: {} comes where {next} should", batch.header().base_offset));
                }
                found.push((index, next, batch.header().crc));
                next += i64::from(batch.header().last_offset_delta) + 1;
            }
        }
    }
    Ok(found)
}

/// A writer: batches of all sizes, one or a few on their way at a time.
struct Lot {
    life: u64,
    writer: u64,
    most: u64,
    chance: Chance,
}

impl Lot {
    async fn write(mut self, engine: Arc<Engine>, topic: TopicRow, written: Arc<Mutex<Written>>) {
        let mut number = 0;
        while number < self.most {
            let mut tickets = Vec::new();
            for _ in 0..1 + self.chance.below(3) {
                let index = self.chance.below(u64::from(PARTITIONS)) as u32;
                let partition = PartitionId { topic: topic.id, index };
                if engine.followers().of(partition).load(&[partition]).await.is_err() {
                    return;
                }
                let (batch, crc) = self.batch(partition, number);
                number += 1;
                written.lock().unwrap().sent.insert(crc, index);
                let room = engine.writer().budget().reserve(batch.bytes[0].len()).await;
                let ticket = engine.writer().append(self.writer, vec![batch], Some(room), true);
                tickets.push((index, crc, ticket));
            }
            for (partition, crc, ticket) in tickets {
                if let Some(Ok(Verdict::Appended { base_offset })) = ticket.outcomes().await.first() {
                    let told = Acknowledged { partition, offset: *base_offset, crc };
                    written.lock().unwrap().acknowledged.push(told);
                }
            }
        }
    }

    fn batch(&mut self, partition: PartitionId, number: u64) -> (NewBatch, u32) {
        let size = [10, 300, 3_000, 30_000][self.chance.below(4) as usize];
        let records = 1 + self.chance.below(3) as u32;
        let value = vec![number as u8; size];
        let mut builder = BatchBuilder::new();
        for record in 0..records {
            let key = format!("{}/{}/{number}/{record}", self.life, self.writer);
            let record =
                NewRecord { timestamp: NOW, key: Some(key.as_bytes()), value: Some(&value), headers: &[] };
            builder.push(&record).unwrap();
        }
        let bytes = builder.build(&mut Scratch::new()).unwrap();
        let crc = Batch::parse(&bytes).unwrap().header().crc;
        let meta = BatchMeta {
            bytes: bytes.len() as u32,
            records,
            max_timestamp: NOW,
            producer: None,
            transactional: false,
            void: false,
        };
        let placement = match self.chance.below(4) {
            0 => Placement::Object,
            1 => Placement::Inline,
            _ => Placement::Auto,
        };
        (
            NewBatch {
                partition,
                bytes: [bytes, Bytes::new()],
                meta,
                compressed: false,
                placement,
                transaction: None,
            },
            crc,
        )
    }
}
