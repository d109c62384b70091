//! Members of groups: they join, heartbeat, commit, leave, are silent for a while and then go on as if nothing had been, or vanish.

mod classic;
mod consumer;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use siltstone_agent::engine::Engine;
use siltstone_agent::group::{GroupError, NewOffset, OffsetCommitter};
use siltstone_log::{OffsetRow, PartitionId};
use siltstone_store::memory::Chance;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{at_work, some_agent};
use crate::sim::invariants::groups;
use crate::sim::setup;
use crate::sim::world::World;

/// Members of each group.
const MEMBERS: u64 = 3;
/// A member gives up on an answer that should come at once.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Which protocols the members of a group speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Speaks {
    Classic,
    Consumer,
    /// Some one, some the other: the group moves between them.
    Both,
}

/// A group of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct Group {
    pub(in crate::sim) name: &'static str,
    pub(in crate::sim) speaks: Speaks,
}

/// Starts all members.
pub(super) fn spawn(world: &Rc<World>, tasks: &mut JoinSet<()>) {
    for (index, group) in world.plan_of_groups().into_iter().enumerate() {
        for number in 0..MEMBERS {
            let part = 600 + 10 * index as u64 + number;
            let member = Member::new(world, group, part);
            let classic = match group.speaks {
                Speaks::Classic => true,
                Speaks::Consumer => false,
                Speaks::Both => number == 0,
            };
            if classic {
                at_work(world, tasks, classic::run(member));
            } else {
                at_work(world, tasks, consumer::run(member));
            }
        }
    }
}

/// Why a member has no answer that it can use.
enum Trouble {
    /// Ask elsewhere. What was asked may be done or not.
    Elsewhere,
    /// The coordinator says no.
    Refused(GroupError),
}

/// What both kinds of members have.
struct Member {
    world: Rc<World>,
    group: Group,
    number: u64,
    chance: Chance,
    agent: usize,
    id: String,
    /// Its generation or epoch.
    generation: i32,
    /// What it has, with the next offset that it will commit.
    positions: BTreeMap<PartitionId, i64>,
    /// What it has and does not know the offset of.
    unread: Vec<PartitionId>,
    /// It has committed all that it has, after the storm.
    done: bool,
}

impl Member {
    fn new(world: &Rc<World>, group: Group, number: u64) -> Self {
        let mut chance = world.chance(number);
        Member {
            group,
            number,
            agent: some_agent(world, &mut chance),
            chance,
            world: world.clone(),
            id: String::new(),
            generation: -1,
            positions: BTreeMap::new(),
            unread: Vec::new(),
            done: false,
        }
    }

