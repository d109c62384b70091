//! Members of the classic protocol, eager.

use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::group::GroupError;
use siltstone_kafka::consumer_protocol_assignment::TopicPartitions;
use siltstone_kafka::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, versioned};
use siltstone_metadata::group::classic::{JoinRequest, Joined, Refusal, SyncRequest};
use tokio::time::sleep;

use super::{Member, PATIENCE, Trouble};
use crate::sim::invariants::groups::assigned;
use crate::sim::setup;

/// A join waits for the others.
const JOIN: Duration = Duration::from_secs(9);
const LEAVES_IN: u64 = 60;

pub(super) async fn run(mut member: Member) {
    while !member.done {
        if member.join().await.is_ok() {
            member.live().await;
        }
    }
    member.leave().await;
}

impl Member {
    /// Joins, assigns if it leads, and takes what it is given.
    async fn join(&mut self) -> Result<(), ()> {
        self.positions.clear();
        self.unread.clear();
        let request = JoinRequest {
            member: self.id.clone(),
            new_id: format!("c{}-{}", self.number, self.world.number()),
            needs_id: true,
            can_skip: true,
            client_id: "simulated".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: setup::SESSION.as_millis() as u32,
            rebalance_timeout_ms: setup::SESSION.as_millis() as u32,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), subscription())],
            ..JoinRequest::default()
        };
        let (config, name) = (self.world.group_config.clone(), self.group.name);
        let joined = self.ask(JOIN, async |engine| engine.groups().join(&config, name, request).await).await;
        let joined = match joined {
            Ok(joined) => joined,
            Err(trouble) => {
                self.refused(trouble).await;
                return Err(());
            }
        };
        self.event(format_args!("{} joins generation {}", joined.member, joined.generation));
        self.id.clone_from(&joined.member);
        self.generation = joined.generation;
        let request = self.sync_request(&joined);
        let sent = self.world.elapsed();
        let synced = self.ask(JOIN, async |engine| engine.groups().sync(&config, name, request).await).await;
        match synced {
            Ok(synced) => {
                self.heard(sent);
                self.world.count(|counts| counts.joins += 1);
                self.take(assigned(&synced.assignment, self.world.grouped.get()));
                Ok(())
            }
            Err(trouble) => {
                self.refused(trouble).await;
                Err(())
            }
        }
    }

    /// What is to be done about a refusal: always join again, sometimes anew.
    async fn refused(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Refused(GroupError::Refused(Refusal::MemberIdRequired(id))) => self.id = id,
            Trouble::Refused(GroupError::Refused(Refusal::UnknownMember)) => {
                self.put_out();
                self.id.clear();
            }
            Trouble::Refused(error) => {
                self.event(format_args!("refused: {error}"));
                sleep(Duration::from_millis(50)).await;
            }
            Trouble::Elsewhere => {}
        }
    }

    fn sync_request(&self, joined: &Joined) -> SyncRequest {
        let all: Vec<u32> = self.world.grouped_partitions().iter().map(|partition| partition.index).collect();
        let count = joined.members.len();
        let share = |turn: usize| all.iter().copied().skip(turn).step_by(count.max(1)).collect::<Vec<u32>>();
        let leads = joined.leader == joined.member;
        let assignments = joined.members.iter().enumerate().filter(|_| leads);
        SyncRequest {
            member: joined.member.clone(),
            generation: joined.generation,
            protocol_type: Some("consumer".into()),
            protocol: joined.protocol.clone(),
            assignments: assignments.map(|(turn, (id, ..))| (id.clone(), assignment(&share(turn)))).collect(),
            ..SyncRequest::default()
        }
    }

    /// Until it has to join again.
    async fn live(&mut self) {
        while !self.done {
            if self.rest().await {
                self.id.clear();
                return self.give_up();
            }
            if self.world.storming.get() && self.chance.below(LEAVES_IN) == 0 {
                return self.leave().await;
            }
            self.read().await;
            // Also first of all after a long silence: it may have been put out since.
            let committed = if self.chance.below(3) > 0 { self.commit().await } else { Ok(()) };
            if let Err(Trouble::Refused(error)) = committed {
                self.event(format_args!("a commit is refused: {error}"));
            }
            if self.done || !self.beat().await {
                return;
            }
        }
    }

    /// Whether it may stay as it is.
    async fn beat(&mut self) -> bool {
        let (config, name) = (self.world.group_config.clone(), self.group.name);
        let (id, generation, sent) = (self.id.clone(), self.generation, self.world.elapsed());
        let beat = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
            engine.groups().heartbeat(&config, name, id, None, generation).await
        };
        match self.ask(PATIENCE, beat).await {
            Ok(()) => {
                self.heard(sent);
                true
            }
            Err(Trouble::Elsewhere) => true,
            Err(Trouble::Refused(GroupError::Refused(Refusal::RebalanceInProgress))) => {
                if self.chance.happens(0.5) {
                    drop(self.commit().await);
                }
                self.done = false;
                false
            }
            Err(trouble) => {
                self.refused(trouble).await;
                false
            }
        }
    }

    async fn leave(&mut self) {
        let (config, name, id) = (self.world.group_config.clone(), self.group.name, self.id.clone());
        self.leaves();
        self.give_up();
        self.id.clear();
        let leave = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
            engine.groups().leave(&config, name, vec![(id, None)]).await
        };
        drop(self.ask(PATIENCE, leave).await);
    }
}

fn subscription() -> Bytes {
    let topics = vec![setup::GROUPED.to_owned()];
    let subscription = ConsumerProtocolSubscription { topics, ..Default::default() };
    let Ok(bytes) = versioned::encode(&subscription, 1) else { unreachable!("a small subscription fits") };
    bytes
}

fn assignment(indices: &[u32]) -> Bytes {
    let partitions = indices.iter().map(|index| *index as i32).collect();
    let assigned_partitions = vec![TopicPartitions { topic: setup::GROUPED.to_owned(), partitions }];
    let assignment = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
    let Ok(bytes) = versioned::encode(&assignment, 1) else { unreachable!("a small assignment fits") };
    bytes
}
