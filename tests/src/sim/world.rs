//! All that a run consists of.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use siltstone_configs::BrokerConfig;
use siltstone_log::{PartitionId, TopicId, TopicRow, mix64};
use siltstone_objects::testing::FaultyStore;
use siltstone_store::memory::{Chance, Faults, MemoryStore};
use tokio::time::Instant;

use super::agent::Agent;
use super::clients::members::{Group, Speaks};
use super::compactor::Place;
use super::invariants::{Seen, Violation, groups};
use super::oracle::{Clocks, Oracle};
use super::trace::{Counts, Trace};
use super::{Plan, Report, setup};

/// The run.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) shards: u16,
    /// A handle without faults.
    pub(super) store: MemoryStore,
    pub(super) bucket: Arc<FaultyStore>,
    pub(super) agents: Vec<Agent>,
    pub(super) compactors: Vec<Place>,
    pub(super) oracle: RefCell<Oracle>,
    /// What the invariants remember from step to step.
    pub(super) seen: RefCell<Seen>,
    pub(super) counts: RefCell<Counts>,
    /// Faults may happen, and clients think of new things to do.
    pub(super) storming: Cell<bool>,
    pub(super) faults_on: Cell<u32>,
    pub(super) clients_at_work: Cell<usize>,
    /// A compactor has just stored a segment that is not announced, and is slow from now on.
    pub(super) rewriting: Cell<bool>,
    /// By group.
    pub(super) groups: RefCell<BTreeMap<&'static str, groups::Known>>,
    pub(super) group_config: Arc<BrokerConfig>,
    /// The topic that groups read, once it is there.
    pub(super) grouped: Cell<Option<TopicId>>,
    partitions: RefCell<BTreeSet<PartitionId>>,
    /// Topics that clients know or knew, by name.
    names: RefCell<BTreeMap<TopicId, String>>,
    /// Topics that somebody has asked to be deleted, and whether he was told that they are.
    deletions: RefCell<BTreeMap<TopicId, bool>>,
    numbers: Cell<u64>,
    trace: RefCell<Trace>,
    violation: RefCell<Option<Violation>>,
    started: Instant,
}

impl World {
    pub(super) fn new(plan: &Plan) -> Rc<World> {
        let seed = plan.seed;
        let mut chance = Chance::new(mix64(seed));
        let shards = 1 + chance.below(3) as u16;
        let agents = 2 + chance.below(3) as usize;
        let store = MemoryStore::new(chance.any(), Faults::none());
        let bucket = Arc::new(FaultyStore::new(chance.any()));
        let compactors = 1 + chance.below(3);
        let compactors: Vec<_> = (0..compactors).map(|_| Place::new(&store, &bucket, &mut chance)).collect();
        let agents = (0..agents)
            .map(|index| Agent::new(index, (shards, seed), &store, &bucket, &mut chance))
            .collect();
        let ahead = || compactors.iter().map(Place::ahead);
        let clocks = Clocks {
            started: Instant::now(),
            least_ahead: ahead().min().unwrap_or(0),
            most_ahead: ahead().max().unwrap_or(0),
        };
        Rc::new(World {
            seed,
            shards,
            oracle: RefCell::new(Oracle::new(store.clone(), bucket.clone(), shards, clocks)),
            store,
            bucket,
            agents,
            compactors,
            seen: RefCell::default(),
            counts: RefCell::default(),
            storming: Cell::new(true),
            faults_on: Cell::new(0),
            clients_at_work: Cell::new(0),
            rewriting: Cell::new(false),
            groups: RefCell::default(),
            group_config: Arc::new(setup::group_config()),
            grouped: Cell::new(None),
            partitions: RefCell::default(),
            names: RefCell::default(),
            deletions: RefCell::default(),
            numbers: Cell::new(0),
            trace: RefCell::new(Trace::new(seed, plan.loud)),
            violation: RefCell::default(),
            started: Instant::now(),
        })
    }

    /// Chance for one part of the run.
    pub(super) fn chance(&self, part: u64) -> Chance {
        Chance::new(mix64(self.seed ^ mix64(part)))
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A number that nobody else has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub(super) fn event(&self, event: fmt::Arguments<'_>) {
        self.trace.borrow_mut().event(self.elapsed(), event);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.borrow_mut());
    }

