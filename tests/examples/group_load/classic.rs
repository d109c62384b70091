//! A member of the classic protocol: joins, assigns if it leads, heartbeats, joins again when told to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use siltstone_kafka::consumer_protocol_assignment::TopicPartitions;
use siltstone_kafka::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, ErrorCode, versioned};
use siltstone_kafka::{heartbeat, join_group, leave_group, sync_group};
use tokio::sync::watch;

use crate::TOPIC;
use crate::args::Args;
use crate::watch::{Watch, told};
use crate::wire::{Connection, Failure, code};

/// As Kafka's Java client does.
const INTERVAL: Duration = Duration::from_secs(3);
const REBALANCE_MS: i32 = 60_000;

pub(crate) struct Member {
    pub(crate) connection: Connection,
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) generation: i32,
    session: i32,
    partitions: i32,
    owned: usize,
}

impl Member {
    pub(crate) async fn new(args: &Args, group: usize) -> Result<Self, Failure> {
        Ok(Member {
            connection: Connection::open(&args.server).await?,
            group: format!("group-{group}"),
            id: String::new(),
            generation: -1,
            session: args.session,
            partitions: args.partitions,
            owned: 0,
        })
    }

    /// Joins until it has an assignment.
    pub(crate) async fn join(&mut self, watch: &Watch) -> Result<(), Failure> {
        loop {
            let joined = self.connection.call(9, &self.join_request()?).await?;
            match code(joined.error_code) {
                ErrorCode::None => {}
                ErrorCode::MemberIdRequired => {
                    self.id = joined.member_id;
                    continue;
                }
                error => {
                    watch.trouble(format!("JoinGroup: {error:?}"));
                    self.forget(error).await;
                    continue;
                }
            }
            (self.id, self.generation) = (joined.member_id.clone(), joined.generation_id);
            let synced = self.connection.call(5, &self.sync_request(joined)?).await?;
            match code(synced.error_code) {
                ErrorCode::None => return self.take(&synced.assignment),
                ErrorCode::RebalanceInProgress => {}
                error => {
                    watch.trouble(format!("SyncGroup: {error:?}"));
                    self.forget(error).await;
                }
            }
        }
    }

    /// Joins, and joins again until nobody else has come for a while.
    pub(crate) async fn settle(&mut self, watch: &Watch) -> Result<(), Failure> {
        self.join(watch).await?;
        let mut quiet = Instant::now();
        while quiet.elapsed() < INTERVAL {
            tokio::time::sleep(INTERVAL / 10).await;
            if self.beat(watch).await? != ErrorCode::None {
                self.join(watch).await?;
                quiet = Instant::now();
            }
        }
        Ok(())
    }

    async fn forget(&mut self, error: ErrorCode) {
        if error == ErrorCode::UnknownMemberId {
            self.id.clear();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    fn join_request(&self) -> Result<join_group::Request, Failure> {
        let subscription =
            ConsumerProtocolSubscription { topics: vec![TOPIC.to_owned()], ..Default::default() };
        let metadata = versioned::encode(&subscription, 1)?;
        let range = join_group::request::Protocol { name: "range".to_owned(), metadata };
        Ok(join_group::Request {
            group_id: self.group.clone(),
            session_timeout_ms: self.session,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: self.id.clone(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![range],
            ..Default::default()
        })
    }

    fn sync_request(&self, joined: join_group::Response) -> Result<sync_group::Request, Failure> {
        let count = joined.members.len() as i32;
        let share = |index: i32| -> Result<Bytes, Failure> {
            let partitions =
                (self.partitions * index / count..self.partitions * (index + 1) / count).collect();
            let assigned_partitions = vec![TopicPartitions { topic: TOPIC.to_owned(), partitions }];
            Ok(versioned::encode(&ConsumerProtocolAssignment { assigned_partitions, user_data: None }, 1)?)
        };
        let assign = |(index, member): (usize, join_group::response::Member)| {
            let assignment = share(index as i32)?;
            Ok(sync_group::request::Assignment { member_id: member.member_id, assignment })
        };
        let assignments = joined.members.into_iter().enumerate().map(assign);
        Ok(sync_group::Request {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            assignments: assignments.collect::<Result<_, Failure>>()?,
            ..Default::default()
        })
    }

    fn take(&mut self, assignment: &Bytes) -> Result<(), Failure> {
        let (_, assignment) = versioned::decode::<ConsumerProtocolAssignment>(assignment)?;
        self.owned = assignment.assigned_partitions.iter().map(|topic| topic.partitions.len()).sum();
        Ok(())
    }

    async fn beat(&mut self, watch: &Watch) -> Result<ErrorCode, Failure> {
        let request = heartbeat::Request {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..Default::default()
        };
        let asked = Instant::now();
        let answer = self.connection.call(4, &request).await?;
        watch.took(asked);
        Ok(code(answer.error_code))
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        let member = leave_group::request::Member { member_id: self.id.clone(), ..Default::default() };
        let request = leave_group::Request {
            group_id: self.group.clone(),
            members: vec![member],
            ..Default::default()
        };
        self.connection.call(4, &request).await.map(drop)
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
        member.join(&all).await?;
        all.has(place, member.generation, member.owned);
        loop {
            tokio::select! {
                biased;
                () = told(&mut leave) => {
                    member.leave().await?;
                    all.gone(place);
                    return Ok(());
                }
                () = tokio::time::sleep(INTERVAL) => {}
            }
            match member.beat(&all).await? {
                ErrorCode::None => continue,
                ErrorCode::RebalanceInProgress => {}
                error => {
                    all.trouble(format!("Heartbeat: {error:?}"));
                    member.forget(error).await;
                }
            }
            break;
        }
    }
}
