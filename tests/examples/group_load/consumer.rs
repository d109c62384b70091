//! A member of the consumer protocol (KIP-848). It gives up and takes at once what it is told to, and says so at once, as Kafka's Java client does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use siltstone_kafka::ErrorCode;
use siltstone_kafka::consumer_group_heartbeat::{Request, Response, request};
use tokio::sync::watch;
use uuid::Uuid;

use crate::TOPIC;
use crate::args::Args;
use crate::watch::{Watch, told};
use crate::wire::{Connection, Failure, code};

const REBALANCE_MS: i32 = 60_000;

pub(crate) struct Member {
    pub(crate) connection: Connection,
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) epoch: i32,
    owned: BTreeMap<Uuid, Vec<i32>>,
    interval: Duration,
    /// What it owns has changed and the coordinator does not know.
    tell: bool,
}

impl Member {
    pub(crate) async fn new(args: &Args, (group, member): (usize, usize)) -> Result<Self, Failure> {
        let id = Uuid::from_u128((group as u128) << 64 | 1 << 32 | member as u128).to_string();
        Ok(Member {
            connection: Connection::open(&args.server).await?,
            group: format!("group-{group}"),
            id,
            epoch: 0,
            owned: BTreeMap::new(),
            interval: Duration::ZERO,
            tell: true,
        })
    }

    pub(crate) fn owned(&self) -> usize {
        self.owned.values().map(Vec::len).sum()
    }

    /// One heartbeat, and what comes of it.
    pub(crate) async fn beat(&mut self, watch: &Watch) -> Result<(), Failure> {
        let joins = self.epoch == 0;
        let owned = |(topic, partitions): (&Uuid, &Vec<i32>)| request::TopicPartitions {
            topic_id: *topic,
            partitions: partitions.clone(),
        };
        let request = Request {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { REBALANCE_MS } else { -1 },
            subscribed_topic_names: joins.then(|| vec![TOPIC.to_owned()]),
            topic_partitions: (self.tell || joins).then(|| self.owned.iter().map(owned).collect()),
            ..Default::default()
        };
        let asked = Instant::now();
        let answer = self.connection.call(1, &request).await?;
        watch.took(asked);
        self.tell = false;
        match code(answer.error_code) {
            ErrorCode::None => self.take(answer),
            error => {
                watch.trouble(format!("ConsumerGroupHeartbeat: {error:?}"));
                self.owned.clear();
                self.epoch = 0;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    fn take(&mut self, answer: Response) {
        self.epoch = answer.member_epoch;
        self.interval = Duration::from_millis(u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0));
        let Some(assignment) = answer.assignment else { return };
        let topics = assignment.topic_partitions.into_iter().map(|topic| (topic.topic_id, topic.partitions));
        let owned = topics.filter(|(_, partitions)| !partitions.is_empty()).collect();
        self.tell = owned != self.owned;
        self.owned = owned;
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        let (group_id, member_id) = (self.group.clone(), self.id.clone());
        let request = Request { group_id, member_id, member_epoch: -1, ..Default::default() };
        self.connection.call(1, &request).await.map(drop)
    }
}

/// Lives until told to leave.
pub(crate) async fn live(
    mut member: Member,
    place: (usize, usize),
    all: Arc<Watch>,
    mut leave: watch::Receiver<bool>,
) -> Result<(), Failure> {
    loop {
        member.beat(&all).await?;
        all.has(place, member.epoch, member.owned());
        if member.tell || member.epoch == 0 {
            continue;
        }
        tokio::select! {
            biased;
            () = told(&mut leave) => {
                member.leave().await?;
                all.gone(place);
                return Ok(());
            }
            () = tokio::time::sleep(member.interval) => {}
        }
    }
}
