//! Members of the consumer protocol (KIP-848).

use std::time::Duration;

use siltstone_agent::group::GroupError;
use siltstone_log::{PartitionId, Partitions};
use siltstone_metadata::group::consumer::{HeartbeatAnswer, HeartbeatRequest, LEAVE_EPOCH, Refusal};
use tokio::time::sleep;

use super::{Member, PATIENCE, Trouble};
use crate::sim::invariants::groups::flat;
use crate::sim::setup;

const VERSION: i16 = 1;
const LEAVES_IN: u64 = 80;

/// What the coordinator has yet to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tell {
    Nothing,
    /// What it has.
    Owned,
    /// All about it: an answer was lost.
    All,
}

pub(super) async fn run(mut member: Member) {
    member.begin_anew();
    let mut tell = Tell::All;
    while !member.done {
        tell = member.heartbeat(tell).await;
        if tell != Tell::Nothing {
            continue;
        }
        if member.rest().await {
            member.begin_anew();
            tell = Tell::All;
            continue;
        }
        member.read().await;
        if member.world.storming.get() && member.chance.below(LEAVES_IN) == 0 {
            member.part().await;
            tell = Tell::All;
            continue;
        }
        if !member.positions.is_empty()
            && let Err(Trouble::Refused(error)) = member.commit().await
        {
            member.event(format_args!("a commit is refused: {error}"));
        }
        // With more members than partitions some have nothing.
        member.done |=
            !member.world.storming.get() && member.unread.is_empty() && member.positions.is_empty();
    }
    member.part().await;
}

impl Member {
    fn begin_anew(&mut self) {
        self.give_up();
        self.id = format!("k{}-{}", self.number, self.world.number());
        self.generation = 0;
    }

    fn owned(&self) -> Partitions {
        let mut owned = Partitions::new();
        let all = self.positions.keys().chain(&self.unread);
        all.for_each(|partition| _ = owned.entry(partition.topic).or_default().insert(partition.index));
        owned
    }

    /// One heartbeat; what the next one has to say, and if anything, at once.
    async fn heartbeat(&mut self, tell: Tell) -> Tell {
        let all = tell == Tell::All || self.generation == 0;
        let request = HeartbeatRequest {
            member: self.id.clone(),
            epoch: self.generation,
            rebalance_timeout_ms: all.then_some(setup::SESSION.as_millis() as i32),
            topics: all.then(|| vec![setup::GROUPED.to_owned()]),
            owned: (all || tell == Tell::Owned).then(|| self.owned()),
            client_id: "simulated".into(),
            client_host: "/127.0.0.1".into(),
            ..HeartbeatRequest::default()
        };
        let (config, name) = (self.world.group_config.clone(), self.group.name);
        let sent = self.world.elapsed();
        let beat = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
            engine.groups().consumer_heartbeat(&config, name, VERSION, request).await
        };
        match self.ask(PATIENCE, beat).await {
            Ok(answer) => {
                // One that has something to give up may be put out as soon as its coordinator has waited for that for a session's time, and another coordinator
                // may have begun to.
                if self.keeps_all(&answer) {
                    self.heard(sent);
                }
                self.world.count(|counts| counts.joins += u64::from(all));
                self.answered(answer).await
            }
            Err(Trouble::Elsewhere) => Tell::All,
            Err(Trouble::Refused(error)) => self.not_known(error).await,
        }
    }

    /// Whether it is told to give up nothing.
    fn keeps_all(&self, answer: &HeartbeatAnswer) -> bool {
        let told = answer.assignment.as_ref().map(flat);
        let kept = |partition: &PartitionId| told.as_ref().is_none_or(|told| told.contains(partition));
        self.positions.keys().chain(&self.unread).all(kept)
    }

    async fn answered(&mut self, answer: HeartbeatAnswer) -> Tell {
        self.generation = answer.epoch;
        let Some(assignment) = answer.assignment else { return Tell::Nothing };
        let new: Vec<PartitionId> = flat(&assignment);
        let before = self.owned();
        if self.chance.happens(0.5) && self.positions.keys().any(|partition| !new.contains(partition)) {
            // Before it gives them up.
            drop(self.commit().await);
            self.done = false;
        }
        self.take(new);
        if before == self.owned() { Tell::Nothing } else { Tell::Owned }
    }

    async fn not_known(&mut self, error: GroupError) -> Tell {
        self.event(format_args!("refused: {error}"));
        match error {
            GroupError::Consumer(Refusal::UnknownMember) | GroupError::NotFound(_) => self.put_out(),
            GroupError::Consumer(Refusal::FencedMemberEpoch { .. }) => self.give_up(),
            _ => {}
        }
        self.generation = 0;
        self.positions.clear();
        self.unread.clear();
        sleep(Duration::from_millis(50)).await;
        Tell::All
    }

    async fn part(&mut self) {
        let (config, name) = (self.world.group_config.clone(), self.group.name);
        let request =
            HeartbeatRequest { member: self.id.clone(), epoch: LEAVE_EPOCH, ..HeartbeatRequest::default() };
        self.leaves();
        let leave = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
            engine.groups().consumer_heartbeat(&config, name, VERSION, request).await
        };
        drop(self.ask(PATIENCE, leave).await);
        self.begin_anew();
    }
}
