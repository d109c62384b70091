//! Entries that were sent to shard logs, waiting for their fold.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use siltstone_log::ShardId;
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::follow::{Outcomes, OwnOutcome};
use siltstone_metadata::level::Level;
use siltstone_metadata::shard::{Effect, Verdict};
use siltstone_metadata::transaction::Refusal;
use tokio::time::Instant;

use super::ticket::{Slot, WriteError};

/// One entry: the slots of its blocks' batches.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) slots: Vec<Vec<Slot>>,
    pub(super) at: Instant,
    /// Why batches are void, by block and batch.
    refused: Refused,
}

/// Why batches of an entry are void, by block and batch.
pub(super) type Refused = BTreeMap<(usize, usize), Refusal>;

/// By shard and counter. Bounded by the write budget: every entry stands for bytes that are reserved.
#[derive(Debug)]
pub(crate) struct Pending {
    sent: Mutex<BTreeMap<(ShardId, u64), Sent>>,
    ended: Level<bool>,
}

impl Default for Pending {
    fn default() -> Self {
        Pending { sent: Mutex::default(), ended: Level::new(false) }
    }
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ShardId, u64), Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Must be called before the entry can possibly be folded.
    pub(super) fn add(&self, shard: ShardId, counter: u64, slots: Vec<Vec<Slot>>) {
        let sent = Sent { slots, at: Instant::now(), refused: Refused::new() };
        self.lock().insert((shard, counter), sent);
    }

    /// Says which batches the entry is about to be sent without. Must be called before it can possibly be folded, too.
    pub(super) fn refuse(&self, shard: ShardId, counter: u64, refused: Refused) {
        if let Some(sent) = self.lock().get_mut(&(shard, counter)) {
            sent.refused = refused;
        }
    }

    /// Takes back an entry that is known not to be in the log.
    pub(super) fn remove(&self, shard: ShardId, counter: u64) -> Option<Sent> {
        self.lock().remove(&(shard, counter))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// True once the registration is over.
    pub(super) fn ended(&self) -> &Level<bool> {
        &self.ended
    }

    /// The registration was found to be over.
    pub(super) fn end(&self) {
        self.ended.set(true);
    }
}

fn resolve(sent: Sent, effect: Effect) {
    metrics::histogram!("siltstone_produce_fold_seconds").record(sent.at.elapsed().as_secs_f64());
    match effect {
        Effect::Appended(outcomes) => {
            let Sent { slots, refused, .. } = sent;
            for (block, (outcome, slots)) in outcomes.into_iter().zip(slots).enumerate() {
                let mut verdicts = outcome.verdicts.unwrap_or_default().into_iter();
                for (batch, slot) in slots.into_iter().enumerate() {
                    let refusal = refused.get(&(block, batch)).copied();
                    slot.resolve(match verdicts.next() {
                        // The entry that was folded says it, not the last one that was sent.
                        Some(Verdict::Void) => {
                            Err(WriteError::Transaction(refusal.unwrap_or(Refusal::NotOngoing)))
                        }
                        Some(verdict) => Ok(verdict),
                        None => Err(WriteError::Lost),
                    });
                }
            }
        }
        Effect::Void | Effect::Other => fail(sent, &WriteError::Ended),
    }
}

fn fail(sent: Sent, error: &WriteError) {
    for slot in sent.slots.into_iter().flatten() {
        slot.resolve(Err(error.clone()));
    }
}

impl Outcomes for Pending {
    fn folded(&self, shard: ShardId, outcome: OwnOutcome) {
        match outcome {
            OwnOutcome::Folded { counter, effect } => {
                // A repeat of an entry finds nothing: the first one was answered.
                if let Some(sent) = self.remove(shard, counter) {
                    resolve(sent, effect);
                }
            }
            OwnOutcome::Ended => {
                // Everything of this registration that is in this shard's log stands before this point.
                let mut sent = self.lock();
                let rest = sent.split_off(&(shard, 0));
                let (own, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
                    rest.into_iter().partition(|((of, _), _)| *of == shard);
                sent.extend(others);
                drop(sent);
                own.into_values().for_each(|sent| fail(sent, &WriteError::Ended));
                self.end();
            }
        }
    }

    fn reloaded(&self, shard: ShardId, passed: u64) {
        let mut sent = self.lock();
        let keys: Vec<_> = sent.range((shard, 0)..=(shard, passed)).map(|(key, _)| *key).collect();
        let lost: Vec<Sent> = keys.into_iter().filter_map(|key| sent.remove(&key)).collect();
        drop(sent);
        let error = if bugs::on(Bug::LostIsFailure) { WriteError::Ended } else { WriteError::Lost };
        lost.into_iter().for_each(|sent| fail(sent, &error));
    }

    fn awaits(&self, shard: ShardId) -> bool {
        self.lock().range((shard, 0)..=(shard, u64::MAX)).next().is_some()
    }

    fn over(&self) {
        self.end();
    }
}
