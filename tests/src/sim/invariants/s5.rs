//! S5: no state shows part of a transaction; one read version shows all of it or nothing, on every partition and with its group offsets. And what
//! a client was told of a transaction's end is so.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{EndMarker, OffsetRow, PartitionId, Position, TopicId};
use siltstone_metadata::keys::group_offset;
use siltstone_store::Snapshot;

use super::{Violation, fail};
use crate::sim::oracle::{PartitionLog, at_once};

const NAME: &str = "S5";

/// What became of one transaction.
#[derive(Debug, Default)]
struct Transaction {
    /// Partitions with records of it, no end yet.
    open: BTreeSet<PartitionId>,
    /// Partitions in which it has ended.
    ended: BTreeSet<PartitionId>,
    /// How, and in which commit.
    end: Option<(bool, [u8; 10])>,
    /// A client was told so: committed or not.
    told: Option<bool>,
    /// Its offsets were taken.
    offsets: bool,
}

/// A client whose transactions commit their own number as an offset of this partition.
#[derive(Debug)]
struct Committer {
    group: String,
    partition: PartitionId,
    transactions: BTreeSet<u64>,
}

/// The commit that a position belongs to.
fn stamp(position: Position) -> [u8; 10] {
    let mut stamp = [0; 10];
    stamp.copy_from_slice(&position.0[..10]);
    stamp
}

/// All transactions of a run.
#[derive(Debug, Default)]
pub(in crate::sim) struct Transactions {
    all: BTreeMap<u64, Transaction>,
    /// By producer id and partition: the transactions with open records.
    open: BTreeMap<(i64, PartitionId), BTreeSet<u64>>,
    committers: BTreeMap<u64, Committer>,
    /// Changed since the last look.
    news: BTreeSet<u64>,
}

impl Transactions {
    /// A client will commit the numbers of its transactions as offsets.
    pub(in crate::sim) fn commits_offsets(&mut self, client: u64, group: &str, partition: PartitionId) {
        let committer = Committer { group: group.to_owned(), partition, transactions: BTreeSet::new() };
        self.committers.insert(client, committer);
    }

    /// A client begins a transaction.
    pub(in crate::sim) fn begins(&mut self, client: u64, number: u64) {
        self.all.entry(number).or_default();
        if let Some(committer) = self.committers.get_mut(&client) {
            committer.transactions.insert(number);
        }
    }

    /// A batch of a transaction has come into the log.
    pub(in crate::sim) fn appended(
        &mut self,
        number: Option<u64>,
        producer: i64,
        partition: PartitionId,
        position: Position,
    ) -> Result<(), Violation> {
        let Some(number) = number else {
            return fail(NAME, format!("{partition:?} has a transactional batch of no known transaction"));
        };
        let transaction = self.all.entry(number).or_default();
        // Shards are read one after the other: what comes now may stand before the end all the same.
        if let Some(end) = transaction.end.filter(|(_, end)| *end < stamp(position)) {
            return fail(
                NAME,
                format!("{partition:?} gets a batch of transaction {number}, which ended {end:?}"),
            );
        }
        transaction.open.insert(partition);
        self.open.entry((producer, partition)).or_default().insert(number);
        self.news.insert(number);
        Ok(())
    }

    /// A control record has come into a partition.
    pub(in crate::sim) fn ended(
        &mut self,
        partition: PartitionId,
        marker: &EndMarker,
        position: Position,
    ) -> Result<(), Violation> {
        let numbers = self.open.remove(&(marker.producer_id, partition)).unwrap_or_default();
        if numbers.len() > 1 {
            return fail(NAME, format!("{marker:?} ends {numbers:?} in {partition:?} at once"));
        }
        for number in numbers {
            let transaction = self.all.entry(number).or_default();
            transaction.open.remove(&partition);
            transaction.ended.insert(partition);
            let end = (marker.commit, stamp(position));
            if transaction.end.replace(end).is_some_and(|before| before != end) {
                return fail(NAME, format!("transaction {number} has more than one end: {transaction:?}"));
            }
            if transaction.told.is_some_and(|told| told != marker.commit) {
                return fail(
                    NAME,
                    format!("transaction {number} was told to end otherwise: {transaction:?}"),
                );
            }
            self.news.insert(number);
        }
        Ok(())
    }

    /// A topic is deleted: nothing in it is open any more.
    pub(in crate::sim) fn deleted(&mut self, topic: TopicId) {
        self.all.values_mut().for_each(|transaction| transaction.open.retain(|id| id.topic != topic));
        self.open.retain(|(_, partition), _| partition.topic != topic);
    }

