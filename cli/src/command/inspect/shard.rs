//! A shard of the metadata: floor, head, rows, log.

use std::collections::BTreeMap;
use std::io::Write;

use siltstone_log::{
    ClusterRow, EndMarker, Entry, PartitionId, PartitionRow, Position, ShardHead, ShardId, TopicId, shard_of,
};
use siltstone_metadata::keys::{
    cluster, partition_row, parts, shard_floor, shard_head, shard_log, shard_voids, topic_id,
};
use siltstone_store::redb::{OpenError, Options, RedbStore};
use siltstone_store::{KeyRange, RangeLimit, Snapshot, Store, StoreError};

use super::ShardArgs;
use crate::command::standalone::METADATA;
use crate::failure::{Failure, Outcome};
use crate::output::{Table, show_timestamp};

const CACHE: usize = 8 << 20;

fn unreadable(error: StoreError) -> Failure {
    Failure::new(format!("the metadata can't be read: {error}"))
}

/// Runs the command.
pub(super) async fn run(args: &ShardArgs) -> Outcome {
    let path = args.data.join(METADATA);
    if !path.exists() {
        return Err(Failure::new(format!(
            "there is no {}: name the server's directory with --data",
            path.display()
        )));
    }
    let store = RedbStore::open(&path, Options { cache_bytes: CACHE, ..Options::default() });
    let store = store.map_err(|error| match error {
        OpenError::InUse { .. } => Failure::new(format!(
            "{} is in use by a running server: stop it, or look at a copy",
            path.display()
        )),
        other => Failure::new(other.to_string()),
    })?;
    let snapshot = store.snapshot().await.map_err(unreadable)?;
    let shard = ShardId(args.shard);
    let found = snapshot.get(&cluster::key()).await.map_err(unreadable)?;
    let bytes = found.ok_or_else(|| Failure::new("no cluster was ever made here"))?;
    let cluster = ClusterRow::decode(&bytes).map_err(|error| Failure::new(error.to_string()))?;
    if args.shard >= cluster.shards {
        return Err(Failure::new(format!("there are shards 0 to {}", cluster.shards.saturating_sub(1))));
    }
    let mut look = Look { snapshot: snapshot.as_ref(), shard, names: BTreeMap::new(), out: Vec::new() };
    writeln!(
        look.out,
        "cluster  {}, {} shards, feature level {}",
        cluster.cluster_id, cluster.shards, cluster.level
    )?;
    let floor = look.floor().await?;
    let head = look.head().await?;
    look.rows(&head, cluster.shards).await?;
    look.log(floor, args.entries).await?;
    let mut out = std::io::stdout().lock();
    out.write_all(&look.out)?;
    Ok(out.flush()?)
}

struct Look<'a> {
    snapshot: &'a dyn Snapshot,
    shard: ShardId,
    names: BTreeMap<TopicId, String>,
    out: Vec<u8>,
}

