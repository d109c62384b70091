//! Epochs, fencing, static members, time-outs, reconciliation.

use siltstone_log::PartitionId;

use super::kit::*;
use crate::group::consumer::assign::Assignor;
use crate::group::consumer::*;

fn check(request: &HeartbeatRequest, version: i16) -> Result<(), Refusal> {
    request.check(version, &Settings::default())
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let invalid = |request: HeartbeatRequest, version, text: &str| {
        assert_eq!(check(&request, version).unwrap_err().to_string(), text);
    };
    invalid(join("", &["a"]), 1, "MemberId can't be empty.");
    invalid(beat("", 5, None), 0, "MemberId can't be empty.");
    invalid(
        HeartbeatRequest { instance: Some(String::new()), ..join("m", &[]) },
        1,
        "InstanceId can't be empty.",
    );
    invalid(HeartbeatRequest { rack: Some(String::new()), ..join("m", &[]) }, 1, "RackId can't be empty.");
    let without = HeartbeatRequest { rebalance_timeout_ms: None, ..join("m", &["a"]) };
    invalid(without, 1, "RebalanceTimeoutMs must be provided in first request.");
    for owned in [None, Some(parts(&[("a", &[0])]))] {
        invalid(
            HeartbeatRequest { owned, ..join("m", &["a"]) },
            1,
            "TopicPartitions must be empty when (re-)joining.",
        );
    }
    let without = HeartbeatRequest { topics: None, ..join("m", &["a"]) };
    invalid(
        without.clone(),
        1,
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
    );
    assert_eq!(check(&HeartbeatRequest { regex: Some("a".into()), ..without }, 1), Ok(()));
    invalid(beat("m", -2, None), 1, "InstanceId can't be null.");
    invalid(beat("m", -3, None), 1, "MemberEpoch is invalid.");
    let odd = HeartbeatRequest { assignor: Some("odd".into()), ..join("m", &["a"]) };
    let refused = check(&odd, 1);
    assert_eq!(refused, Err(Refusal::UnsupportedAssignor("odd".into(), "uniform, range".into())));
    assert_eq!(check(&join("", &["a"]), 0), Ok(()), "the id is drawn by the server in version 0");
    assert_eq!(check(&join("m", &[]), 1), Ok(()), "no topics are topics");
}

#[test]
fn the_first_member_gets_all_at_once() {
    let mut kit = Kit::new(&[("a", 3)]);
    let answer = kit.join("m1", &["a"]);
    let all = parts(&[("a", &[0, 1, 2])]);
    assert_eq!(
        answer,
        HeartbeatAnswer { member: "m1".into(), epoch: 1, interval_ms: 1000, assignment: Some(all.clone()) }
    );
    assert_eq!(kit.group.state(), GroupState::Stable);
    let answer = kit.send(&beat("m1", 1, Some(&all))).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (1, None), "nothing new");
    let full = HeartbeatRequest {
        rebalance_timeout_ms: Some(10_000),
        topics: Some(vec!["a".into()]),
        ..beat("m1", 1, Some(&all))
    };
    assert_eq!(kit.send(&full).unwrap().assignment, Some(all), "who tells all is told all");
}

#[test]
fn partitions_are_given_up_before_they_are_given() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.join("m1", &["a"]);
    let answer = kit.join("m2", &["a"]);
    assert_eq!((answer.epoch, answer.assignment), (2, Some(parts(&[]))), "its partition is not free");
    assert_eq!(kit.group.state(), GroupState::Reconciling);
    let both = parts(&[("a", &[0, 1])]);
    let answer = kit.send(&beat("m1", 1, Some(&both))).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (1, Some(parts(&[("a", &[0])]))), "it stays in its epoch");
    assert_eq!(kit.send(&beat("m2", 2, None)).unwrap().assignment, None);
    assert_eq!(kit.send(&beat("m1", 1, None)).unwrap().epoch, 1, "it does not say that it gave anything up");
    let answer = kit.send(&beat("m1", 1, Some(&parts(&[("a", &[0])])))).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (2, None));
    let answer = kit.send(&beat("m2", 2, None)).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (2, Some(parts(&[("a", &[1])]))));
    assert_eq!(kit.group.state(), GroupState::Stable);
}