    /// A client was told that its transaction has ended.
    pub(in crate::sim) fn told(&mut self, number: u64, committed: bool) -> Result<(), Violation> {
        let transaction = self.all.entry(number).or_default();
        transaction.told = Some(committed);
        let other = transaction.end.is_some_and(|(commit, _)| commit != committed);
        if other || !transaction.open.is_empty() {
            let what =
                format!("transaction {number} is told to be committed: {committed}; it is {transaction:?}");
            return fail(NAME, what);
        }
        Ok(())
    }

    /// The offsets of a transaction were taken: they are committed with it.
    pub(in crate::sim) fn took_offsets(&mut self, number: u64) {
        self.all.entry(number).or_default().offsets = true;
    }

    /// At one read version: all of a transaction or nothing, and the group's offset that of the last one that was committed.
    pub(in crate::sim) fn whole(&mut self, snapshot: &dyn Snapshot) -> Result<(), Violation> {
        for number in std::mem::take(&mut self.news) {
            let transaction = &self.all[&number];
            if !transaction.open.is_empty() && !transaction.ended.is_empty() {
                return fail(NAME, format!("transaction {number} is seen in part: {transaction:?}"));
            }
        }
        self.committers.values().try_for_each(|committer| self.offset(snapshot, committer))
    }

    fn offset(&self, snapshot: &dyn Snapshot, committer: &Committer) -> Result<(), Violation> {
        let row = at_once(snapshot.get(&group_offset::key(&committer.group, committer.partition)));
        let row = row.ok().flatten().and_then(|bytes| OffsetRow::decode(&bytes).ok());
        let found = row.map_or(0, |row| row.offset as u64);
        let committed = |number: &u64| {
            let transaction = &self.all[number];
            let ended = transaction.end.map(|(commit, _)| commit).or(transaction.told);
            transaction.offsets && ended == Some(true)
        };
        let last = committer.transactions.iter().rev().find(|number| committed(number)).copied();
        if last.is_some_and(|last| found < last) {
            return fail(NAME, format!("{committer:?} has committed {last:?}, and its offset is {found}"));
        }
        let ended = self.all.get(&found).and_then(|transaction| transaction.end);
        if found > 0 && ended.is_some_and(|(commit, _)| !commit) {
            return fail(NAME, format!("{} has the offset of {found}, which was aborted", committer.group));
        }
        if found > 0 && self.all.get(&found).is_some_and(|transaction| !transaction.open.is_empty()) {
            return fail(NAME, format!("{} has the offset of {found}, which is open", committer.group));
        }
        Ok(())
    }
}

/// What a reader of committed records makes of an answer that brought offsets `from..to` must be exactly what was committed.
///
/// `batches`: the bases of those that it brought. `aborted`: producer id and first offset, as the answer lists them.
pub(in crate::sim) fn committed(
    log: &PartitionLog,
    partition: PartitionId,
    to: i64,
    batches: &[i64],
    aborted: &[(i64, i64)],
) -> Result<(), Violation> {
    if batches.is_empty() {
        return Ok(());
    }
    if to > log.last_stable() {
        return fail(NAME, format!("{partition:?}: read to {to}, stable is {}", log.last_stable()));
    }
    // As clients do it: a producer's records are dropped from its first aborted offset on up to its abort marker.
    let mut listed: Vec<_> = aborted.iter().map(|(producer, first)| (*first, *producer)).collect();
    listed.sort_unstable();
    let mut listed = listed.into_iter().peekable();
    let mut dropping = BTreeSet::new();
    let found = batches.iter().filter_map(|base| Some((base, log.batches.get(base)?)));
    for (base, batch) in found {
        while let Some((_, producer)) = listed.next_if(|(first, _)| *first < batch.end()) {
            dropping.insert(producer);
        }
        if let Some(marker) = log.markers.get(base) {
            if !marker.commit {
                dropping.remove(&marker.producer_id);
            }
            continue;
        }
        // What a trim has passed meanwhile counts no more; its markers did.
        let header = crate::sim::batches::header(&batch.bytes).filter(|_| *base >= log.log_start);
        let Some(header) = header else { continue };
        let transactional = header.attributes.is_transactional();
        let dropped = transactional && dropping.contains(&header.producer_id);
        let end = |(_, marker): &(&i64, &EndMarker)| marker.producer_id == header.producer_id;
        let outcome = log.markers.range(base..).find(end).map(|(_, marker)| marker.commit);
        let visible = !transactional || outcome == Some(true);
        if visible == dropped {
            let what = format!("{partition:?} at {base}: committed: {visible}, dropped: {dropped}");
            return fail(NAME, format!("{what}; read to {to}: {batches:?}, told: {aborted:?}"));
        }
    }
    Ok(())
}
