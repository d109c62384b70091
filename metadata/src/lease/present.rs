//! Who is registered, kept up to date by what has changed: with many agents, reading all rows in every round of each of them would be most of what the
//! metadata store does.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_log::{RegistrationId, RegistrationRow, Standing};
use siltstone_store::{KeyRange, RangeLimit, Snapshot};

use super::RegisterError;
use super::standing::{Member, members_at};
use crate::keys::{registration, roster_log, roster_tick, standing};

/// Everything that is registered, as of the last look.
#[derive(Debug, Default)]
pub(super) struct Present {
    members: BTreeMap<RegistrationId, Member>,
    seen: Option<Seen>,
}

/// How far the changes were followed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    tick: u64,
    /// The key of the last change in the log, if it has any.
    last: Option<Bytes>,
}

impl Present {
    /// By id.
    pub(super) fn members(&self) -> &BTreeMap<RegistrationId, Member> {
        &self.members
    }

    /// Takes in what is there at this snapshot. `true`: something may have changed.
    ///
    /// # Errors
    /// If the store does not answer, or a row can't be read: then it is as it was.
    pub(super) async fn look(&mut self, snapshot: &dyn Snapshot) -> Result<bool, RegisterError> {
        let tick = snapshot.get(&roster_tick::key()).await?;
        let tick = tick.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_le_bytes);
        if self.seen.as_ref().is_some_and(|seen| seen.tick == tick) {
            return Ok(false);
        }
        match self.changes(snapshot, tick).await? {
            Some((changed, last)) => {
                let mut rows = Vec::with_capacity(changed.len());
                for id in changed {
                    rows.push((id, member(snapshot, id).await?));
                }
                for (id, row) in rows {
                    match row {
                        Some(row) => self.members.insert(id, row),
                        None => self.members.remove(&id),
                    };
                }
                self.seen = Some(Seen { tick, last: Some(last) });
            }
            None => {
                let last = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
                let last = snapshot.range(&roster_log::all(), last).await?.entries.into_iter().next();
                let all = members_at(snapshot).await?;
                self.members = all.into_iter().map(|member| (member.row.id, member)).collect();
                self.seen = Some(Seen { tick, last: last.map(|(key, _)| key) });
            }
        }
        Ok(true)
    }

    /// Who has changed since the last look, and the key of the last change. `None`: the log does not say all of it, since it was cut, or a program that doesn't know
    /// of it has changed something; or nothing was read yet.
    async fn changes(
        &self,
        snapshot: &dyn Snapshot,
        tick: u64,
    ) -> Result<Option<(BTreeSet<RegistrationId>, Bytes)>, RegisterError> {
        let Some(seen) = &self.seen else { return Ok(None) };
        let behind = seen.last.clone().map_or_else(roster_log::all, roster_log::behind);
        let page = snapshot.range(&behind, RangeLimit::default()).await?;
        let Some((last, _)) = page.entries.last() else { return Ok(None) };
        // Each change counts the tick up by one.
        if page.more || tick.wrapping_sub(seen.tick) != page.entries.len() as u64 {
            return Ok(None);
        }
        let ids: Option<BTreeSet<_>> =
            page.entries.iter().map(|(_, value)| roster_log::decode(value)).collect();
        Ok(ids.map(|ids| (ids, last.clone())))
    }
}

async fn member(snapshot: &dyn Snapshot, id: RegistrationId) -> Result<Option<Member>, RegisterError> {
    let Some(row) = snapshot.get(&registration::key(id)).await? else { return Ok(None) };
    let stands = snapshot.get(&standing::key(id)).await?.map(|bytes| Standing::decode(&bytes)).transpose()?;
    Ok(Some(Member { row: RegistrationRow::decode(&row)?, standing: stands.unwrap_or_default() }))
}

