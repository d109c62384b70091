//! Produce, versions 3 to 13.
//!
//! In two steps, so that batches enter the writer in the order in which a connection's requests came: [`begin`] checks, and appends what
//! passed; [`Begun::finish`] waits for the fold. A partition's records are one batch, as Kafka wants it; a batch that is refused costs its
//! partition alone. acks 1 and -1 mean the same here: durable, and visible. Whether a batch belongs to an open
//! transaction is looked at when it is committed, by the writer. An agent that is about to leave takes nothing more that is
//! to be acknowledged; one that can store nothing, or is out of touch, has them ask who leads, as soon as
//! clients are told of others in metadata.

mod batch;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use siltstone_configs::TopicConfig;
use siltstone_kafka::ErrorCode;
use siltstone_kafka::produce::Request;
use siltstone_kafka::produce::request;
use siltstone_kafka::produce::response::{Partition, RecordError, Topic};
use siltstone_log::{PartitionId, TopicRow};

use super::context::Context;
use super::lookup::{TopicKey, Topics};
use super::{errors, topics};
use crate::placement::node;
use crate::produce::{NewBatch, Reservation, Ticket};

/// The first version that names topics by id.
const BY_ID: i16 = 13;
const NO_OFFSET: i64 = -1;
/// Checking so many bytes is a while: others get their turn.
const YIELD_BYTES: usize = 1 << 20;

/// Why a partition's records are not taken.
#[derive(Debug)]
struct Refused {
    code: ErrorCode,
    message: Option<String>,
    records: Vec<RecordError>,
    /// The answer says where the log starts, as Kafka's does for faults that it finds only when it looks into the batch.
    log_start: Option<PartitionId>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Refused { code, message: None, records: Vec::new(), log_start: None }
    }
}

/// A batch on its way.
#[derive(Debug)]
struct Sent {
    partition: PartitionId,
    idempotent: bool,
    log_append_time: i64,
}

/// A request whose batches are in the writer.
pub(super) struct Begun {
    cx: Context,
    version: i16,
    acks: i16,
    timeout: Duration,
    ticket: Ticket,
    /// As in the request. What was sent has its places in the ticket, in order.
    topics: Vec<(Topic, Vec<Result<Sent, Refused>>)>,
}

/// Checks a request and appends its batches.
pub(super) async fn begin(
    cx: &Context,
    version: i16,
    request: Request,
    reservation: Option<Reservation>,
) -> Begun {
    let acks = request.acks;
    let whole = whole_request(&request);
    let transactional_id = request.transactional_id.as_deref().map(Arc::from);
    let topics = Topics::new(cx);
    let answered = acks != 0;
    let out_of_touch = cx.engine().out_of_touch();
    let mut check = Check {
        cx,
        version,
        transactional_id,
        topics,
        answered,
        out_of_touch,
        batches: Vec::new(),
        unyielded: 0,
    };
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let key = TopicKey::new(version >= BY_ID, &topic.name, topic.topic_id);
        let mut parts = Vec::with_capacity(topic.partition_data.len());
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            answers.push(Partition { index: partition.index, ..Partition::default() });
            parts.push(match whole {
                Some(code) => Err(code.into()),
                None => check.partition(&key, partition).await,
            });
        }
        let answer = Topic { name: topic.name, topic_id: topic.topic_id, partition_responses: answers };
        topics.push((answer, parts));
    }
    let batches = check.batches;
    let ticket = cx.engine().writer().append(cx.connection, batches, reservation, acks != 0);
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    Begun { cx: cx.clone(), version, acks, timeout, ticket, topics }
}

/// What is wrong with all of a request.
fn whole_request(request: &Request) -> Option<ErrorCode> {
    (!matches!(request.acks, -1..=1)).then_some(ErrorCode::InvalidRequiredAcks)
}

/// What checking a request needs.
struct Check<'a> {
    cx: &'a Context,
    version: i16,
    transactional_id: Option<Arc<str>>,
    topics: Topics<'a>,
    answered: bool,
    /// See [`crate::engine::Engine::out_of_touch`].
    out_of_touch: bool,
    batches: Vec<NewBatch>,
    unyielded: usize,
}

impl Check<'_> {
    async fn partition(&mut self, key: &TopicKey, data: request::Partition) -> Result<Sent, Refused> {
        let (row, id) = self.topics.partition(key, data.index).await?;
        // Who wants no answer would learn nothing by a refusal: its records are taken to the last.
        if self.answered {
            self.topics.still_served()?;
            if self.out_of_touch && led_elsewhere(self.cx, id) {
                return Err(ErrorCode::NotLeaderOrFollower.into());
            }
        }
        let records = data.records.unwrap_or_default().into_bytes();
        self.unyielded += records.len();
        if self.unyielded >= YIELD_BYTES {
            self.unyielded = 0;
            tokio::task::yield_now().await;
        }
        let config = self.config(&row);
        let moment = batch::Moment { version: self.version, now: self.cx.engine().ambient().clock.now() };
        let new =
            batch::new_batch(self.cx, &config, moment, id, records, self.transactional_id.as_ref()).await?;
        // Only what this agent follows can be written: the outcome comes from its own fold.
        let load = self.cx.engine().followers().of(id).load(&[id]).await;
        load.map_err(|error| errors::shard(&error))?;
        let sent = Sent {
            partition: id,
            idempotent: new.batch.meta.producer.is_some(),
            log_append_time: new.log_append_time,
        };
        self.batches.push(new.batch);
        Ok(sent)
    }

    fn config(&self, row: &TopicRow) -> Arc<TopicConfig> {
        self.cx.broker.topic_config(row)
    }
}

/// Whether clients like this one are sent to another agent for the partition by now: this one stands back, or is out of touch.
fn led_elsewhere(cx: &Context, id: PartitionId) -> bool {
    let placement = topics::placement(cx);
    placement.leader(id, cx.zone(None)).is_some_and(|leader| leader.node != node(cx.engine().registration()))
}

impl Begun {
    /// Not so for acks=0.
    pub(super) fn wants_answer(&self) -> bool {
        self.acks != 0
    }

    /// What of an acks=0 request was refused, if anything: the client learns of it by the connection's end, as with Kafka.
    pub(super) fn refused(&self) -> Option<String> {
        let refused = self.topics.iter().find_map(|(topic, parts)| {
            let first = parts.iter().find_map(|part| part.as_ref().err());
            first.map(|refused| (topic, refused))
        });
        refused.map(|(topic, refused)| {
            let message = refused.message.as_deref().unwrap_or(refused.code.message());
            format!(
                "produce without acknowledgement to '{}' failed: {}: {message}",
                topic.name,
                refused.code.name()
            )
        })
    }
}