#[test]
fn members_ask_sooner_while_the_group_changes() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.join("m1", &["a"]);
    kit.now += ms(4_999);
    assert_eq!(kit.send(&beat("m1", 1, None)).unwrap().interval_ms, 1000);
    kit.now += ms(1);
    assert_eq!(kit.send(&beat("m1", 1, None)).unwrap().interval_ms, 5000, "nobody has come for a while");
    assert_eq!(kit.join("m2", &["a"]).interval_ms, 1000);
    assert_eq!(kit.send(&beat("m1", 1, None)).unwrap().interval_ms, 1000);
    kit.now += ms(5_000);
    assert_eq!(kit.send(&beat("m1", 1, None)).unwrap().interval_ms, 5000, "it takes its time");
    assert_eq!(kit.send(&beat("m2", 2, None)).unwrap().interval_ms, 1000, "it waits");
    kit.send(&beat("m1", 1, Some(&parts(&[("a", &[0])])))).unwrap();
    assert_eq!(kit.send(&beat("m2", 2, None)).unwrap().interval_ms, 5000);
    kit.fail_over();
    assert_eq!(
        kit.send(&beat("m2", 2, None)).unwrap().interval_ms,
        5000,
        "a new coordinator knows of no change"
    );
}

#[test]
fn epochs_that_are_not_the_members_are_fenced() {
    let mut kit = Kit::new(&[("a", 4)]);
    let mut m1 = Client::join(&mut kit, &join("m1", &["a"]));
    let mut m2 = Client::join(&mut kit, &join("m2", &["a"]));
    settle(&mut kit, &mut [&mut m1, &mut m2]);
    assert_eq!((m1.epoch, m1.count(), m2.count()), (2, 2, 2));
    let refused = kit.send(&beat("m1", 3, None));
    assert_eq!(refused, Err(Refusal::FencedMemberEpoch { received: 3, expected: 2 }));
    assert_eq!(kit.send(&beat("m1", 1, Some(&m1.owned))).unwrap().epoch, 2, "the answer may have been lost");
    let fenced = Refusal::FencedMemberEpoch { received: 1, expected: 2 };
    assert_eq!(kit.send(&beat("m1", 1, None)), Err(fenced.clone()));
    assert_eq!(kit.send(&beat("m1", 1, Some(&m2.owned))), Err(fenced), "it owns what is not its own");
    assert_eq!(kit.send(&beat("m3", 2, None)), Err(Refusal::UnknownMember));
}

#[test]
fn a_member_that_was_fenced_joins_again_under_its_id() {
    let mut kit = Kit::new(&[("a", 2)]);
    let mut m1 = Client::join(&mut kit, &join("m1", &["a"]));
    let mut m2 = Client::join(&mut kit, &join("m2", &["a"]));
    settle(&mut kit, &mut [&mut m1, &mut m2]);
    let epoch = kit.view().epoch;
    let answer = kit.send(&join("m1", &["a"])).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (epoch, Some(m1.owned)), "its partitions were kept for it");
    assert_eq!(kit.view().epoch, epoch);
}

#[test]
fn a_member_that_leaves_frees_its_partitions_at_once() {
    let mut kit = Kit::new(&[("a", 2)]);
    let mut m1 = Client::join(&mut kit, &join("m1", &["a"]));
    let mut m2 = Client::join(&mut kit, &join("m2", &["a"]));
    settle(&mut kit, &mut [&mut m1, &mut m2]);
    let answer = kit.send(&beat("m2", LEAVE_EPOCH, None)).unwrap();
    assert_eq!((answer.epoch, answer.interval_ms), (-1, 0));
    assert_eq!(kit.group.state(), GroupState::Assigning);
    m1.beat(&mut kit);
    assert_eq!((m1.epoch, m1.count()), (3, 2));
    assert_eq!(kit.send(&beat("m2", LEAVE_EPOCH, None)), Err(Refusal::UnknownMember));
    kit.send(&beat("m1", LEAVE_EPOCH, None)).unwrap();
    assert_eq!((kit.group.state(), kit.view().epoch, kit.group.deadline()), (GroupState::Empty, 4, None));
}

