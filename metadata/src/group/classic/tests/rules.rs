//! One test a rule, in Kafka's words, and random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{ClassicHeadRow, ClassicMemberRow, mix64};

use crate::group::classic::{
    Answer, Change, ClassicGroup, Context, JoinRequest, Joined, Refusal, Settings, State, SyncRequest,
    Synced, Token,
};

const SETTINGS: Settings = Settings {
    key_bytes: 10,
    initial_delay: Duration::ZERO,
    min_session: Duration::from_secs(1),
    max_session: Duration::from_secs(60),
    max_size: 4,
};

/// A group, its rows, and the time.
#[derive(Default)]
struct World {
    group: ClassicGroup,
    settings: Option<Settings>,
    now: Duration,
    token: Token,
    joins: BTreeMap<Token, Result<Joined, Refusal>>,
    syncs: BTreeMap<Token, Result<Synced, Refusal>>,
    head: Option<ClassicHeadRow>,
    rows: BTreeMap<String, ClassicMemberRow>,
}

impl World {
    fn with(settings: Settings) -> Self {
        World { settings: Some(settings), ..World::default() }
    }

    fn act<R>(&mut self, f: impl FnOnce(&mut ClassicGroup, &Context<'_>) -> R) -> R {
        let settings = self.settings.unwrap_or(SETTINGS);
        let cx = Context { now: self.now, wall: 1_000 + self.now.as_millis() as i64, settings: &settings };
        let result = f(&mut self.group, &cx);
        for change in self.group.take_changes() {
            match change {
                Change::Head(head) => self.head = Some(head),
                Change::Member(id, row) => _ = self.rows.insert(id, *row),
                Change::Left(id) => _ = self.rows.remove(&id),
            }
        }
        for answer in self.group.take_answers() {
            match answer {
                Answer::Join(token, result) => assert!(self.joins.insert(token, result).is_none()),
                Answer::Sync(token, result) => assert!(self.syncs.insert(token, result).is_none()),
            }
        }
        result
    }

    fn join(&mut self, request: JoinRequest) -> Token {
        self.token += 1;
        let token = self.token;
        self.act(|group, cx| group.join(cx, token, request));
        token
    }

    fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &str)]) -> Token {
        self.token += 1;
        let token = self.token;
        let assignments = assignments
            .iter()
            .map(|(id, part)| ((*id).to_owned(), Bytes::copy_from_slice(part.as_bytes())))
            .collect();
        let request =
            SyncRequest { member: member.into(), generation, assignments, ..SyncRequest::default() };
        self.act(|group, cx| group.sync(cx, token, request));
        token
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.act(|group, cx| group.expire(cx));
    }

    fn beat(&mut self, member: &str, generation: i32) -> Result<(), Refusal> {
        self.act(|group, cx| group.heartbeat(cx, member, None, generation))
    }

    fn joined(&self, token: Token) -> &Joined {
        self.joins[&token].as_ref().unwrap()
    }

    fn given(&self, token: Token) -> &str {
        std::str::from_utf8(&self.syncs[&token].as_ref().unwrap().assignment).unwrap()
    }

    /// What another agent would load.
    fn reload(&mut self) {
        self.group = ClassicGroup::load(self.head.clone().unwrap(), self.rows.clone());
        self.act(|group, cx| group.start_timers(cx));
    }

    /// A group with these members, stable, each assigned its own name.
    fn stable(members: &[&str]) -> Self {
        let mut world = World::default();
        let tokens: Vec<Token> = members.iter().map(|id| world.join(request("", id))).collect();
        // Every one but the first made the ones before it join again.
        let again: Vec<Token> =
            members[..members.len() - 1].iter().map(|id| world.join(request(id, id))).collect();
        let last = *tokens.last().unwrap();
        let generation = world.joined(last).generation;
        let parts: Vec<(&str, &str)> = members.iter().map(|id| (*id, *id)).collect();
        let leader = world.joined(last).leader.clone();
        for id in members {
            let assignments = if *id == leader { &parts[..] } else { &[] };
            world.sync(id, generation, assignments);
        }
        assert!(again.iter().all(|token| world.joins[token].is_ok()));
        assert_eq!(world.group.state(), State::Stable);
        world
    }
}

fn request(member: &str, id: &str) -> JoinRequest {
    JoinRequest {
        member: member.into(),
        new_id: id.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![
            ("range".into(), Bytes::from_static(b"r")),
            ("sticky".into(), Bytes::from_static(b"s")),
        ],
        ..JoinRequest::default()
    }
}

