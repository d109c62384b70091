//! S2, S3, S6 over generated logs, folded in one go.

use std::collections::BTreeMap;

use proptest::prelude::*;
use siltstone_log::{Entry, PartitionId};

use super::generated::{Expected, Log, log};
use super::stored::{fresh, load_new};
use crate::shard::{Effect, ShardState};

/// Folds with every partition loaded from its beginning. `each` sees the state behind every entry.
pub fn fold_all(log: &Log, mut each: impl FnMut(&ShardState, &Expected, &Effect)) -> ShardState {
    let mut state = fresh();
    for expected in &log.entries {
        let bytes = expected.entry.encode();
        let entry = Entry::decode(&bytes).expect("what is written is read");
        let applied = state.apply(expected.position, &entry);
        load_new(&mut state);
        each(&state, expected, &applied.effect);
    }
    state
}

/// S2: extents follow one another from some offset at or below the log start up to the next offset, in bytes and offsets.
fn check_extents(state: &ShardState) -> Result<(), TestCaseError> {
    for (id, partition) in state.partitions() {
        let mut end: Option<(i64, u64)> = None;
        for held in partition.extents() {
            let extent = held.extent;
            prop_assert!(extent.records > 0);
            if let Some(end) = end {
                prop_assert_eq!((extent.base, extent.bytes_before), end, "{:?}", id);
            }
            end = Some((extent.end(), extent.bytes_before + u64::from(extent.length)));
        }
        prop_assert_eq!(
            end.unwrap_or((partition.next(), partition.bytes())),
            (partition.next(), partition.bytes())
        );
        match partition.extents().front() {
            Some(first) => {
                prop_assert!(first.extent.base <= partition.log_start());
                prop_assert!(first.extent.end() > partition.log_start());
            }
            None => prop_assert_eq!(partition.log_start(), partition.next()),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// S3 and the rest of what the fold decides, against the oracle.
    #[test]
    fn every_verdict_is_the_oracles(log in log(80)) {
        let mut differs = None;
        let state = fold_all(&log, |_, expected, effect| {
            let verdicts = match effect {
                Effect::Appended(outcomes) => {
                    Some(outcomes.iter().map(|outcome| outcome.verdicts.clone().expect("all are loaded")).collect())
                }
                _ => None,
            };
            if verdicts != expected.verdicts {
                differs.get_or_insert((expected.clone(), verdicts));
            }
        });
        prop_assert!(differs.is_none(), "{:?}", differs);
        prop_assert_eq!(
            state.partitions().keys().collect::<Vec<_>>(),
            log.oracle.partitions.keys().collect::<Vec<_>>()
        );
        for (id, history) in &log.oracle.partitions {
            let partition = state.partition(*id).expect("it is loaded");
            prop_assert_eq!(partition.next(), history.next());
            prop_assert_eq!(partition.log_start(), history.log_start);
            let erasures: BTreeMap<_, _> =
                partition.row().erasures.iter().map(|(id, erased)| (*id, erased.upto)).collect();
            prop_assert_eq!(&erasures, &history.erasures);
            let bytes: u64 = history.accepted.iter().map(|batch| u64::from(batch.bytes)).sum();
            prop_assert_eq!(partition.bytes(), bytes);
            prop_assert!(partition.row().producers.values().all(|row| row.batches.len() <= 5));
        }
    }

    /// S2, at every step.
    #[test]
    fn offsets_are_given_out_once_without_gaps(log in log(60)) {
        let mut result = Ok(());
        fold_all(&log, |state, _, _| {
            if result.is_ok() {
                result = check_extents(state);
            }
        });
        result?;
    }

    /// S6: neither the high watermark nor the log start goes back, and the second never passes the first.
    #[test]
    fn ends_and_starts_never_go_back(log in log(80)) {
        let mut last: BTreeMap<PartitionId, (i64, i64)> = BTreeMap::new();
        let mut fine = true;
        fold_all(&log, |state, _, _| {
            for (id, partition) in state.partitions() {
                let now = (partition.next(), partition.log_start());
                let then = last.insert(*id, now).unwrap_or((0, 0));
                fine &= now.0 >= then.0 && now.1 >= then.1 && now.1 <= now.0;
            }
        });
        prop_assert!(fine);
    }
}
