//! What a commit makes of the transactions of its batches, on rows as they may be.

use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{
    BatchMeta, Entry, PartitionId, ProducerMeta, RegistrationId, SegmentId, ShardId, TopicId, TxnRow,
    TxnState,
};
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{Commit, Store};
use tokio::time::Instant;

use super::*;
use crate::produce::buffer::{Buffered, NewBatch, Placement};
use crate::produce::commit::{self, Plan, Ready};
use crate::produce::packing::{self, BlockCompression};
use crate::produce::pending::Refused;
use crate::produce::ticket::{self, Ticket};

const NOW: i64 = 1_000;

fn partition(index: u32) -> PartitionId {
    PartitionId { topic: TopicId(7), index }
}

fn row(producer_id: i64, epoch: i16, state: TxnState) -> TxnRow {
    TxnRow {
        producer_id,
        epoch,
        last_epoch: -1,
        previous_producer_id: -1,
        timeout_ms: 60_000,
        state,
        implicit: true,
        started: if state == TxnState::Ongoing { 5 } else { -1 },
        updated: 5,
    }
}

/// A batch of producer `id` in `epoch`, transactional if it names a transaction.
fn batch(index: u32, id: i64, epoch: i16, transaction: Option<(&str, bool)>) -> (Buffered, Ticket) {
    let (ticket, mut slots) = ticket::issue(1, None, Arc::default());
    let producer = Some(ProducerMeta { id, epoch, first_sequence: 0 });
    let transactional = transaction.is_some();
    let meta = BatchMeta { bytes: 10, records: 1, max_timestamp: 5, producer, transactional, void: false };
    let transaction = transaction.map(|(id, implicit)| BatchTransaction { id: id.into(), implicit });
    let batch = NewBatch {
        partition: partition(index),
        bytes: [Bytes::from_static(b"0123456789"), Bytes::new()],
        meta,
        compressed: false,
        placement: Placement::Auto,
        transaction,
    };
    let slot = slots.pop().unwrap();
    (Buffered { batch, slot, connection: 1, droppable: true, arrived: Instant::now() }, ticket)
}

fn plan(batches: Vec<(Buffered, Ticket)>) -> Plan {
    let batches = batches.into_iter().map(|(batch, _)| batch).collect();
    let id = SegmentId { registration: RegistrationId(9), number: 1 };
    let built = packing::build(id, NOW, batches, BlockCompression::Off);
    let ready = Ready::new(built.place(id, true), NOW, built, 1);
    commit::plan(vec![ready], RegistrationId(9), &mut Default::default(), 1).0
}

async fn store(rows: &[(&str, TxnRow)]) -> MemoryStore {
    let store = MemoryStore::new(1, Faults::none());
    let set = |(id, row): &(&str, TxnRow)| Mutation::Set { key: txn::key(id), value: row.encode().into() };
    let mutations = rows.iter().map(set).collect();
    store.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    store
}

struct Told {
    mutations: Vec<Mutation>,
    refused: Vec<(ShardId, u64, Refused)>,
    reads: Vec<KeyRange>,
}

impl Told {
    /// Whether each batch is void, in the order of partitions.
    fn void(&self) -> Vec<bool> {
        let entry = self.mutations.iter().find_map(|mutation| match mutation {
            Mutation::SetVersionstampedKey { value, .. } => Some(Entry::decode(value).unwrap()),
            _ => None,
        });
        let Some(Entry::Append(append)) = entry else { panic!("no append") };
        append.blocks.iter().flat_map(|block| &block.batches).map(|batch| batch.void).collect()
    }

    fn refusals(&self) -> Vec<Refusal> {
        self.refused.iter().flat_map(|(_, _, refused)| refused.values().copied()).collect()
    }

    fn sets(&self, key: &Bytes) -> Option<Bytes> {
        self.mutations.iter().find_map(|mutation| match mutation {
            Mutation::Set { key: set, value } if set == key => Some(value.clone()),
            _ => None,
        })
    }
}

async fn admitted(store: &MemoryStore, plan: &Plan) -> Told {
    let snapshot = store.snapshot().await.unwrap();
    let admissions =
        Admissions::read(snapshot.as_ref(), &plan.claims, plan.touched(), plan.at).await.unwrap();
    let (mutations, refused) = plan.admitted(&admissions);
    Told { mutations, refused, reads: admissions.reads }
}

