//! Fetch, versions 4 to 18: sessions (KIP-227), topic ids from 13 on.
//!
//! Guarantees: whole batches as they are stored; "out of range" and "no such topic" only from fresh state (design, section 5); the memory
//! that answers hold until their clients have read them comes from one budget, and the fuller it is, the less one fetch may take of it: so
//! consumers that stall leave something for those that don't (S11). Waiting holds none of it. No diverging epoch is ever answered:
//! nothing is truncated here, so that no client's log can differ. A client that names a rack in which another agent stands for the partition is told
//! of that agent instead of given records (KIP-392); in its own zone this agent serves whatever it is asked for, so that nobody is sent in
//! circles. An agent that is about to leave names others to everybody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_kafka::fetch::response::{AbortedTransaction, Partition, Topic};
use siltstone_kafka::fetch::{Request, Response};
use siltstone_kafka::{ErrorCode, Records};
use siltstone_log::{Aborted, PartitionId, TopicId};
use siltstone_metadata::follow::Subscription;
use tokio::time::Instant;

use super::context::Context;
use super::errors;
use super::held::{Held, NextTurn, settle};
use super::lookup::{TopicKey, Topics, check_leader_epoch};
use super::sessions::{Ask, FIRST_EPOCH, Granted, Key, NO_EPOCH, Told, Wanted};
use super::telemetry::{self, Direction};
use super::topics;
use crate::fetch::{Bounds, FetchPartition, FetchResult, FetchSpec};
use crate::placement::{Placement, node};
use crate::produce::Reservation;

/// The first version with sessions.
const SESSIONS: i16 = 7;
/// The first version whose answers can name another agent to fetch from.
const PREFERRED: i16 = 11;
/// The first version that names topics by id.
const BY_ID: i16 = 13;
const READ_COMMITTED: i8 = 1;
const NO_OFFSET: i64 = -1;
const NO_NODE: i32 = -1;
/// One answer holds at most this share of what is left of the budget ...
const SHARE: usize = 16;
/// ... within these bounds. Less than what most batches may be would be no bound, as one batch is given always.
const LEAST_BYTES: usize = 1 << 20;
const MOST_BYTES: usize = 16 << 20;
/// An answer waits so long for memory, at least; then it goes without records, and the client asks again.
const PATIENCE: Duration = Duration::from_secs(5);

/// One partition of a request.
struct Item {
    key: Key,
    wanted: Wanted,
    told: Option<Told>,
    /// Where to read, or why not.
    place: Result<PartitionId, ErrorCode>,
    /// What is told instead of records: another agent is nearer.
    nearer: Option<Found>,
}

/// What a partition gave.
struct Found {
    bounds: Bounds,
    records: Vec<Bytes>,
    aborted: Vec<Aborted>,
    /// The agent to ask instead, or -1.
    preferred: i32,
}

/// Answers a fetch; with the memory that the answer holds.
pub(super) async fn handle(
    cx: &Context,
    version: i16,
    request: Request,
    turn: NextTurn,
) -> (Response, Option<Held>) {
    let granted = match take_session(cx, version, &request) {
        Ok(granted) => granted,
        Err(code) => return (Response { error_code: code.code(), ..Response::default() }, None),
    };
    let mut topics = Topics::new(cx);
    let mut items = Vec::with_capacity(granted.partitions.len());
    let elsewhere = elsewhere(cx, version, &request.rack_id);
    for (key, wanted, told) in granted.partitions {
        let place = place(&mut topics, &key, &wanted).await;
        let near = |id: PartitionId| Some((id, elsewhere.as_ref()?.of(id, &request.rack_id)?));
        let nearer = match place.ok().and_then(near) {
            Some((id, node)) => told_instead(cx, id, node).await,
            None => None,
        };
        if nearer.is_some() && cx.engine().sees_off() {
            cx.engine().refused();
        }
        items.push(Item { key, wanted, told, place, nearer });
    }
    let (results, held) = read(cx, version, &request, &items, turn).await;
    let bytes = results.iter().map(|result| result.bytes).sum();
    telemetry::crossed(Direction::Sent, cx.zones(Some(&request.rack_id)), bytes);
    let committed = request.isolation_level == READ_COMMITTED;
    let session = (granted.id != 0).then_some(granted.id);
    let response = answer(cx, session, granted.incremental, committed, items, results);
    (response, held)
}