#[test]
fn members_join_the_leader_assigns_and_all_get_their_parts() {
    let mut world = World::default();
    let a = world.join(request("", "a"));
    assert_eq!((world.joined(a).generation, world.joined(a).leader.as_str()), (1, "a"));
    let b = world.join(request("", "b"));
    assert!(!world.joins.contains_key(&b), "it waits for the first");
    assert_eq!(world.beat("a", 1), Err(Refusal::RebalanceInProgress));
    let a = world.join(request("a", "a"));
    let (first, second) = (world.joined(a).clone(), world.joined(b).clone());
    assert_eq!((first.generation, second.generation), (2, 2));
    let members: Vec<&str> = first.members.iter().map(|(id, _, _)| id.as_str()).collect();
    assert_eq!(members, ["a", "b"]);
    assert!(second.members.is_empty(), "only the leader is told who there is");
    let b = world.sync("b", 2, &[]);
    assert!(!world.syncs.contains_key(&b));
    assert!(world.rows.is_empty(), "an incomplete generation is not in rows");
    let a = world.sync("a", 2, &[("a", "1"), ("b", "2")]);
    assert_eq!((world.given(a), world.given(b)), ("1", "2"));
    assert_eq!(world.rows["b"].assignment, "2");
    assert_eq!(world.head.as_ref().unwrap().generation, 2);
    assert_eq!(world.beat("a", 2), Ok(()));
    assert_eq!(world.beat("a", 1), Err(Refusal::IllegalGeneration));
    assert_eq!(world.beat("c", 2), Err(Refusal::UnknownMember));
}

#[test]
fn new_members_are_told_their_id_first_and_it_expires() {
    let mut world = World::default();
    let first = world.join(JoinRequest { needs_id: true, ..request("", "a") });
    assert_eq!(world.joins[&first], Err(Refusal::MemberIdRequired("a".into())));
    assert!(!world.group.is_idle());
    let a = world.join(JoinRequest { needs_id: true, ..request("a", "") });
    assert!(world.joins[&a].is_ok());
    world.join(JoinRequest { needs_id: true, ..request("", "b") });
    world.pass(Duration::from_secs(10));
    let late = world.join(request("b", ""));
    assert_eq!(world.joins[&late], Err(Refusal::UnknownMember));
}

#[test]
fn an_empty_group_waits_for_more_members_but_not_for_ever() {
    let delay = Duration::from_secs(3);
    let mut world = World::with(Settings { initial_delay: delay, ..SETTINGS });
    let a = world.join(request("", "a"));
    world.pass(Duration::from_secs(2));
    let b = world.join(request("", "b"));
    world.pass(Duration::from_secs(1));
    assert!(world.joins.is_empty(), "somebody came: it waits once more");
    world.pass(delay);
    assert_eq!(world.joined(a).generation, 1);
    assert_eq!(world.joined(b).leader, "a");
}

#[test]
fn silent_members_are_put_out_and_the_others_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    world.pass(Duration::from_secs(6));
    assert_eq!(world.beat("a", 2), Ok(()));
    world.pass(Duration::from_secs(6));
    assert_eq!(world.beat("a", 2), Err(Refusal::RebalanceInProgress));
    assert_eq!(world.beat("b", 2), Err(Refusal::UnknownMember));
    let a = world.join(request("a", "a"));
    assert_eq!((world.joined(a).generation, world.joined(a).members.len()), (3, 1));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.group.state(), State::Empty);
    assert!(world.rows.is_empty() && world.head.as_ref().unwrap().protocol.is_none());
}

#[test]
fn who_does_not_join_again_in_time_is_out_and_who_never_syncs_too() {
    let mut world = World::stable(&["a", "b"]);
    let a = world.join(request("a", "a"));
    // b goes on with its heartbeats only.
    for _ in 0..5 {
        world.pass(Duration::from_secs(6));
        let _ = world.beat("b", 2);
    }
    assert_eq!((world.joined(a).generation, world.joined(a).members.len()), (3, 1));
    for _ in 0..4 {
        world.pass(Duration::from_secs(9));
        let _ = world.beat("a", 3);
    }
    assert_eq!(world.group.state(), State::Empty, "the leader never assigned");
}

#[test]
fn a_follower_that_asks_again_gets_the_same_a_leader_begins_anew() {
    let mut world = World::stable(&["a", "b"]);
    let leader = world.head.clone().unwrap().leader.unwrap();
    let follower = if leader == "a" { "b" } else { "a" };
    let same = world.join(request(follower, ""));
    assert_eq!(world.joined(same).generation, 2);
    let again = world.join(request(&leader, ""));
    assert!(!world.joins.contains_key(&again));
    assert_eq!(world.beat(follower, 2), Err(Refusal::RebalanceInProgress));
}