    /// Asks the agent that is thought to be the coordinator.
    async fn ask<T>(
        &mut self,
        limit: Duration,
        ask: impl AsyncFnOnce(Arc<Engine>) -> Result<T, GroupError>,
    ) -> Result<T, Trouble> {
        let world = self.world.clone();
        let trouble = match world.agents[self.agent].call(limit, ask).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(GroupError::NotCoordinator | GroupError::Unavailable(_))) | Err(_) => Trouble::Elsewhere,
            Ok(Err(error)) => Trouble::Refused(error),
        };
        if matches!(trouble, Trouble::Elsewhere) {
            self.agent = (self.agent + 1) % world.agents.len();
            sleep(Duration::from_millis(30 + self.chance.below(60))).await;
        }
        Err(trouble)
    }

    fn event(&self, what: std::fmt::Arguments<'_>) {
        self.world.event(format_args!("member {} of {}: {what}", self.number, self.group.name));
    }

    /// It was told that the group does not know it.
    fn put_out(&mut self) {
        self.event(format_args!("{} is put out", self.id));
        self.world.count(|counts| counts.put_out += 1);
        self.give_up();
    }

    /// What it sent at `sent` was answered as by a group at rest.
    fn heard(&self, sent: Duration) {
        let by = self.world.agents[self.agent].engine().map(|engine| engine.registration().id);
        groups::heard(&self.world, self.group, &self.id, sent, by);
    }

    fn leaves(&self) {
        self.event(format_args!("{} leaves", self.id));
        groups::leaves(&self.world, self.group, &self.id);
    }

    /// It has nothing any more.
    fn give_up(&mut self) {
        self.positions.clear();
        self.unread.clear();
    }

    /// It was told what it has.
    fn take(&mut self, partitions: Vec<PartitionId>) {
        self.event(format_args!("{} has {partitions:?} in {}", self.id, self.generation));
        let told =
            groups::told(&self.world, self.group, self.generation, &self.id, partitions.iter().copied());
        self.world.check(told);
        self.positions.retain(|partition, _| partitions.contains(partition));
        self.unread = partitions.into_iter().filter(|new| !self.positions.contains_key(new)).collect();
    }

    /// Reads where others left off, through any agent.
    async fn read(&mut self) {
        if self.unread.is_empty() {
            return;
        }
        let world = self.world.clone();
        let (agent, name) = (some_agent(&world, &mut self.chance), self.group.name);
        let known = |partition| world.groups.borrow().get(name).map_or(0, |known| known.promised(partition));
        let least: Vec<i64> = self.unread.iter().map(|partition| known(*partition)).collect();
        let unread = self.unread.clone();
        let ask = async |engine: Arc<Engine>| engine.groups().committed(name, &unread, false).await;
        let Ok(Ok(answer)) = world.agents[agent].call(PATIENCE, ask).await else { return };
        for (offset, least) in answer.into_iter().zip(least) {
            let found = offset.row.map_or(0, |row| row.offset);
            self.event(format_args!("{:?} is at {found}", offset.partition));
            self.world.check(groups::found(offset.partition, least, found));
            self.positions.insert(offset.partition, found);
        }
        self.unread.clear();
    }

    /// Commits all that it has, further than before; now and then it does not wait for the answer before it goes on.
    async fn commit(&mut self) -> Result<(), Trouble> {
        if self.world.storming.get() && self.chance.below(6) == 0 {
            let agent = self.agent;
            let limit = Duration::from_millis(self.chance.below(40));
            let impatient = self.commit_within(limit).await;
            // It comes back over another connection.
            self.agent = agent;
            if impatient.is_err() && self.chance.happens(0.5) {
                return impatient;
            }
        }
        self.commit_within(PATIENCE).await
    }

    async fn commit_within(&mut self, limit: Duration) -> Result<(), Trouble> {
        for position in self.positions.values_mut() {
            *position += 1 + self.chance.below(3) as i64;
        }
        let now = self.world.agents[self.agent].ambient.clock.now();
        let row = |offset| OffsetRow { offset, leader_epoch: 0, committed: now, ..OffsetRow::default() };
        let offset = |(partition, offset): (&PartitionId, &i64)| NewOffset {
            partition: *partition,
            row: row(*offset),
        };
        let offsets: Vec<NewOffset> = self.positions.iter().map(offset).collect();
        let who = OffsetCommitter {
            member: self.id.clone(),
            instance: None,
            generation: self.generation,
            version: 9,
        };
        let (config, name, sent) = (self.world.group_config.clone(), self.group.name, self.positions.clone());
        let healing = !self.world.storming.get();
        self.ask(limit, async |engine| engine.groups().commit(&config, name, who, offsets).await).await?;
        self.event(format_args!("{} commits {sent:?}", self.id));
        self.world.count(|counts| counts.commits += sent.len() as u64);
        for (partition, offset) in sent {
            self.world.check(groups::committed(&self.world, self.group, partition, offset));
        }
        self.done = healing && self.unread.is_empty();
        Ok(())
    }

    /// Between heartbeats. Now and then the member is silent for long and does not know it; `true`: it has vanished.
    async fn rest(&mut self) -> bool {
        sleep(Duration::from_millis(100 + self.chance.below(300))).await;
        if !self.world.storming.get() {
            return false;
        }
        match self.chance.below(60) {
            0 => {
                self.event(format_args!("vanishes"));
                sleep(Duration::from_millis(self.chance.below(4000))).await;
                true
            }
            1 => {
                self.event(format_args!("is silent"));
                sleep(setup::SESSION / 2 + Duration::from_millis(self.chance.below(8000))).await;
                false
            }
            _ => false,
        }
    }
}