fn take_session(cx: &Context, version: i16, request: &Request) -> Result<Granted, ErrorCode> {
    let by_id = version >= BY_ID;
    let (id, epoch) = match version {
        SESSIONS.. => (request.session_id, request.session_epoch),
        _ => (0, NO_EPOCH),
    };
    let partitions = request.topics.iter().flat_map(|topic| {
        let key = TopicKey::new(by_id, &topic.topic, topic.topic_id);
        topic.partitions.iter().map(move |partition| {
            let wanted = Wanted {
                offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
            };
            ((key.clone(), partition.partition), wanted)
        })
    });
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        let key = TopicKey::new(by_id, &topic.topic, topic.topic_id);
        topic.partitions.iter().map(move |index| (key.clone(), *index))
    });
    let ask = Ask { id, epoch, by_id, partitions: partitions.collect(), forgotten: forgotten.collect() };
    // Chance is asked only for what needs it: a session that begins.
    let new_id = if epoch == FIRST_EPOCH { cx.engine().ambient().chance.next() as u32 } else { 0 };
    let slots = cx.broker.broker_config().max_fetch_sessions as usize;
    cx.broker.sessions.take(ask, new_id, slots)
}

/// Whom to name instead of serving.
enum Elsewhere {
    /// Those in the client's rack, which is not this agent's.
    Nearer(Arc<Placement>),
    /// Anybody else: this agent leaves, and is in the placement no more.
    Others(Arc<Placement>, i32),
}

impl Elsewhere {
    fn of(&self, partition: PartitionId, rack: &str) -> Option<i32> {
        match self {
            Elsewhere::Nearer(placement) => Some(placement.replica_in(partition, rack)?.node),
            Elsewhere::Others(placement, own) => {
                Some(placement.leader(partition, Some(rack))?.node).filter(|node| node != own)
            }
        }
    }
}

fn elsewhere(cx: &Context, version: i16, rack: &str) -> Option<Elsewhere> {
    let engine = cx.engine();
    if leaves(cx, version) && !engine.departs() {
        return Some(Elsewhere::Others(topics::placement(cx), node(engine.registration())));
    }
    let far = !rack.is_empty() && rack != engine.settings().zone;
    far.then(|| Elsewhere::Nearer(topics::placement(cx)))
}

/// A partition's ends, and that `node` has its records. If they are not known here, the client had better be served than sent away.
async fn told_instead(cx: &Context, partition: PartitionId, node: i32) -> Option<Found> {
    let bounds = cx.engine().reader().bounds(partition).await.ok()?;
    Some(Found { bounds, records: Vec::new(), aborted: Vec::new(), preferred: node })
}

async fn place(
    topics: &mut Topics<'_>,
    (topic, index): &Key,
    wanted: &Wanted,
) -> Result<PartitionId, ErrorCode> {
    let (_, id) = topics.partition(topic, *index).await?;
    check_leader_epoch(wanted.current_leader_epoch)?;
    topics.still_served()?;
    if wanted.last_fetched_epoch > 0 {
        // An epoch that never was: there is no telling where it ends.
        return Err(ErrorCode::OffsetOutOfRange);
    }
    Ok(id)
}