#[test]
fn silent_members_are_put_out() {
    let mut kit = Kit::new(&[("a", 2)]);
    let patient = HeartbeatRequest { rebalance_timeout_ms: Some(300_000), ..join("m1", &["a"]) };
    let mut m1 = Client::join(&mut kit, &patient);
    kit.join("m2", &["a"]);
    for _ in 0..3 {
        assert_eq!(kit.pass(ms(14_999)), Vec::<String>::new());
        m1.beat(&mut kit);
    }
    assert_eq!(kit.group.deadline(), Some(ms(1_045_000)));
    assert_eq!(kit.pass(ms(3)), ["m2"]);
    m1.beat(&mut kit);
    m1.beat(&mut kit);
    assert_eq!(m1.count(), 2);
}

#[test]
fn members_that_are_slow_to_give_up_are_put_out() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.join("m1", &["a"]);
    kit.join("m2", &["a"]);
    kit.send(&beat("m1", 1, None)).unwrap();
    assert_eq!(kit.group.deadline(), Some(kit.now + ms(10_000)));
    assert_eq!(kit.pass(ms(9_000)), Vec::<String>::new());
    kit.send(&beat("m1", 1, None)).unwrap();
    assert_eq!(kit.pass(ms(1_000)), ["m1"], "heartbeats don't help");
    assert_eq!(kit.send(&beat("m1", 1, None)), Err(Refusal::UnknownMember));
    let answer = kit.send(&beat("m2", 2, None)).unwrap();
    assert_eq!(answer.assignment, Some(parts(&[("a", &[0, 1])])));
}

#[test]
fn a_group_takes_so_many_members() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.settings.max_size = 1;
    kit.join("m1", &["a"]);
    assert_eq!(kit.send(&join("m2", &["a"])), Err(Refusal::GroupFull(1)));
    kit.join("m1", &["a"]);
}

#[test]
fn a_static_member_keeps_its_partitions_while_away() {
    let mut kit = Kit::new(&[("a", 2)]);
    let mut m1 = Client::join(&mut kit, &join_static("m1", "i1", &["a"]));
    let mut m2 = Client::join(&mut kit, &join("m2", &["a"]));
    settle(&mut kit, &mut [&mut m1, &mut m2]);
    let epoch = kit.view().epoch;
    let with = |request: HeartbeatRequest| HeartbeatRequest { instance: Some("i1".into()), ..request };
    assert_eq!(kit.send(&join_static("m3", "i1", &["a"])), Err(Refusal::UnreleasedInstance("m1".into())));
    assert_eq!(kit.send(&with(beat("m1", AWAY_EPOCH, None))).unwrap().epoch, -2);
    m2.beat(&mut kit);
    assert_eq!((kit.view().epoch, m2.count()), (epoch, 1), "nothing moves");
    kit.fail_over();
    let answer = kit.send(&join_static("m3", "i1", &["a"])).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (epoch, Some(m1.owned)), "as if it had never been away");
    assert_eq!(kit.send(&with(beat("m1", epoch, None))), Err(Refusal::FencedInstance));
    assert_eq!(kit.send(&with(beat("m1", LEAVE_EPOCH, None))), Err(Refusal::FencedInstance));
    assert_eq!(kit.send(&beat("m1", epoch, None)), Err(Refusal::UnknownMember));
    assert_eq!(kit.view().members.len(), 2);
    kit.send(&with(beat("m3", LEAVE_EPOCH, None))).unwrap();
    m2.beat(&mut kit);
    assert_eq!(m2.count(), 2, "a static member may also leave for good");
    assert_eq!(kit.send(&with(beat("m3", 3, None))), Err(Refusal::UnknownMember));
}

#[test]
fn a_static_member_that_stays_away_is_put_out() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.send(&join_static("m1", "i1", &["a"])).unwrap();
    kit.send(&HeartbeatRequest { instance: Some("i1".into()), ..beat("m1", AWAY_EPOCH, None) }).unwrap();
    assert_eq!(kit.pass(ms(45_000)), ["m1"]);
    assert_eq!(kit.group.state(), GroupState::Empty);
}

