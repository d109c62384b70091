//! Random histories: members of both protocols that join, lag, lose answers, crash, leave and come back; topics that come, grow and go; agents that
//! take over. After every step no partition is claimed by two members that were both told to own it, and epochs have not gone
//! back; in the end, when all are well, every partition is claimed by one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use siltstone_kafka::{ConsumerProtocolAssignment, versioned};
use siltstone_log::TopicId;

use super::classic::classic;
use super::kit::*;
use crate::group::consumer::*;

const NAMES: [&str; 3] = ["a", "b", "c"];
const SLOTS: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    /// A client starts, if it is not there.
    Start(usize, u8),
    Beat(usize),
    /// The server takes the heartbeat in; the answer is lost.
    BeatInVain(usize),
    /// The client gives up and takes on what it was told to.
    Work(usize),
    Subscribe(usize, u8),
    Leave(usize),
    Crash(usize),
    Pass(u64),
    FailOver,
    Grow(usize, u32),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..SLOTS;
    prop_oneof![
        4 => (slot.clone(), 1_u8..8).prop_map(|(slot, wants)| Step::Start(slot, wants)),
        10 => slot.clone().prop_map(Step::Beat),
        2 => slot.clone().prop_map(Step::BeatInVain),
        8 => slot.clone().prop_map(Step::Work),
        1 => (slot.clone(), 0_u8..8).prop_map(|(slot, wants)| Step::Subscribe(slot, wants)),
        1 => slot.clone().prop_map(Step::Leave),
        1 => slot.prop_map(Step::Crash),
        3 => (0_u64..20_000).prop_map(Step::Pass),
        1 => Just(Step::FailOver),
        1 => (0..NAMES.len(), 1_u32..8).prop_map(|(topic, partitions)| Step::Grow(topic, partitions)),
        1 => (0..NAMES.len()).prop_map(Step::Remove),
    ]
}

/// A client's own view.
#[derive(Debug, Clone, Default)]
struct Process {
    id: String,
    wants: u8,
    epoch: i32,
    owned: Partitions,
    told: Option<Partitions>,
    report: bool,
    resubscribe: bool,
    full: bool,
    /// Of the classic protocol: it has to join, then to sync.
    rejoin: bool,
}

struct World {
    kit: Kit,
    processes: BTreeMap<usize, Process>,
    started: usize,
    highest: i32,
    epochs: BTreeMap<String, i32>,
}

/// The last slot speaks the classic protocol, the two before are static members, one subscribes with a pattern.
fn is_classic(slot: usize) -> bool {
    slot == SLOTS - 1
}

fn instance(slot: usize) -> Option<String> {
    (slot == SLOTS - 2 || slot == SLOTS - 3).then(|| format!("i{slot}"))
}

fn wanted(wants: u8) -> Vec<&'static str> {
    NAMES.iter().enumerate().filter(|(at, _)| wants & (1 << at) != 0).map(|(_, name)| *name).collect()
}

impl World {
    fn new() -> Self {
        let mut kit = Kit::new(&[("a", 5), ("b", 3)]);
        // Conversions are tested by themselves.
        kit.settings.downgrade = false;
        World { kit, processes: BTreeMap::new(), started: 0, highest: 0, epochs: BTreeMap::new() }
    }

    fn subscribe(slot: usize, process: &Process, request: &mut HeartbeatRequest) {
        let names = wanted(process.wants);
        if slot == 0 {
            request.regex = Some(names.join("|"));
            request.topics = None;
        } else {
            request.topics = Some(names.into_iter().map(str::to_owned).collect());
        }
    }

    fn request(slot: usize, process: &mut Process) -> HeartbeatRequest {
        let owned = (process.report || process.epoch == 0).then(|| process.owned.clone());
        let mut request = beat(&process.id, process.epoch, owned.as_ref());
        request.instance = instance(slot);
        // It tells all, or its subscription alone if that is new, or nothing.
        if process.epoch == 0 || std::mem::take(&mut process.full) {
            request.rebalance_timeout_ms = Some(10_000);
        }
        let full = request.rebalance_timeout_ms.is_some();
        if std::mem::take(&mut process.resubscribe) || full {
            Self::subscribe(slot, process, &mut request);
        }
        request
    }