/// Where the log may be cut: all but the last `keep` changes. `None`: there are no more than that.
///
/// # Errors
/// If the store does not answer.
pub(super) async fn cut(snapshot: &dyn Snapshot, keep: usize) -> Result<Option<KeyRange>, RegisterError> {
    let last = RangeLimit { entries: keep, reverse: true, ..RangeLimit::default() };
    let page = snapshot.range(&roster_log::all(), last).await?;
    let first = page.entries.into_iter().last().filter(|_| page.more);
    Ok(first.map(|(key, _)| roster_log::before(key)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use siltstone_store::memory::{Chance, Faults, MemoryStore};
    use siltstone_store::{Page, Store, StoreError, Version};

    use super::*;
    use crate::lease::{end, join, members, open_cluster, stand};
    use crate::tests::kit::{ambient, registration_row, seconds};

    /// A snapshot that counts the entries that ranges give.
    struct Counted(Box<dyn Snapshot>, AtomicUsize);

    #[async_trait]
    impl Snapshot for Counted {
        fn version(&self) -> Version {
            self.0.version()
        }

        async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
            self.0.get(key).await
        }

        async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
            let page = self.0.range(range, limit).await?;
            self.1.fetch_add(page.entries.len(), Ordering::Relaxed);
            Ok(page)
        }
    }

    async fn store(seed: u64) -> MemoryStore {
        let store = MemoryStore::new(seed, Faults::none());
        open_cluster(&store, &ambient(seed), 1).await.unwrap();
        store
    }

    fn row(n: u128) -> RegistrationRow {
        RegistrationRow { host: format!("host{n}"), ..registration_row(RegistrationId(n)) }
    }

    async fn look(present: &mut Present, store: &MemoryStore) -> usize {
        let snapshot = Counted(store.snapshot().await.unwrap(), AtomicUsize::new(0));
        present.look(&snapshot).await.unwrap();
        snapshot.1.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_changes_it_knows_what_all_rows_say() {
        for seed in 0..30 {
            let (store, mut chance) = (store(seed).await, Chance::new(seed));
            let (mut present, mut next) = (Present::default(), 1_u128);
            for _ in 0..60 {
                let many = chance.below(10) == 0;
                for _ in 0..chance.below(if many { 150 } else { 4 }) {
                    let some = RegistrationId(1 + u128::from(chance.below(next as u64)));
                    match chance.below(8) {
                        0..3 => {
                            join(&store, row(next), None, Standing::new(200)).await.unwrap();
                            next += 1;
                        }
                        3 | 4 => {
                            let share = Standing::new(chance.below(1000) as u16);
                            stand(&store, some, share).await.unwrap();
                        }
                        5 | 6 => {
                            end(&store, some, 1, None).await.unwrap();
                        }
                        // A program that doesn't know of the log.
                        _ => {
                            let key = registration::key(some);
                            let mutations =
                                vec![siltstone_store::Mutation::Clear { key }, roster_tick::tick()];
                            store
                                .commit(siltstone_store::Commit { mutations, ..Default::default() })
                                .await
                                .unwrap();
                        }
                    }
                }
                look(&mut present, &store).await;
                let mut all = members(&store).await.unwrap();
                all.sort_by_key(|member| member.row.id);
                assert_eq!(present.members().values().cloned().collect::<Vec<_>>(), all, "seed {seed}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn with_many_there_a_look_reads_what_has_changed_and_the_log_stays_short() {
        let (store, mut present) = (store(1).await, Present::default());
        for n in 1..=300 {
            join(&store, row(n), None, Standing::FULL).await.unwrap();
        }
        assert!(look(&mut present, &store).await >= 300, "the first time");
        assert_eq!(look(&mut present, &store).await, 0, "nothing has changed");
        stand(&store, RegistrationId(7), Standing::DRAINING).await.unwrap();
        end(&store, RegistrationId(9), 1, None).await.unwrap();
        join(&store, row(301), None, Standing::new(5)).await.unwrap();
        assert_eq!(look(&mut present, &store).await, 3);
        assert_eq!(present.members().len(), 300);
        assert!(present.members()[&RegistrationId(7)].standing.drains());
        seconds(1).await;
        let log =
            store.snapshot().await.unwrap().range(&roster_log::all(), RangeLimit::default()).await.unwrap();
        assert!(log.entries.len() <= 102, "{} changes are kept", log.entries.len());
    }
}