#[test]
fn a_member_that_is_away_need_not_give_up_in_time() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.send(&join_static("m1", "i1", &["a"])).unwrap();
    kit.join("m2", &["a"]);
    let with = |request: HeartbeatRequest| HeartbeatRequest { instance: Some("i1".into()), ..request };
    kit.send(&with(beat("m1", 1, None))).unwrap();
    kit.send(&with(beat("m1", AWAY_EPOCH, None))).unwrap();
    // What it was to give up is free now.
    assert_eq!(kit.send(&beat("m2", 2, None)).unwrap().assignment, Some(parts(&[("a", &[1])])));
    assert_eq!(kit.pass(ms(20_000)), Vec::<String>::new());
    let answer = kit.send(&join_static("m3", "i1", &["a"])).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (2, Some(parts(&[("a", &[0])]))));
}

#[test]
fn most_votes_choose_the_assignor() {
    let mut kit = Kit::new(&[("a", 2), ("b", 2)]);
    let vote = |id: &str, assignor: Assignor| HeartbeatRequest {
        assignor: Some(assignor.name().into()),
        ..join(id, &["a", "b"])
    };
    kit.send(&vote("m1", Assignor::Range)).unwrap();
    assert_eq!(kit.view().assignor, "range");
    kit.send(&vote("m2", Assignor::Range)).unwrap();
    assert_eq!(kit.member("m1").target, parts(&[("a", &[0]), ("b", &[0])]));
    kit.send(&vote("m3", Assignor::Uniform)).unwrap();
    assert_eq!(kit.view().assignor, "range");
    kit.send(&beat("m1", LEAVE_EPOCH, None)).unwrap();
    assert_eq!(kit.view().assignor, "uniform", "the default, when there are as many votes for both");
}

#[test]
fn members_commit_in_their_epoch() {
    let mut kit = Kit::new(&[("a", 2)]);
    let who = |member, epoch| Committer { member, instance: None, epoch };
    assert_eq!(kit.group.may_commit(&who("", -1), Committing::At(9)), Ok(()), "nobody is in the group");
    kit.join("m1", &["a"]);
    assert_eq!(kit.group.may_commit(&who("m1", 1), Committing::At(9)), Ok(()));
    assert_eq!(kit.group.may_commit(&who("m1", 1), Committing::At(8)), Err(Refusal::UnsupportedVersion));
    assert_eq!(kit.group.may_commit(&who("m1", 1), Committing::With(&[])), Ok(()));
    let stale = Refusal::StaleMemberEpoch { received: 0, expected: 1 };
    assert_eq!(kit.group.may_commit(&who("m1", 0), Committing::At(9)), Err(stale.clone()));
    assert_eq!(kit.group.may_commit(&who("m2", 1), Committing::At(9)), Err(Refusal::UnknownMember));
    assert_eq!(kit.group.may_commit(&who("", -1), Committing::At(9)), Err(Refusal::UnknownMember));
    assert_eq!(
        kit.group.may_commit(&who("", -1), Committing::With(&[])),
        Ok(()),
        "a transaction needs no member"
    );
    assert_eq!(kit.group.may_fetch(None), Ok(()));
    assert_eq!(kit.group.may_fetch(Some(&who("m1", 0))), Err(stale));
}

#[test]
fn a_transaction_takes_no_offsets_of_what_is_another_member_s_by_now() {
    let mut kit = Kit::new(&[("a", 2)]);
    let answer = kit.send(&join("m1", &["a"])).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (1, Some(parts(&[("a", &[0, 1])]))));
    // m1 begins to take in both; m2 joins meanwhile.
    kit.send(&join("m2", &["a"])).unwrap();
    // As librdkafka does until it has taken them in: it owns nothing yet. So it has nothing to give up.
    let answer = kit.send(&beat("m1", 1, Some(&Partitions::new()))).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (2, Some(parts(&[("a", &[0])]))));
    let place = |index| PartitionId { topic: topic_id("a"), index };
    let who = |member| Committer { member, instance: None, epoch: 2 };
    let with = |kit: &Kit, member, index| {
        kit.group.may_commit(&who(member), Committing::With(&[place(0), place(index)]))
    };
    assert_eq!(with(&kit, "m1", 1), Ok(()), "whoever gets it will wait for the transaction");
    assert_eq!(kit.send(&beat("m2", 2, None)).unwrap().assignment, Some(parts(&[("a", &[1])])));
    let refused = with(&kit, "m1", 1).unwrap_err();
    assert!(matches!(refused, Refusal::OwnedByAnother { partition: 1, .. }), "{refused:?}");
    assert!(matches!(with(&kit, "m2", 1), Err(Refusal::OwnedByAnother { partition: 0, .. })));
    assert_eq!(with(&kit, "m1", 7), Ok(()), "nobody's");
    assert_eq!(
        kit.group.may_commit(&who("m1"), Committing::At(9)),
        Ok(()),
        "as Kafka does without a transaction"
    );
}

