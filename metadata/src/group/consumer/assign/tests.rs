//! Assignors: complete, balanced, sticky; and the cases that Kafka 4.2's own assignors were asked for.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// A group that owns its parts.
#[derive(Debug, Clone, Default)]
struct Case {
    topics: BTreeMap<TopicId, u32>,
    members: BTreeMap<String, (Option<String>, BTreeSet<TopicId>)>,
    current: Assignment,
}

impl Case {
    fn new(topics: &[u32], members: &[(&str, &[u128])]) -> Self {
        let topics = topics.iter().enumerate().map(|(at, count)| (TopicId(at as u128), *count)).collect();
        let members = members.iter().map(|(id, wants)| {
            ((*id).to_owned(), (None, wants.iter().map(|topic| TopicId(*topic)).collect()))
        });
        Case { topics, members: members.collect(), current: Assignment::new() }
    }

    fn run(&self, assignor: Assignor) -> Assignment {
        let nothing = Partitions::new();
        let members = self.members.iter().map(|(id, (instance, topics))| {
            let current = self.current.get(id).unwrap_or(&nothing);
            (id.as_str(), Subscriber { instance: instance.as_deref(), topics, current })
        });
        assignor.assign(&Group { members: members.collect(), topics: self.topics.clone() })
    }

    /// Runs and goes on from the result.
    fn next(&mut self, assignor: Assignor) -> Assignment {
        self.current = self.run(assignor);
        self.current.clone()
    }

    fn check_complete(&self, result: &Assignment) {
        assert_eq!(result.keys().collect::<Vec<_>>(), self.members.keys().collect::<Vec<_>>());
        let mut owners: BTreeMap<(TopicId, u32), usize> = BTreeMap::new();
        for (id, partitions) in result {
            for (topic, indices) in partitions {
                assert!(self.members[id].1.contains(topic), "{id} does not subscribe to {topic:?}");
                assert!(!indices.is_empty());
                indices.iter().for_each(|index| *owners.entry((*topic, *index)).or_default() += 1);
            }
        }
        let wanted: BTreeSet<TopicId> =
            self.members.values().flat_map(|(_, topics)| topics).copied().collect();
        let all = self.topics.iter().filter(|(topic, _)| wanted.contains(topic));
        let all: BTreeMap<_, _> =
            all.flat_map(|(t, count)| (0..*count).map(|index| ((*t, index), 1))).collect();
        assert_eq!(owners, all, "each partition has one owner");
    }
}

fn load(result: &Assignment) -> BTreeMap<&str, usize> {
    result.iter().map(|(id, own)| (id.as_str(), own.values().map(BTreeSet::len).sum())).collect()
}

/// Partitions that were somebody's and are somebody else's now.
fn moved(old: &Assignment, new: &Assignment) -> usize {
    let pairs = |all: &Assignment| -> BTreeSet<(String, TopicId, u32)> {
        let each = |(id, own): (&String, &Partitions)| {
            let id = id.clone();
            let own = own.clone().into_iter();
            own.flat_map(move |(t, some)| {
                let id = id.clone();
                some.into_iter().map(move |p| (id.clone(), t, p))
            })
        };
        all.iter().flat_map(each).collect()
    };
    pairs(old).difference(&pairs(new)).count()
}

/// Whether a partition could go along some chain of members and topics from one to another that has two fewer.
fn can_improve(case: &Case, result: &Assignment) -> bool {
    let load = load(result);
    result.keys().any(|start| {
        let mut seen = BTreeSet::from([start.as_str()]);
        let mut queue = vec![start.as_str()];
        while let Some(from) = queue.pop() {
            for topic in result[from].keys() {
                for (to, (_, wants)) in &case.members {
                    if wants.contains(topic) && seen.insert(to) {
                        queue.push(to);
                    }
                }
            }
        }
        seen.iter().any(|to| load[to] + 2 <= load[start.as_str()])
    })
}