/// Reads, and waits for more as long as the request allows.
async fn read(
    cx: &Context,
    version: i16,
    request: &Request,
    items: &[Item],
    turn: NextTurn,
) -> (Vec<FetchResult>, Option<Held>) {
    let partitions: Vec<FetchPartition> = items.iter().filter_map(wanted_of).collect();
    if partitions.is_empty() {
        return (Vec::new(), None);
    }
    let positive = |n: i32| usize::try_from(n).unwrap_or(0);
    let asked = positive(request.max_bytes).min(cx.broker.broker_config().fetch_max_bytes as usize);
    // Who is to ask elsewhere is not kept waiting for what is here.
    let patient = items.iter().all(|item| item.nearer.is_none());
    let patience = if patient { positive(request.max_wait_ms) as u64 } else { 0 };
    let deadline = Instant::now() + Duration::from_millis(patience);
    let committed = request.isolation_level == READ_COMMITTED;
    let mut spec = FetchSpec { partitions, committed, min_bytes: 0, max_bytes: 0, max_wait: Duration::ZERO };
    let mut subscription: Option<Subscription> = None;
    let page = cx.engine().settings().page_bytes as usize;
    let turn = turn.await;
    let mut needed = 0;
    loop {
        let room = allowance(cx.broker.answers.budget().available()).min(asked).max(needed);
        let until = deadline.max(Instant::now() + PATIENCE);
        let Some(held) = memory(cx, room, until).await else {
            return (without_records(cx, &spec).await, None);
        };
        spec.max_bytes = room.min(asked);
        let mut results = cx.engine().reader().fetch(&spec).await;
        let bytes: usize = results.iter().map(|result| result.bytes).sum();
        let failed = results.iter().any(|result| result.records.is_err());
        // The room that there was may be less than what the client waits for.
        let enough = bytes >= positive(request.min_bytes).min(room);
        if enough || failed || Instant::now() >= deadline || leaves(cx, version) {
            let answers = &cx.broker.answers;
            match settle(&mut results, held, room, page, answers.budget()) {
                Some(held) => {
                    let held = (bytes > 0).then(|| Held::new(held, Arc::clone(answers), Some(turn)));
                    return (results, held);
                }
                // One batch is given always, however large: it waits its turn for the memory, holding none.
                None => needed = bytes,
            }
            continue;
        }
        drop((results, held));
        match &subscription {
            None => {
                // Subscribe first, then look again: what came in between is not missed.
                let mut new = Subscription::default();
                for wanted in &spec.partitions {
                    cx.engine().followers().of(wanted.partition).subscribe(&mut new, wanted.partition);
                }
                subscription = Some(new);
            }
            Some(subscription) => {
                // Late or not, it is looked once more: the answer carries what there is.
                tokio::select! {
                    biased;
                    () = cx.engine().departing() => {}
                    () = cx.engine().seeing_off(), if version >= PREFERRED => {}
                    _ = tokio::time::timeout_at(deadline, subscription.changed()) => {}
                }
            }
        }
    }
}

/// Whether who fetches is to go elsewhere, so that nothing is waited for.
fn leaves(cx: &Context, version: i16) -> bool {
    cx.engine().departs() || (version >= PREFERRED && cx.engine().sees_off())
}

/// The partitions' ends, where there is no memory for more.
async fn without_records(cx: &Context, spec: &FetchSpec) -> Vec<FetchResult> {
    let mut results = Vec::with_capacity(spec.partitions.len());
    for FetchPartition { partition, .. } in &spec.partitions {
        let bounds = cx.engine().reader().bounds(*partition).await;
        results.push(FetchResult::empty(*partition, bounds));
    }
    results
}

/// Memory for an answer; none if there is none in time.
async fn memory(cx: &Context, room: usize, until: Instant) -> Option<Reservation> {
    tokio::time::timeout_at(until, cx.broker.answers.reserve(room)).await.ok()
}

fn wanted_of(item: &Item) -> Option<FetchPartition> {
    let partition = item.place.as_ref().ok().filter(|_| item.nearer.is_none())?;
    let max_bytes = usize::try_from(item.wanted.max_bytes).unwrap_or(0);
    Some(FetchPartition { partition: *partition, offset: item.wanted.offset, max_bytes })
}