#[test]
fn a_loaded_group_gives_its_members_time() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.join("m1", &["a"]);
    kit.join("m2", &["a"]);
    kit.send(&beat("m1", 1, None)).unwrap();
    kit.now += ms(9_999);
    kit.fail_over();
    assert_eq!(kit.group.deadline(), Some(kit.now + ms(10_000)));
    assert_eq!(kit.pass(ms(9_999)), Vec::<String>::new());
    assert_eq!(kit.pass(ms(1)), ["m1"]);
}

#[test]
fn rows_that_give_a_partition_to_two_are_refused() {
    let mut kit = Kit::new(&[("a", 1)]);
    kit.join("m1", &["a"]);
    let Some(Change::Member(_, row)) = kit.stored.iter().find(|change| matches!(change, Change::Member(..)))
    else {
        panic!("no member is stored");
    };
    let again = Change::Member("m2".into(), row.clone());
    let error = kit.group.apply(again).unwrap_err();
    assert_eq!((error.old.as_str(), error.new.as_str(), error.partition), ("m1", "m2", 0));
}

#[test]
fn a_refusal_changes_nothing() {
    let mut kit = Kit::new(&[("a", 2)]);
    kit.join("m1", &["a"]);
    let before = (kit.group.rows(), kit.group.deadline());
    let odd = [
        beat("m1", 7, None),
        beat("m9", 1, None),
        HeartbeatRequest { regex: Some("a(".into()), ..join("m2", &["a"]) },
        HeartbeatRequest { regex: Some("a(".into()), ..beat("m1", 1, None) },
        beat("m9", LEAVE_EPOCH, None),
    ];
    for request in odd {
        assert!(kit.send(&request).is_err(), "{request:?}");
        assert_eq!((kit.group.rows(), kit.group.deadline()), before);
    }
}

#[test]
fn targets_that_were_written_without_the_rest_count_for_nothing() {
    let mut kit = Kit::new(&[("a", 6)]);
    let mut m1 = Client::join(&mut kit, &join("m1", &["a"]));
    let mut m2 = Client::join(&mut kit, &join("m2", &["a"]));
    let mut m3 = Client::join(&mut kit, &join("m3", &["a"]));
    settle(&mut kit, &mut [&mut m1, &mut m2, &mut m3]);
    kit.topics.put("a", 12);
    let cx = Context { now: kit.now, settings: &kit.settings, catalog: &kit.topics.state };
    kit.group.heartbeat(&cx, &beat("m1", m1.epoch, None)).unwrap();
    let retargeted: Vec<String> = kit.group.retargeted().iter().cloned().collect();
    assert_eq!(retargeted, ["m2", "m3"], "more has changed of the one that asked");
    let undecided = kit.group.undecided();
    let rows = kit.group.take_changes();
    assert!(kit.group.retargeted().is_empty());
    // The coordinator dies when it has written the head and one row.
    let written = |change: &&Change| matches!(change, Change::Member(id, _) if id == "m2");
    let early = rows.iter().find(written).cloned().unwrap();
    let mut group = ConsumerGroup::default();
    let stored = kit.stored.iter().cloned().chain([Change::Head(undecided), early]);
    stored.for_each(|change| group.apply(change).unwrap());
    group.start_timers(&Context { now: kit.now, settings: &kit.settings, catalog: &kit.topics.state });
    kit.group = group;
    assert_eq!(kit.group.state(), GroupState::Assigning);
    settle(&mut kit, &mut [&mut m1, &mut m2, &mut m3]);
    assert_eq!((m1.count(), m2.count(), m3.count()), (4, 4, 4));
    assert_eq!(kit.group.state(), GroupState::Stable);
}