fn arbitrary() -> impl Strategy<Value = Case> {
    let topics = prop::collection::vec(0_u32..12, 1..6);
    let members = prop::collection::btree_map("[a-h]", prop::collection::btree_set(0_u128..7, 0..6), 0..8);
    (topics, members).prop_map(|(topics, members)| {
        let mut case = Case::new(&topics, &[]);
        let members = members.into_iter();
        case.members =
            members.map(|(id, wants)| (id, (None, wants.into_iter().map(TopicId).collect()))).collect();
        case
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn uniform_is_complete_even_and_settled(first in arbitrary(), second in arbitrary()) {
        let mut case = first;
        case.next(Assignor::Uniform);
        case.check_complete(&case.current);
        prop_assert!(!can_improve(&case, &case.current));
        prop_assert_eq!(&case.run(Assignor::Uniform), &case.current, "nothing moves without a reason");
        // From what was assigned under other subscriptions and topics.
        let case = Case { current: case.current, ..second };
        let result = case.run(Assignor::Uniform);
        case.check_complete(&result);
        prop_assert!(!can_improve(&case, &result));
    }

    #[test]
    fn uniform_moves_as_little_as_it_can(
        topics in prop::collection::vec(0_u32..20, 1..5),
        before in 1_usize..8,
        after in 1_usize..8,
    ) {
        let wants: Vec<u128> = (0..topics.len() as u128).collect();
        let names: Vec<String> = (0..8).map(|at| format!("m{at}")).collect();
        let members = |count: usize| -> Vec<(&str, &[u128])> {
            names[..count].iter().map(|name| (name.as_str(), wants.as_slice())).collect()
        };
        let mut case = Case::new(&topics, &members(before));
        let old = case.next(Assignor::Uniform);
        let case = Case { current: old.clone(), ..Case::new(&topics, &members(after)) };
        let new = case.run(Assignor::Uniform);
        case.check_complete(&new);
        let load = load(&new);
        prop_assert!(load.values().max().unwrap() - load.values().min().unwrap() <= 1);
        let total: usize = topics.iter().map(|count| *count as usize).sum();
        // Members that stay keep what they may; those that go lose all.
        let least = total / after;
        let kept_most = old.iter().filter(|(id, _)| case.members.contains_key(*id));
        let mut have: Vec<usize> = kept_most.map(|(_, own)| own.values().map(BTreeSet::len).sum()).collect();
        have.sort_unstable_by(|a, b| b.cmp(a));
        let keep: usize = have.iter().enumerate().map(|(at, have)| (*have).min(least + usize::from(at < total % after))).sum();
        prop_assert_eq!(moved(&old, &new), total - keep);
    }

    #[test]
    fn range_is_complete_and_contiguous(case in arbitrary()) {
        let result = case.run(Assignor::Range);
        case.check_complete(&result);
        for own in result.values() {
            for indices in own.values() {
                let (first, last) = (*indices.first().unwrap(), *indices.last().unwrap());
                prop_assert_eq!((last - first + 1) as usize, indices.len());
            }
        }
    }
}

fn own(parts: &[(u128, &[u32])]) -> Partitions {
    parts.iter().map(|(topic, some)| (TopicId(*topic), some.iter().copied().collect())).collect()
}

#[test]
fn range_puts_equal_partition_numbers_on_one_member() {
    let case = Case::new(&[3, 3], &[("a", &[0, 1]), ("b", &[0, 1])]);
    let result = case.run(Assignor::Range);
    assert_eq!(result["a"], own(&[(0, &[0, 1]), (1, &[0, 1])]));
    assert_eq!(result["b"], own(&[(0, &[2]), (1, &[2])]));
}

#[test]
fn range_with_more_members_than_partitions_leaves_the_last_without() {
    let case = Case::new(&[3, 2], &[("a", &[0, 1]), ("b", &[0]), ("c", &[1]), ("d", &[0, 1]), ("e", &[0])]);
    let result = case.run(Assignor::Range);
    assert_eq!(result["a"], own(&[(0, &[0]), (1, &[0])]));
    assert_eq!(result["b"], own(&[(0, &[1])]));
    assert_eq!(result["c"], own(&[(1, &[1])]));
    assert_eq!(result["d"], own(&[(0, &[2])]));
    assert_eq!(result["e"], own(&[]));
}

#[test]
fn range_orders_static_members_first_and_by_instance() {
    let mut case = Case::new(&[3], &[("a", &[0]), ("b", &[0]), ("c", &[0])]);
    case.members.get_mut("c").unwrap().0 = Some("i1".into());
    case.members.get_mut("b").unwrap().0 = Some("i2".into());
    let result = case.run(Assignor::Range);
    assert_eq!(result["c"], own(&[(0, &[0])]));
    assert_eq!(result["b"], own(&[(0, &[1])]));
    assert_eq!(result["a"], own(&[(0, &[2])]));
}

#[test]
fn uniform_evens_out_along_chains() {
    // b is the only one with both topics: what it gives to a it gets from c.
    let mut case = Case::new(&[10, 20], &[("a", &[0]), ("b", &[0, 1]), ("c", &[1])]);
    case.current = Assignment::from([
        ("a".into(), own(&[(0, &[0, 1, 2, 3, 4, 5, 6, 7, 8])])),
        ("b".into(), own(&[(0, &[9]), (1, &[0, 1, 2, 3, 4, 5, 6, 7, 8])])),
        ("c".into(), own(&[(1, &[9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])])),
    ]);
    let result = case.run(Assignor::Uniform);
    assert_eq!(load(&result), BTreeMap::from([("a", 10), ("b", 10), ("c", 10)]));
    assert_eq!(moved(&case.current, &result), 2);
}

#[test]
fn uniform_of_a_large_group_spreads_each_topic() {
    let wants: Vec<u128> = (0..20).collect();
    let names: Vec<String> = (0..50).map(|at| format!("m{at:02}")).collect();
    let members: Vec<(&str, &[u128])> = names.iter().map(|name| (name.as_str(), wants.as_slice())).collect();
    let result = Case::new(&[100; 20], &members).run(Assignor::Uniform);
    for own in result.values() {
        assert_eq!(own.values().map(BTreeSet::len).collect::<Vec<_>>(), [2; 20]);
    }
}
