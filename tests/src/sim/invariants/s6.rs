//! S6: log starts and ends never move back; answers about ends and "out of range" are linearizable.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_agent::engine::Engine;
use siltstone_agent::fetch::Bounds;
use siltstone_log::{PartitionId, Position};

use super::{Violation, fail};
use crate::sim::oracle::Oracle;

const NAME: &str = "S6";

/// How far each engine's partitions were, and its shards.
#[derive(Debug, Default)]
pub(super) struct Seen {
    partitions: BTreeMap<(usize, PartitionId), (u64, i64, i64)>,
    shards: BTreeMap<(usize, usize), (u64, Position)>,
}

impl Seen {
    /// What an engine follows only moves forward.
    pub(super) fn forward(
        &mut self,
        (place, life): (usize, u64),
        engine: &Arc<Engine>,
    ) -> Result<(), Violation> {
        for (index, shard) in engine.followers().shards().iter().enumerate() {
            let result = shard.checkpoint_view(|state, _, _| {
                let last = self.shards.insert((place, index), (life, state.position()));
                if last.is_some_and(|(then, last)| then == life && last > state.position()) {
                    return fail(NAME, format!("agent {place} moves shard {index} back"));
                }
                for (id, partition) in state.partitions() {
                    let now = (life, partition.log_start(), partition.next());
                    let last = self.partitions.insert((place, *id), now);
                    let back = last.is_some_and(|last| last.0 == life && (last.1 > now.1 || last.2 > now.2));
                    if back || now.1 > now.2 {
                        return fail(NAME, format!("agent {place}: {id:?} goes from {last:?} to {now:?}"));
                    }
                }
                Ok(())
            });
            result.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

/// A log start in the log itself.
pub(in crate::sim) fn log_start_rises(id: PartitionId, from: i64, to: i64) -> Result<(), Violation> {
    if to < from { fail(NAME, format!("the log start of {id:?} goes from {from} to {to}")) } else { Ok(()) }
}

/// What everybody may know of a partition when a question is asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Known {
    pub(in crate::sim) start: i64,
    pub(in crate::sim) end: i64,
}

impl Known {
    /// As of now.
    pub(in crate::sim) fn now(oracle: &Oracle, partition: PartitionId) -> Self {
        Known { start: oracle.promises.start(partition), end: oracle.promises.end(partition) }
    }
}

/// An answer about a partition's ends, to a question asked when `asked` was known.
pub(in crate::sim) fn ends(
    oracle: &mut Oracle,
    partition: PartitionId,
    asked: Known,
    answer: Bounds,
) -> Result<(), Violation> {
    oracle.catch_up()?;
    let log = oracle.log(partition);
    let Bounds { log_start, high_watermark, last_stable } = answer;
    let good = (asked.end..=log.next).contains(&high_watermark)
        && (asked.start..=log.log_start).contains(&log_start)
        && last_stable >= log_start
        && last_stable <= log.last_stable().max(log_start).min(high_watermark);
    if !good {
        let truth = (log.log_start, log.next);
        return fail(
            NAME,
            format!("{partition:?}: {answer:?} answered, told before: {asked:?}, true: {truth:?}"),
        );
    }
    oracle.promises.tell_end(partition, high_watermark);
    oracle.promises.tell_start(partition, log_start);
    Ok(())
}

/// "Out of range" was answered for `offset`.
pub(in crate::sim) fn out_of_range(
    oracle: &mut Oracle,
    partition: PartitionId,
    asked: Known,
    offset: i64,
) -> Result<(), Violation> {
    oracle.catch_up()?;
    let log = oracle.log(partition);
    if offset >= log.log_start && offset <= asked.end {
        let truth = (log.log_start, log.next);
        return fail(
            NAME,
            format!("{partition:?}: {offset} called out of range; told before: {asked:?}, true: {truth:?}"),
        );
    }
    Ok(())
}
