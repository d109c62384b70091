//! Properties that hold for every text.

use proptest::prelude::*;
use siltstone_configs::*;

fn definition() -> impl Strategy<Value = &'static Definition> {
    let all: Vec<&'static Definition> =
        topic::definitions().iter().chain(broker::definitions()).copied().collect();
    prop::sample::select(all)
}

/// Texts that are often nearly right.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        any::<i64>().prop_map(|number| number.to_string()),
        (-20i64..30).prop_map(|number| format!(" {number} ")),
        any::<f64>().prop_map(|number| number.to_string()),
        (0.0f64..1.0).prop_map(|number| number.to_string()),
        "[+-]?0*[0-9]{1,4}(\\.[0-9]{0,3})?([eE]-?[0-9]{1,3})?",
        "(true|FALSE|delete|compact|gzip|zstd|auto|inline|CreateTime|LogAppendTime|[0-9]:[0-9]|\\*)",
        "( ?(delete|compact|uniform|a|[0-9]{1,2}:[0-9]{1,2}|) ?,?){0,4}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known: Vec<String> = topic::definitions().iter().map(|d| d.name.to_owned()).collect();
    prop_oneof![9 => prop::sample::select(known), 1 => any::<String>()]
}

fn operation() -> impl Strategy<Value = Operation> {
    (0i8..4).prop_filter_map("a known number", Operation::from_wire)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn normalised_values_check_to_themselves(definition in definition(), text in text()) {
        if let Ok(found) = definition.check(&text) {
            let again = definition.check(&found.text).unwrap();
            prop_assert_eq!(again, found);
        }
    }

    #[test]
    fn errors_are_short_and_name_the_config(definition in definition(), text in text()) {
        if let Err(error) = definition.check(&text.repeat(50)) {
            let error = error.to_string();
            prop_assert!(error.contains(definition.name));
            prop_assert!(error.chars().count() < 700, "{}", error);
        }
    }

    #[test]
    fn what_is_altered_is_what_is_described(
        changes in prop::collection::vec((name(), operation(), prop::option::weighted(0.95, text())), 0..4),
        before in prop::collection::vec((name(), text()), 0..3),
    ) {
        let pairs: Vec<(&str, Option<&str>)> = before.iter().map(|(n, v)| (n.as_str(), Some(v.as_str()))).collect();
        let before = replace_topic(&pairs, BrokerLayers::none()).unwrap_or_default();
        let changes: Vec<Change<'_>> = changes
            .iter()
            .map(|(name, operation, value)| Change { name, operation: *operation, value: value.as_deref() })
            .collect();
        let Ok(after) = alter_topic(&before, &changes, BrokerLayers::none()) else { return Ok(()) };
        prop_assert!(unusable_topic(&after).is_empty());
        for described in describe_topic(&after, BrokerLayers::none(), &[]) {
            match after.get(described.name) {
                Some(text) => {
                    prop_assert_eq!(described.value.as_ref(), Some(text));
                    prop_assert_eq!(described.source, Source::Topic);
                }
                None => prop_assert_eq!(described.source, Source::Default),
            }
        }
        for change in &changes {
            let kept = after.contains_key(change.name);
            prop_assert_eq!(kept, change.operation != Operation::Delete, "{:?}", change);
        }
        let untouched = |name: &&String| !changes.iter().any(|change| change.name == name.as_str());
        for name in before.keys().filter(untouched) {
            prop_assert_eq!(after.get(name), before.get(name));
        }
        TopicConfig::resolve(&after, BrokerLayers::none());
    }

    #[test]
    fn resolving_takes_any_stored_text(stored in prop::collection::btree_map(name(), text(), 0..6)) {
        let config = TopicConfig::resolve(&stored, BrokerLayers { broker: &stored, cluster: &stored, fixed: &stored });
        prop_assert!((0.0..=1.0).contains(&config.min_cleanable_dirty_ratio));
        describe_topic(&stored, BrokerLayers::none(), &[]);
        describe_broker(BrokerLayers { broker: &stored, cluster: &stored, fixed: &stored }, &[]);
    }

    #[test]
    fn a_valid_topic_name_is_a_plain_one(name in prop_oneof![any::<String>(), "[a-zA-Z0-9._-]{0,260}"]) {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let right = plain && (1..=249).contains(&name.len()) && name != "." && name != "..";
        prop_assert_eq!(topic_name::validate(&name).is_ok(), right);
        prop_assert!(!topic_name::collision_key(&name).contains('.'));
    }
}
