//! S7: whatever was written, dropped, loaded and replayed on the way, the state is that of one fold of all entries.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use siltstone_log::{Aborted, Entry, Extent, PartitionId, Position};

use super::generated::{Log, log};
use super::invariants::fold_all;
use super::stored::{Stored, bytes_of, existing};
use crate::shard::{PartitionState, ShardState};

/// What happens between two entries.
#[derive(Debug, Clone)]
enum Event {
    Nothing,
    /// A round begins: remember position and head.
    Begin,
    /// Rows of some of the partitions that the round must write.
    Write {
        some: u8,
    },
    /// The floor moves, if the round is complete.
    Floor,
    /// Partitions are dropped.
    Evict {
        some: u8,
    },
    /// Partitions that aren't there are loaded.
    Load {
        some: u8,
    },
    /// The agent begins anew, with some of the partitions.
    Restart {
        some: u8,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Nothing),
        3 => Just(Event::Begin),
        5 => any::<u8>().prop_map(|some| Event::Write { some }),
        3 => Just(Event::Floor),
        2 => any::<u8>().prop_map(|some| Event::Evict { some }),
        3 => any::<u8>().prop_map(|some| Event::Load { some }),
        1 => any::<u8>().prop_map(|some| Event::Restart { some }),
    ]
}

struct Round {
    position: Position,
    head: Vec<u8>,
    to_write: BTreeSet<PartitionId>,
    deleted: BTreeSet<PartitionId>,
}

/// An agent that folds, checkpoints, drops and loads.
struct Agent<'a> {
    log: &'a Log,
    state: ShardState,
    stored: Stored,
    /// Last changed by which entry.
    dirty: BTreeMap<PartitionId, Position>,
    deleted: BTreeSet<PartitionId>,
    round: Option<Round>,
}

impl<'a> Agent<'a> {
    fn new(log: &'a Log) -> Self {
        let (state, stored) = (super::stored::fresh(), Stored::default());
        Agent { log, state, stored, dirty: BTreeMap::new(), deleted: BTreeSet::new(), round: None }
    }

    fn pick(&self, some: u8) -> BTreeSet<PartitionId> {
        existing(&self.state)
            .into_iter()
            .enumerate()
            .filter(|(n, _)| some >> (n % 8) & 1 == 1)
            .map(|(_, id)| id)
            .collect()
    }

    fn apply(&mut self, position: Position, entry: &Entry) {
        let touched = self.state.apply(position, entry).touched;
        match entry {
            Entry::Append(_)
            | Entry::Trim { .. }
            | Entry::TxnEnd(_)
            | Entry::Erase { .. }
            | Entry::Erased { .. } => {
                self.dirty.extend(touched.into_iter().map(|id| (id, position)));
            }
            Entry::Deleted { .. } => {
                self.dirty.retain(|id, _| !touched.contains(id));
                self.deleted.extend(touched);
            }
            _ => {}
        }
    }

    fn load(&mut self, wanted: &BTreeSet<PartitionId>) {
        let loaded = self.stored.load(self.log, self.state.position(), wanted);
        for (id, partition) in loaded.partitions() {
            if self.state.partition(*id).is_none() {
                self.state.insert(*id, partition.clone());
            }
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Nothing => {}
            Event::Begin => self.begin(),
            Event::Write { some } => self.write(*some),
            Event::Floor => self.floor(),
            Event::Evict { some } => self.pick(*some).into_iter().for_each(|id| self.state.evict(id)),
            Event::Load { some } => self.load(&self.pick(*some)),
            Event::Restart { some } => {
                self.state = self.stored.load(self.log, self.state.position(), &self.pick(*some));
            }
        }
    }

    fn begin(&mut self) {
        if self.round.is_none() {
            let head = self.state.head().encode();
            let to_write = self.dirty.keys().copied().collect();
            let deleted = self.deleted.clone();
            self.round = Some(Round { position: self.state.position(), head, to_write, deleted });
        }
    }