    /// Notes that an invariant does not hold. The first one counts.
    pub(super) fn violated(&self, violation: Violation) {
        self.event(format_args!("VIOLATION {violation}"));
        self.violation.borrow_mut().get_or_insert(violation);
    }

    /// Takes the result of a check.
    pub(super) fn check(&self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violated(violation);
        }
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        self.violation.borrow().clone()
    }

    /// Tells clients of a topic's partitions.
    pub(super) fn learn(&self, topic: &TopicRow) {
        let ids = (0..topic.partitions).map(|index| PartitionId { topic: topic.id, index });
        self.partitions.borrow_mut().extend(ids);
        self.names.borrow_mut().insert(topic.id, topic.name.clone());
        self.oracle.borrow_mut().learn(topic);
    }

    /// The name of a topic that clients know or knew.
    pub(super) fn name_of(&self, topic: TopicId) -> Option<String> {
        self.names.borrow().get(&topic).cloned()
    }

    /// Somebody is about to delete a topic.
    pub(super) fn ask_to_delete(&self, topic: TopicId) {
        self.deletions.borrow_mut().entry(topic).or_insert(false);
    }

    /// Somebody was told that a topic is deleted.
    pub(super) fn tell_deleted(&self, topic: TopicId) {
        self.deletions.borrow_mut().insert(topic, true);
    }

    /// Whether somebody was told that it is deleted.
    pub(super) fn is_deleted(&self, topic: TopicId) -> bool {
        self.deletions.borrow().get(&topic) == Some(&true)
    }

    /// Whether somebody asked for it to be deleted.
    pub(super) fn may_be_deleted(&self, topic: TopicId) -> bool {
        self.deletions.borrow().contains_key(&topic)
    }

    /// Topics that are asked to be deleted; those only of which nobody was told that they are, or all.
    pub(super) fn deletions(&self, all: bool) -> Vec<TopicId> {
        let deletions = self.deletions.borrow();
        deletions.iter().filter(|(_, told)| all || !**told).map(|(topic, _)| *topic).collect()
    }

    /// Clients leave a topic alone that is deleted.
    pub(super) fn forget(&self, topic: TopicId) {
        self.partitions.borrow_mut().retain(|id| id.topic != topic);
    }

    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.borrow().iter().copied().collect()
    }

    /// Of the topic that groups read.
    pub(super) fn grouped_partitions(&self) -> Vec<PartitionId> {
        let topic = self.grouped.get();
        self.partitions.borrow().iter().filter(|id| Some(id.topic) == topic).copied().collect()
    }

    /// The groups of this run.
    pub(super) fn plan_of_groups(&self) -> Vec<Group> {
        let classic = Group { name: "classic", speaks: Speaks::Classic };
        let consumer = Group { name: "consumer", speaks: Speaks::Consumer };
        let both = Group { name: "both", speaks: Speaks::Both };
        match self.seed % 3 {
            0 => vec![classic, consumer],
            1 => vec![classic, both],
            _ => vec![consumer],
        }
    }

    pub(super) fn some_partition(&self, chance: &mut Chance) -> PartitionId {
        let all = self.partitions();
        all[chance.below(all.len() as u64) as usize]
    }

    /// One of a topic that is compacted by key, if there is any.
    pub(super) fn some_keyed_partition(&self, chance: &mut Chance) -> Option<PartitionId> {
        let oracle = self.oracle.borrow();
        let keyed = |id: &PartitionId| oracle.keyed.contains_key(&id.topic);
        let all: Vec<PartitionId> = self.partitions().into_iter().filter(keyed).collect();
        all.get(chance.below(all.len().max(1) as u64) as usize).copied()
    }

    pub(super) fn report(&self, seed: u64) -> Report {
        self.count(|counts| counts.millis = self.elapsed().as_millis() as u64);
        let (violation, trace) = (self.violation(), self.trace.borrow().hash());
        Report { seed, violation, trace, counts: *self.counts.borrow() }
    }

    /// Ends everything, so that nothing refers to anything in a circle.
    pub(super) fn end(&self) {
        self.agents.iter().for_each(Agent::kill);
    }
}