/// What one answer may hold, with so much left of the budget.
fn allowance(available: usize) -> usize {
    (available / SHARE).clamp(LEAST_BYTES, MOST_BYTES)
}

fn answer(
    cx: &Context,
    session: Option<i32>,
    incremental: bool,
    committed: bool,
    items: Vec<Item>,
    results: Vec<FetchResult>,
) -> Response {
    let mut response = Response { session_id: session.unwrap_or(0), ..Response::default() };
    let mut told = Vec::new();
    let mut results = results.into_iter();
    for item in items {
        let found = match item.place {
            Ok(_) if item.nearer.is_some() => item.nearer.ok_or(ErrorCode::UnknownServerError),
            Ok(_) => results.next().map_or(Err(ErrorCode::UnknownServerError), found),
            Err(code) => Err(code),
        };
        let news = news(&found);
        let has_records = found.as_ref().is_ok_and(|found| !found.records.is_empty());
        let sent_away = found.as_ref().is_ok_and(|found| found.preferred != NO_NODE);
        let changed = has_records || sent_away || news.is_none() || news != item.told;
        if session.is_some() && (changed || !incremental) {
            // What had records goes to the end, so that the others get their turn.
            told.push((item.key.clone(), news, incremental && has_records));
        }
        if changed || !incremental {
            let (topic, index) = item.key;
            push(&mut response, topic, partition(index, committed, found));
        }
    }
    if let Some(id) = session {
        cx.broker.sessions.told(id, told);
    }
    response
}

/// What the client knows of the partition from now on.
fn news(found: &Result<Found, ErrorCode>) -> Option<Told> {
    let bounds = found.as_ref().ok()?.bounds;
    Some(Told { high_watermark: bounds.high_watermark, log_start: bounds.log_start })
}

fn found(result: FetchResult) -> Result<Found, ErrorCode> {
    match result.records {
        Ok(records) => {
            Ok(Found { bounds: result.bounds, records, aborted: result.aborted, preferred: NO_NODE })
        }
        Err(error) => {
            tracing::debug!(partition = ?result.partition, %error, "fetch failed");
            Err(errors::fetch(&error))
        }
    }
}

fn partition(partition_index: i32, committed: bool, found: Result<Found, ErrorCode>) -> Partition {
    match found {
        Ok(Found { bounds, records, aborted, preferred }) => Partition {
            partition_index,
            high_watermark: bounds.high_watermark,
            last_stable_offset: bounds.last_stable,
            log_start_offset: bounds.log_start,
            // Null for those who don't ask which transactions were aborted, as in Kafka.
            aborted_transactions: committed.then(|| aborted.iter().map(told).collect()),
            records: Some(records.into_iter().collect()),
            preferred_read_replica: preferred,
            ..Partition::default()
        },
        Err(code) => Partition {
            partition_index,
            error_code: code.code(),
            high_watermark: NO_OFFSET,
            // As Kafka: empty, not null, for what was never looked into.
            aborted_transactions: (committed || is_unknown(code)).then(Vec::new),
            records: Some(Records::new()),
            ..Partition::default()
        },
    }
}

fn told(aborted: &Aborted) -> AbortedTransaction {
    AbortedTransaction { producer_id: aborted.producer_id, first_offset: aborted.first }
}

/// Adds a partition to the last topic, if it is that one's, else to a new one.
fn push(response: &mut Response, key: TopicKey, partition: Partition) {
    let (name, id) = match &key {
        TopicKey::Name(name) => (&**name, TopicId(0)),
        TopicKey::Id(id) => ("", *id),
    };
    match response.responses.last_mut() {
        Some(last) if last.topic == name && last.topic_id == id.uuid() => last.partitions.push(partition),
        _ => response.responses.push(Topic {
            topic: name.to_owned(),
            topic_id: id.uuid(),
            partitions: vec![partition],
        }),
    }
}

/// There is nothing of this name or id.
fn is_unknown(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
}