#[tokio::test]
async fn a_transaction_begins_with_its_first_flush() {
    let plan = plan(vec![batch(0, 1, 3, Some(("t", true))), batch(1, 1, 3, Some(("t", true)))]);
    let store = store(&[("t", row(1, 3, TxnState::CompleteCommit))]).await;
    let told = admitted(&store, &plan).await;
    assert_eq!(told.void(), [false, false]);
    let begun = TxnRow::decode(&told.sets(&txn::key("t")).expect("begun")).unwrap();
    assert_eq!((begun.state, begun.started, begun.epoch), (TxnState::Ongoing, NOW, 3));
    for index in 0..2 {
        assert!(told.sets(&txn_partition::key(1, partition(index))).is_some());
    }
    assert!(told.reads.contains(&KeyRange::key(txn::key("t"))), "its end must conflict with this");
}

#[tokio::test]
async fn an_open_transaction_grows_without_its_row_being_written() {
    let plan = plan(vec![batch(0, 1, 3, Some(("t", true)))]);
    let store = store(&[("t", row(1, 3, TxnState::Ongoing))]).await;
    let told = admitted(&store, &plan).await;
    assert_eq!(told.void(), [false]);
    assert_eq!(told.sets(&txn::key("t")), None);
    assert!(told.sets(&txn_partition::key(1, partition(0))).is_some());
    assert!(told.reads.contains(&KeyRange::key(txn::key("t"))));
}

#[tokio::test]
async fn what_is_refused_is_void_and_the_rest_of_the_flush_goes_on() {
    let plan = plan(vec![
        batch(0, 1, 2, Some(("late", true))),
        batch(1, 5, 0, None),
        batch(2, 2, 0, Some(("stranger", true))),
        batch(3, 3, 0, Some(("closed", false))),
        batch(4, 4, 0, Some(("nobody", true))),
    ]);
    let rows = [
        ("late", row(1, 3, TxnState::Ongoing)),
        ("stranger", row(77, 0, TxnState::Ongoing)),
        ("closed", row(3, 0, TxnState::CompleteAbort)),
    ];
    let told = admitted(&store(&rows).await, &plan).await;
    assert_eq!(told.void(), [true, false, true, true, true]);
    let refusals = [Refusal::Fenced, Refusal::UnknownId, Refusal::NotOngoing, Refusal::UnknownId];
    assert_eq!(told.refusals(), refusals);
    assert!(!told.mutations.iter().any(|mutation| match mutation {
        Mutation::Set { key, .. } => key[0] == 0x70 || key[0] == 0x72,
        _ => false,
    }));
}

#[tokio::test]
async fn clients_that_must_add_their_partitions_have_added_them() {
    let plan = plan(vec![batch(0, 1, 0, Some(("t", false))), batch(1, 1, 0, Some(("t", false)))]);
    let store = store(&[("t", row(1, 0, TxnState::Ongoing))]).await;
    let added = Mutation::Set { key: txn_partition::key(1, partition(1)), value: Bytes::new() };
    store.commit(Commit { mutations: vec![added], ..Commit::default() }).await.unwrap();
    let told = admitted(&store, &plan).await;
    assert_eq!(told.void(), [true, false]);
    assert_eq!(told.refusals(), [Refusal::NotAdded]);
    assert_eq!(told.sets(&txn_partition::key(1, partition(0))), None);
}

#[tokio::test]
async fn of_several_claims_for_a_producer_the_true_one_counts() {
    let plan = plan(vec![batch(0, 1, 0, Some(("wrong", true))), batch(0, 1, 0, Some(("right", true)))]);
    let store = store(&[("right", row(1, 0, TxnState::Ongoing))]).await;
    assert_eq!(admitted(&store, &plan).await.void(), [false, false]);
}

#[tokio::test]
async fn flushes_of_one_commit_bring_their_claims_together() {
    let mut claims = Claims::default();
    let mut other = Claims::default();
    let transaction = |id: &str| BatchTransaction { id: id.into(), implicit: true };
    let (one, _ticket) = batch(0, 1, 0, Some(("a", true)));
    claims.add(&one.batch.meta, Some(transaction("a")));
    other.add(&one.batch.meta, Some(transaction("a")));
    other.add(&one.batch.meta, Some(transaction("b")));
    claims.extend(other);
    assert_eq!(claims.0.get(&(1, 0)), Some(&vec![transaction("a"), transaction("b")]));
}
