//! Topics that come, go and grow; patterns.

use super::kit::*;
use crate::group::consumer::pattern::compile;
use crate::group::consumer::*;

#[test]
fn topics_that_grow_or_come_are_noticed_at_the_next_heartbeat() {
    let mut kit = Kit::new(&[("a", 1)]);
    let mut m1 = Client::join(&mut kit, &join("m1", &["a", "b"]));
    assert_eq!(m1.owned, parts(&[("a", &[0])]));
    kit.topics.put("z", 5);
    m1.beat(&mut kit);
    assert_eq!(kit.view().epoch, 1, "nobody subscribes to it");
    kit.topics.put("a", 2);
    m1.beat(&mut kit);
    assert_eq!((m1.epoch, m1.owned.clone()), (2, parts(&[("a", &[0, 1])])));
    kit.topics.put("b", 1);
    kit.fail_over();
    m1.beat(&mut kit);
    assert_eq!((m1.epoch, m1.owned.clone()), (3, parts(&[("a", &[0, 1]), ("b", &[0])])));
    kit.topics.remove("a");
    m1.beat(&mut kit);
    assert_eq!(m1.owned, parts(&[("b", &[0])]));
    m1.beat(&mut kit);
    assert_eq!((m1.epoch, kit.group.state()), (4, GroupState::Stable));
}

#[test]
fn a_loaded_group_stays_as_it_is_if_its_topics_did() {
    let mut kit = Kit::new(&[("a", 2), ("ab", 2)]);
    let mut m1 = Client::join(
        &mut kit,
        &HeartbeatRequest { regex: Some("a.*".into()), topics: None, ..join("m1", &[]) },
    );
    kit.topics.put("z", 1);
    kit.fail_over();
    m1.beat(&mut kit);
    assert_eq!((kit.view().epoch, m1.count()), (1, 4));
}

#[test]
fn what_is_no_longer_subscribed_to_is_taken_back_at_once() {
    let mut kit = Kit::new(&[("a", 1), ("b", 1)]);
    let m1 = Client::join(&mut kit, &join("m1", &["a", "b"]));
    let change = HeartbeatRequest { topics: Some(vec!["b".into()]), ..beat("m1", m1.epoch, Some(&m1.owned)) };
    let answer = kit.send(&change).unwrap();
    assert_eq!((answer.epoch, answer.assignment), (1, Some(parts(&[("b", &[0])]))));
    assert_eq!(kit.view().epoch, 2);
    assert_eq!(kit.send(&beat("m1", 1, Some(&parts(&[("b", &[0])])))).unwrap().epoch, 2);
}

#[test]
fn patterns_match_whole_names_and_follow_the_catalog() {
    let mut kit = Kit::new(&[("orders", 1), ("orders.eu", 1), ("reorders", 1)]);
    let request = HeartbeatRequest { topics: None, regex: Some("orders(\\..*)?".into()), ..join("m1", &[]) };
    let mut m1 = Client::join(&mut kit, &request);
    assert_eq!(m1.owned, parts(&[("orders", &[0]), ("orders.eu", &[0])]));
    kit.topics.put("orders.us", 1);
    m1.beat(&mut kit);
    assert_eq!((m1.epoch, m1.count()), (2, 3));
    assert!(kit.group.is_subscribed_to("orders.us", Some(topic_id("orders.us"))));
    assert!(!kit.group.is_subscribed_to("reorders", Some(topic_id("reorders"))));
    // Names beside the pattern, then names instead of it.
    let both = HeartbeatRequest { topics: Some(vec!["reorders".into()]), ..beat("m1", 2, None) };
    assert_eq!(kit.send(&both).unwrap().assignment.map(|all| all.len()), Some(4));
    let none =
        HeartbeatRequest { regex: Some(String::new()), ..beat("m1", 3, Some(&kit.member("m1").assigned)) };
    assert_eq!(kit.send(&none).unwrap().assignment, Some(parts(&[("reorders", &[0])])));
    assert_eq!(kit.member("m1").regex, None);
}

#[test]
fn a_pattern_that_comes_to_match_a_subscribed_topic_counts_as_a_change() {
    let mut kit = Kit::new(&[("b", 2)]);
    let mut m1 = Client::join(&mut kit, &join("m1", &["b"]));
    let regex = |text: &str| HeartbeatRequest { topics: None, regex: Some(text.into()), ..join("m2", &[]) };
    let mut m2 = Client::join(&mut kit, &regex("a|c"));
    assert_eq!(m2.count(), 0);
    let change = HeartbeatRequest { regex: Some("b|c".into()), ..beat("m2", m2.epoch, None) };
    m2.send(&mut kit, &change);
    settle(&mut kit, &mut [&mut m1, &mut m2]);
    assert_eq!((m1.count(), m2.count()), (1, 1));
}

#[test]
fn patterns_are_read_as_re2_reads_them() {
    let good = [
        ("a.c", "abc", true),
        ("a.c", "xabc", false),
        ("a|b", "b", true),
        ("a|bc", "ac", false),
        ("(?i)ABC", "abc", true),
        ("\\Qa.c\\E", "abc", false),
        ("\\Qa.c\\E.*", "a.cde", true),
        ("\\Qa.c", "a.c", true),
        ("[[]x", "[x", true),
        ("[a&&b]+", "a&&b", true),
        ("[^^~]", "x", true),
        ("[[:alpha:]_]+", "ab_c", true),
        ("[]a]+", "]a", true),
        ("\\p{L}+", "abc", true),
        ("(?P<name>x)y", "xy", true),
        ("\\d{2,3}", "123", true),
    ];
    for (pattern, name, matches) in good {
        assert_eq!(compile(pattern).unwrap().is_match(name), matches, "{pattern} {name}");
    }
    for bad in ["(", "a)(b", "[", "a{2,1}", "(?=a)", "(a)\\1", "*", "\\", "(?<=a)b", "x{100}{100}{100}"] {
        assert!(matches!(compile(bad), Err(Refusal::InvalidRegex(_))), "{bad}");
    }
}

#[test]
fn bad_patterns_are_refused() {
    let mut kit = Kit::new(&[("a", 1)]);
    let refused = kit.send(&HeartbeatRequest { topics: None, regex: Some("(".into()), ..join("m1", &[]) });
    assert!(matches!(refused, Err(Refusal::InvalidRegex(_))), "{refused:?}");
    assert!(kit.group.is_empty());
}