    fn write(&mut self, some: u8) {
        let Some(mut round) = self.round.take() else { return };
        let picked: BTreeSet<_> = round
            .to_write
            .iter()
            .enumerate()
            .filter(|(n, _)| some >> (n % 8) & 1 == 1)
            .map(|(_, id)| *id)
            .collect();
        self.load(&picked);
        for id in &picked {
            round.to_write.remove(id);
            let Some(partition) = self.state.partition(*id) else { continue };
            self.stored.write_row(*id, self.state.position(), partition);
            self.dirty.remove(id);
        }
        self.round = Some(round);
    }

    fn floor(&mut self) {
        let Some(round) = self.round.take_if(|round| round.to_write.is_empty()) else { return };
        for id in &round.deleted {
            self.stored.clear(*id);
            self.deleted.remove(id);
        }
        self.stored.move_floor(round.position, round.head);
        self.state.release(round.position);
    }

    /// All extents of a partition that still count: from its chunk, then from the fold.
    fn extents(&self, id: PartitionId, partition: &PartitionState) -> Vec<Extent> {
        let horizon = self.stored.horizon(id);
        let held = partition.extents().iter().filter(|held| held.position > horizon).map(|held| held.extent);
        let all = self.stored.chunk(id).into_iter().chain(held);
        all.filter(|extent| extent.end() > partition.log_start()).collect()
    }

    /// All aborted transactions that a reader of offset `from` and on could find, in chunks and in the fold.
    fn aborted(&self, id: PartitionId, partition: &PartitionState, from: i64) -> Vec<Aborted> {
        let stored = if partition.has_stored_aborted(from) { self.stored.aborted(id) } else { Vec::new() };
        let mut all: Vec<_> = stored.into_iter().filter(|aborted| aborted.touches(from, i64::MAX)).collect();
        let held = partition.aborted_between(from, i64::MAX);
        let told = all.last().map_or(-1, |last| last.last);
        all.extend(held.filter(|aborted| aborted.last > told));
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn recovery_from_anywhere_gives_the_same_state(
        log in log(60),
        events in vec(event(), 70),
    ) {
        let live = fold_all(&log, |_, _, _| ());
        let mut agent = Agent::new(&log);
        for (n, expected) in log.entries.iter().enumerate() {
            agent.apply(expected.position, &expected.entry);
            agent.event(&events[n % events.len()]);
        }
        let all = existing(&agent.state).into_iter().collect();
        agent.load(&all);
        prop_assert_eq!(agent.state.head().encode(), live.head().encode());
        prop_assert_eq!(
            agent.state.partitions().keys().collect::<Vec<_>>(),
            live.partitions().keys().collect::<Vec<_>>()
        );
        for (id, expected) in live.partitions() {
            let partition = agent.state.partition(*id).expect("loaded");
            prop_assert_eq!(bytes_of(partition), bytes_of(expected), "{:?}", id);
            prop_assert_eq!(partition.digest(), expected.digest());
            let extents: Vec<_> = expected.extents().iter().map(|held| held.extent).collect();
            prop_assert_eq!(agent.extents(*id, partition), extents, "{:?}", id);
            prop_assert!(partition.horizon() <= agent.state.position());
            let aborted: Vec<_> = expected.aborted_between(0, i64::MAX).collect();
            prop_assert_eq!(agent.aborted(*id, partition, partition.log_start()), aborted, "{:?}", id);
            prop_assert_eq!(partition.last_stable(), expected.last_stable());
        }
        // And another agent, from what is stored, has what this one has, byte for byte.
        let other = agent.stored.load(&log, agent.state.position(), &all);
        for (id, partition) in other.partitions() {
            prop_assert_eq!(bytes_of(partition), bytes_of(&live.partitions()[id]));
        }
        prop_assert_eq!(other.head(), live.head());
    }
}