#[test]
fn static_members_come_back_without_a_rebalance_and_fence_who_they_were() {
    let fixed = |member: &str, id: &str| JoinRequest { instance: Some("i".into()), ..request(member, id) };
    let mut world = World::default();
    let first = world.join(fixed("", "i-1"));
    world.sync("i-1", 1, &[("i-1", "part")]);
    assert_eq!(world.joined(first).generation, 1);
    let second = world.join(JoinRequest { can_skip: true, ..fixed("", "i-2") });
    let joined = world.joined(second).clone();
    assert_eq!((joined.generation, joined.leader.as_str(), joined.skip_assignment), (1, "i-2", true));
    assert_eq!(world.act(|group, cx| group.heartbeat(cx, "i-1", Some("i"), 1)), Err(Refusal::FencedInstance));
    let old_client = world.join(fixed("", "i-3"));
    assert_eq!(world.joined(old_client).leader, "i-2", "so that it does not take itself for the leader");
    let token = world.sync("i-3", 1, &[]);
    assert_eq!(world.given(token), "part");
    assert!(world.rows.contains_key("i-3") && world.rows.len() == 1);
    assert_eq!(world.act(|group, cx| group.leave(cx, "", Some("i"))), Ok(()));
    assert_eq!(world.group.state(), State::Empty);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut world = World::stable(&["a"]);
    let mut refused = |change: fn(&mut JoinRequest)| {
        let mut join = request("", "x");
        change(&mut join);
        let token = world.join(join);
        world.joins[&token].clone().unwrap_err()
    };
    assert_eq!(refused(|join| join.session_timeout_ms = 1), Refusal::InvalidSessionTimeout);
    assert_eq!(refused(|join| join.protocol_type = "connect".into()), Refusal::InconsistentProtocol);
    assert_eq!(
        refused(|join| join.protocols = vec![("other".into(), Bytes::new())]),
        Refusal::InconsistentProtocol
    );
    assert_eq!(refused(|join| join.protocols.clear()), Refusal::InconsistentProtocol);
    assert_eq!(refused(|join| join.member = "nobody".into()), Refusal::UnknownMember);
    let sync = SyncRequest {
        member: "a".into(),
        generation: 1,
        protocol: Some("no".into()),
        ..SyncRequest::default()
    };
    world.act(|group, cx| group.sync(cx, 99, sync));
    assert_eq!(world.syncs[&99], Err(Refusal::InconsistentProtocol));
    let large = |id: &str| {
        let mut join = request("", id);
        join.protocols = vec![("range".into(), vec![1; 2_400_000].into())];
        join
    };
    let mut heavy = World::default();
    let (first, second, third) = (heavy.join(large("a")), heavy.join(large("b")), heavy.join(large("c")));
    assert_eq!(
        heavy.joins.get(&third),
        Some(&Err(Refusal::GroupFull)),
        "the rows would not fit a transaction"
    );
    assert!(
        !matches!(heavy.joins.get(&second), Some(Err(_))) && !matches!(heavy.joins.get(&first), Some(Err(_)))
    );
    let mut full = World::stable(&["a", "b", "c", "d"]);
    let fifth = full.join(request("", "e"));
    assert_eq!(full.joins[&fifth], Err(Refusal::GroupFull));
}

#[test]
fn offsets_are_committed_by_members_of_this_generation_or_where_nobody_is() {
    let mut world = World::stable(&["a", "b"]);
    let mut may = |member: &str, generation| {
        world.act(|group, cx| group.may_commit(cx, member, None, generation, false))
    };
    assert_eq!(may("a", 2), Ok(()));
    assert_eq!(may("a", 1), Err(Refusal::IllegalGeneration));
    assert_eq!(may("c", 2), Err(Refusal::UnknownMember));
    assert_eq!(may("", -1), Err(Refusal::UnknownMember));
    // Who rebalances may still commit what it read; who waits for the leader's assignments may not.
    world.join(request("a", "a"));
    assert_eq!(world.act(|group, cx| group.may_commit(cx, "b", None, 2, false)), Ok(()));
    world.join(request("b", "b"));
    assert_eq!(
        world.act(|group, cx| group.may_commit(cx, "b", None, 3, false)),
        Err(Refusal::RebalanceInProgress)
    );
    let mut empty = World::default();
    assert_eq!(empty.act(|group, cx| group.may_commit(cx, "", None, -1, false)), Ok(()));
}

#[test]
fn another_coordinator_goes_on_from_the_rows() {
    let mut world = World::stable(&["a", "b"]);
    world.join(request("", "c"));
    world.reload();
    assert_eq!(world.group.state(), State::Stable, "the rebalance that had begun is forgotten");
    assert_eq!((world.beat("a", 2), world.beat("b", 2)), (Ok(()), Ok(())));
    let again = world.sync("b", 2, &[]);
    assert_eq!(world.given(again), "b");
    world.pass(Duration::from_secs(9));
    assert_eq!(world.beat("a", 2), Ok(()), "timers began anew");
    let c = world.join(request("", "c"));
    world.join(request("a", ""));
    world.join(request("b", ""));
    assert_eq!(world.joined(c).generation, 3);
}