    /// Heartbeats; an answer that is not heard is lost.
    fn beat(&mut self, slot: usize, heard: bool) {
        if self.processes.get(&slot).is_some_and(|process| process.report || is_classic(slot)) {
            // A report is of all that it was told to own: else the server takes what it is about to take on for given up.
            self.work(slot);
        }
        let Some(mut process) = self.processes.remove(&slot) else { return };
        let kept = if is_classic(slot) {
            self.beat_classic(&mut process, heard)
        } else {
            let request = Self::request(slot, &mut process);
            let answer = self.kit.send(&request);
            if heard {
                Self::hear(&mut process, answer)
            } else {
                // After an error of the network it tells all again.
                process.report = true;
                process.full = true;
                true
            }
        };
        if kept {
            self.processes.insert(slot, process);
        }
    }

    fn hear(process: &mut Process, answer: Result<HeartbeatAnswer, Refusal>) -> bool {
        match answer {
            Ok(answer) => {
                process.epoch = answer.epoch;
                process.report = false;
                if let Some(told) = answer.assignment {
                    process.told = Some(told);
                }
                true
            }
            Err(Refusal::FencedMemberEpoch { .. } | Refusal::UnknownMember) => {
                let Process { id, wants, .. } = std::mem::take(process);
                *process = Process { id, wants, ..Process::default() };
                true
            }
            Err(Refusal::UnreleasedInstance(_) | Refusal::FencedInstance) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn beat_classic(&mut self, process: &mut Process, heard: bool) -> bool {
        if !process.rejoin && process.epoch > 0 {
            let beat = ClassicBeat { member: process.id.clone(), generation: process.epoch, instance: None };
            let result = self.kit.with(|group, cx| group.classic_heartbeat(cx, &beat));
            process.rejoin |= heard && result == Err(Refusal::RebalanceInProgress);
            return !heard || matches!(result, Ok(()) | Err(Refusal::RebalanceInProgress));
        }
        let names = |id: &TopicId| {
            self.kit.topics.state.by_id(*id).map_or("gone".to_owned(), |topic| topic.name.clone())
        };
        let owned: Vec<(String, Vec<i32>)> = process
            .owned
            .iter()
            .map(|(id, some)| (names(id), some.iter().map(|index| *index as i32).collect()))
            .collect();
        let owned: Vec<(&str, &[i32])> =
            owned.iter().map(|(name, some)| (name.as_str(), some.as_slice())).collect();
        let join = classic(&process.id, &wanted(process.wants), &owned);
        let Ok(joined) = self.kit.with(|group, cx| group.classic_join(cx, &join)) else { return false };
        if !heard {
            return true;
        }
        process.epoch = joined.generation;
        let sync =
            ClassicSync { member: process.id.clone(), generation: process.epoch, ..ClassicSync::default() };
        match self.kit.with(|group, cx| group.classic_sync(cx, &sync)) {
            Ok(synced) => {
                let (_, message) =
                    versioned::decode::<ConsumerProtocolAssignment>(&synced.assignment).unwrap();
                let id = |name: &str| self.kit.topics.state.topic(name).map(|topic| topic.id).unwrap();
                let each = message.assigned_partitions.into_iter();
                let told = each
                    .map(|topic| (id(&topic.topic), topic.partitions.iter().map(|p| *p as u32).collect()));
                process.told = Some(told.collect());
                process.rejoin = false;
                true
            }
            Err(error) => error == Refusal::RebalanceInProgress,
        }
    }

    fn start(&mut self, slot: usize, wants: u8) {
        self.started += 1;
        let id = format!("m{}", self.started);
        self.processes.entry(slot).or_insert(Process { id, wants, ..Process::default() });
    }

    fn leave(&mut self, slot: usize) {
        let Some(process) = self.processes.remove(&slot) else { return };
        if is_classic(slot) {
            let leaver = Leaver { member: process.id, instance: None };
            self.kit.with(|group, cx| group.leave(cx, &[leaver]));
            return;
        }
        let epoch = if instance(slot).is_some() { AWAY_EPOCH } else { LEAVE_EPOCH };
        let request = HeartbeatRequest { instance: instance(slot), ..beat(&process.id, epoch, None) };
        // It may be fenced already, and is gone all the same.
        let _ = self.kit.send(&request);
    }

    fn work(&mut self, slot: usize) {
        let Some(process) = self.processes.get_mut(&slot) else { return };
        let Some(told) = process.told.take() else { return };
        if is_classic(slot) {
            let lost = process.owned.iter().any(|(topic, some)| {
                some.iter().any(|index| told.get(topic).is_none_or(|told| !told.contains(index)))
            });
            process.rejoin |= lost;
        }
        process.report |= told != process.owned;
        process.owned = told;
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Start(slot, wants) => self.start(*slot, *wants),
            Step::Beat(slot) => self.beat(*slot, true),
            Step::BeatInVain(slot) => self.beat(*slot, false),
            Step::Work(slot) => self.work(*slot),
            Step::Subscribe(slot, wants) => {
                if let Some(process) = self.processes.get_mut(slot) {
                    (process.wants, process.resubscribe, process.rejoin) = (*wants, true, true);
                }
            }
            Step::Leave(slot) => self.leave(*slot),
            Step::Crash(slot) => drop(self.processes.remove(slot)),
            Step::Pass(millis) => drop(self.kit.pass(ms(*millis))),
            Step::FailOver => self.kit.fail_over(),
            Step::Grow(topic, partitions) => {
                let name = NAMES[*topic];
                let old = self.kit.topics.state.topic(name).map_or(0, |topic| topic.partitions);
                self.kit.topics.put(name, old.max(*partitions));
            }
            Step::Remove(topic) => self.kit.topics.remove(NAMES[*topic]),
        }
        self.check();
    }

    /// What a process owns or was told to own, while it is a member: one that was put out learns so at its next heartbeat, as in Kafka.
    fn claims(&self) -> Vec<(&str, BTreeSet<(TopicId, u32)>)> {
        let members = self.processes.values().filter(|process| self.kit.group.has_member(&process.id));
        members
            .map(|process| {
                let all = process.owned.iter().chain(process.told.iter().flatten());
                let pairs = all.flat_map(|(topic, some)| some.iter().map(|index| (*topic, *index)));
                (process.id.as_str(), pairs.collect())
            })
            .collect()
    }

    fn check(&mut self) {
        let claims = self.claims();
        for (at, (one, first)) in claims.iter().enumerate() {
            for (other, second) in &claims[at + 1..] {
                let both: Vec<_> = first.intersection(second).collect();
                assert!(both.is_empty(), "{one} and {other} both own {both:?}: {:#?}", self.kit.view());
            }
        }
        let view = self.kit.view();
        assert!(view.epoch >= self.highest && view.assignment_epoch <= view.epoch);
        self.highest = view.epoch;
        for member in view.members.iter().filter(|member| member.epoch > 0) {
            let before = self.epochs.insert(member.member.clone(), member.epoch).unwrap_or(0);
            assert!(before <= member.epoch, "{} goes back from {before} to {}", member.member, member.epoch);
            assert!(member.epoch <= view.assignment_epoch);
        }
    }

    /// Faults end; all must come to own what they shall.
    fn heal(&mut self) {
        for _ in 0..100 {
            for slot in 0..SLOTS {
                self.beat(slot, true);
                self.work(slot);
                self.check();
            }
            self.kit.pass(ms(1_000));
            self.check();
        }
        let mut owned: BTreeMap<(TopicId, u32), usize> = BTreeMap::new();
        for (_, claims) in self.claims() {
            claims.into_iter().for_each(|partition| *owned.entry(partition).or_default() += 1);
        }
        let live = self.processes.iter().filter(|(_, process)| self.kit.group.has_member(&process.id));
        let wanted: BTreeSet<&str> = live.flat_map(|(_, process)| wanted(process.wants)).collect();
        let topics = wanted.iter().filter_map(|name| self.kit.topics.state.topic(name));
        let all = topics.flat_map(|topic| (0..topic.partitions).map(|index| ((topic.id, index), 1)));
        assert_eq!(owned, all.collect(), "{:#?}", self.kit.view());
        let view = self.kit.view();
        assert!(matches!(view.state, GroupState::Stable | GroupState::Empty), "{view:#?}");
        assert_eq!(view.members.len(), self.processes.len());
        assert!(view.members.iter().all(|member| member.assigned == member.target));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_owner_at_a_time_and_all_owned_in_the_end(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.run(step));
        world.heal();
    }
}