impl Look<'_> {
    async fn floor(&mut self) -> Result<Position, Failure> {
        let floor = self.snapshot.get(&shard_floor::key(self.shard)).await.map_err(unreadable)?;
        let floor =
            shard_floor::decode(floor.as_deref()).ok_or_else(|| Failure::new("the floor can't be read"))?;
        let voids = self.snapshot.get(&shard_voids::key(self.shard)).await.map_err(unreadable)?;
        let voids = shard_voids::decode(voids.as_deref())
            .ok_or_else(|| Failure::new("the list of void entries can't be read"))?;
        writeln!(self.out, "shard    {}", self.shard.0)?;
        writeln!(self.out, "floor    {floor:?}")?;
        writeln!(self.out, "voided   {} entries {voids:?}", voids.len())?;
        Ok(floor)
    }

    async fn head(&mut self) -> Result<ShardHead, Failure> {
        let bytes = parts::get(self.snapshot, &shard_head::prefix(self.shard)).await.map_err(unreadable)?;
        let Some(bytes) = bytes else {
            writeln!(self.out, "head     none yet: all of the shard is in its log")?;
            return Ok(ShardHead::default());
        };
        let head = ShardHead::decode(&bytes).map_err(|error| Failure::new(error.to_string()))?;
        writeln!(self.out, "head     feature level {}, {} topics", head.level, head.topics.len())?;
        if let Some(expired) = &head.expired {
            writeln!(
                self.out,
                "         producers expired up to {}, ids below {}",
                show_timestamp(expired.before),
                expired.ids_below
            )?;
        }
        for (registration, counter) in &head.counters {
            writeln!(self.out, "         registration {registration:?} at entry {counter}")?;
        }
        Ok(head)
    }

    async fn name(&mut self, topic: TopicId) -> Result<String, Failure> {
        if let Some(name) = self.names.get(&topic) {
            return Ok(name.clone());
        }
        let found = self.snapshot.get(&topic_id::key(topic)).await.map_err(unreadable)?;
        let name =
            found.map_or_else(|| topic.to_string(), |name| String::from_utf8_lossy(&name).into_owned());
        self.names.insert(topic, name.clone());
        Ok(name)
    }

    async fn rows(&mut self, head: &ShardHead, shards: u16) -> Outcome {
        let mut table =
            Table::new(&["TOPIC", "PARTITION", "LOG START", "NEXT", "BYTES", "PRODUCERS", "HORIZON"]);
        let mut any = false;
        for (topic, partitions) in &head.topics {
            for index in 0..*partitions {
                let partition = PartitionId { topic: *topic, index };
                if shard_of(partition, shards) != self.shard {
                    continue;
                }
                let bytes = parts::get(self.snapshot, &partition_row::prefix(self.shard, partition)).await;
                let Some(bytes) = bytes.map_err(unreadable)? else { continue };
                let row = PartitionRow::decode(&bytes).map_err(|error| Failure::new(error.to_string()))?;
                any = true;
                table.row([
                    self.name(*topic).await?,
                    index.to_string(),
                    row.log_start.to_string(),
                    row.next.to_string(),
                    row.bytes.to_string(),
                    row.producers.len().to_string(),
                    format!("{:?}", row.horizon),
                ]);
            }
        }
        writeln!(self.out, "\nrows")?;
        if any { Ok(table.write(&mut self.out)?) } else { Ok(writeln!(self.out, "none")?) }
    }

    async fn log(&mut self, floor: Position, entries: usize) -> Outcome {
        let limit = RangeLimit { entries: entries.clamp(1, 100_000), bytes: 64 << 20, reverse: true };
        let range: KeyRange = shard_log::after(self.shard, Position::ZERO);
        let page = self.snapshot.range(&range, limit).await.map_err(unreadable)?;
        writeln!(
            self.out,
            "\nlog, {} entries{}",
            page.entries.len(),
            if page.more { ", the latest" } else { "" }
        )?;
        for (key, value) in page.entries.iter().rev() {
            let position =
                shard_log::position(key).ok_or_else(|| Failure::new("a key of the log is malformed"))?;
            let mark = if position <= floor { " (below the floor)" } else { "" };
            match Entry::decode(value) {
                Ok(entry) => {
                    let text = self.entry(&entry).await?;
                    writeln!(self.out, "{position:?}{mark} {text}")?;
                }
                Err(error) => writeln!(self.out, "{position:?}{mark} can't be read: {error}")?,
            }
        }
        Ok(())
    }

    async fn entry(&mut self, entry: &Entry) -> Result<String, Failure> {
        Ok(match entry {
            Entry::Append(append) => {
                let kind = if append.segment.inline { "inline" } else { "object" };
                let mut text = format!(
                    "append {} of {:?} at {}: segment {} ({kind}, {} bytes)",
                    append.counter,
                    append.registration,
                    show_timestamp(append.at),
                    append.segment.id,
                    append.segment.length
                );
                for block in &append.blocks {
                    let records: u64 = block.batches.iter().map(|batch| u64::from(batch.records)).sum();
                    let name = self.name(block.partition.topic).await?;
                    text.push_str(&format!(
                        "\n    {name}/{}: {} batches, {records} records, bytes {}+{}",
                        block.partition.index,
                        block.batches.len(),
                        block.place.start,
                        block.place.length
                    ));
                }
                text
            }
            Entry::Trim { partition, offset } => {
                format!("trim {}/{} to {offset}", self.name(partition.topic).await?, partition.index)
            }
            Entry::Created { topic, first, end, at } => {
                format!(
                    "created {} partitions {first} to {} at {}",
                    self.name(*topic).await?,
                    end - 1,
                    show_timestamp(*at)
                )
            }
            Entry::Deleted { topic } => format!("deleted {topic}"),
            Entry::Expire { before, ids_below } => {
                format!("expire producers before {}, ids below {ids_below}", show_timestamp(*before))
            }
            Entry::Ended { registration } => format!("ended registration {registration:?}"),
            Entry::Feature { level } => format!("feature level {level}"),
            Entry::Erase { erasure, topic, keys } => {
                format!("erase {} keys of {}: {erasure}", keys.len(), self.name(*topic).await?)
            }
            Entry::Erased { erasure, topic } => {
                format!("erased from {}: {erasure}", self.name(*topic).await?)
            }
            Entry::TxnEnd(end) => {
                let EndMarker { producer_id, epoch, commit } = end.marker;
                let what = if commit { "commit" } else { "abort" };
                let at = show_timestamp(end.at);
                let mut text = format!("{what} of producer {producer_id}, epoch {epoch}, at {at}");
                for partition in &end.partitions {
                    let name = self.name(partition.topic).await?;
                    text.push_str(&format!("\n    {name}/{}", partition.index));
                }
                text
            }
        })
    }
}