/// A member as its client sees it.
#[derive(Default)]
struct Client {
    id: String,
    generation: i32,
    owns: BTreeSet<u32>,
    waits: Option<Token>,
    joined: bool,
}

/// Random members over four partitions, with a coordinator that dies now and then. In every generation a partition has one owner, and in
/// the end everybody has a part. (The number of a generation that was never complete may be given out again, as in Kafka.)
#[test]
fn a_partition_has_one_owner_in_every_generation_whatever_happens() {
    for seed in 0..300u64 {
        let mut world = World::default();
        let mut clients: Vec<Client> = (0..4).map(|_| Client::default()).collect();
        let mut owners: BTreeMap<(i32, u32), String> = BTreeMap::new();
        for step in 0..300u64 {
            let chance = mix64(seed << 32 | step);
            if chance.is_multiple_of(29) && world.head.is_some() && step < 90 {
                world.reload();
                clients.iter_mut().for_each(|client| client.waits = None);
            }
            if step < 90 && chance.is_multiple_of(7) {
                world.pass(Duration::from_secs(chance >> 60));
            } else {
                // At last nothing bad happens any more, and whoever went away without a word is given up.
                world.pass(Duration::from_millis(if step < 90 { 100 } else { 1000 }));
            }
            let index = (chance >> 20) as usize % 4;
            if step < 90 && (chance >> 8).is_multiple_of(11) {
                let id = clients[index].id.clone();
                let _ = world.act(|group, cx| group.leave(cx, &id, None));
                clients[index] = Client::default();
                continue;
            }
            let rounds = if step < 90 { 1 } else { 4 };
            for at in 0..rounds {
                drive(
                    &mut world,
                    &mut clients,
                    (index + at) % 4,
                    seed * 1000 + step * 4 + at as u64,
                    &mut owners,
                );
            }
        }
        assert_eq!(world.group.state(), State::Stable, "seed {seed}");
        let owned: BTreeSet<u32> = clients.iter().flat_map(|client| client.owns.iter().copied()).collect();
        assert_eq!(owned.len(), 4, "seed {seed}");
    }
}

/// One client does its next step.
fn drive(
    world: &mut World,
    clients: &mut [Client],
    index: usize,
    unique: u64,
    owners: &mut BTreeMap<(i32, u32), String>,
) {
    let client = &mut clients[index];
    if let Some(token) = client.waits {
        if let Some(result) = world.joins.remove(&token) {
            client.waits = None;
            match result {
                Ok(joined) => {
                    (client.id, client.generation, client.joined) = (joined.member, joined.generation, true);
                    let parts: Vec<(String, Bytes)> = (0..4u8)
                        .filter(|_| !joined.members.is_empty())
                        .fold(BTreeMap::<String, Vec<u8>>::new(), |mut all, part| {
                            let member = &joined.members[usize::from(part) % joined.members.len()].0;
                            all.entry(member.clone()).or_default().push(part);
                            all
                        })
                        .into_iter()
                        .map(|(id, parts)| (id, parts.into()))
                        .collect();
                    world.token += 1;
                    let token = world.token;
                    let sync = SyncRequest {
                        member: client.id.clone(),
                        generation: client.generation,
                        assignments: parts,
                        ..SyncRequest::default()
                    };
                    world.act(|group, cx| group.sync(cx, token, sync));
                    client.waits = Some(token);
                }
                Err(_) => *client = Client::default(),
            }
        } else if let Some(result) = world.syncs.remove(&token) {
            client.waits = None;
            match result {
                Ok(synced) => {
                    client.owns = synced.assignment.iter().map(|part| u32::from(*part)).collect();
                    for part in &client.owns {
                        let owner =
                            owners.entry((client.generation, *part)).or_insert_with(|| client.id.clone());
                        assert_eq!(
                            *owner, client.id,
                            "two owners of {part} in generation {}",
                            client.generation
                        );
                    }
                }
                Err(Refusal::UnknownMember) => *client = Client::default(),
                Err(_) => client.joined = false,
            }
        }
        return;
    }
    let (id, generation) = (client.id.clone(), client.generation);
    match if client.joined { world.beat(&id, generation) } else { Err(Refusal::RebalanceInProgress) } {
        Ok(()) => {}
        Err(Refusal::RebalanceInProgress) => {
            client.owns.clear();
            let token = world.join(request(&id, &format!("m{unique}")));
            clients[index].waits = Some(token);
        }
        Err(_) => *client = Client::default(),
    }
}
