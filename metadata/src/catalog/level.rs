//! The cluster's feature level: which rows and entries its programs may write (design, section 2). It never sinks.

use bytes::Bytes;
use siltstone_log::{CatalogEntry, ClusterRow, Entry, RegistrationRow, ShardId};
use siltstone_store::Mutation;

use super::change::{CatalogError, Changes, Plan};
use crate::bugs::{self, Bug};
use crate::keys::{catalog_log, catalog_tick, cluster, registration, shard_log, shard_tick};
use crate::shard::MAX_LEVEL;

/// What [`Changes::raise_level_for_all`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The level before.
    pub from: u32,
    /// The level now.
    pub to: u32,
    /// Registered processes that know no more than this level, though this program does.
    pub held_by: Vec<RegistrationRow>,
}

impl Changes {
    /// Raises the feature level for the whole cluster, whoever else is there: catalog and every shard, at once.
    ///
    /// # Errors
    /// [`CatalogError::Refused`] if this program doesn't know the level; [`CatalogError::Unavailable`].
    pub async fn raise_level(&self, level: u32) -> Result<u32, CatalogError> {
        if level > MAX_LEVEL {
            return Err(CatalogError::Refused(format!(
                "feature level {level} is beyond this program's {MAX_LEVEL}"
            )));
        }
        self.run(cluster::key(), |found| {
            let row = decoded(found)?;
            if row.level >= level {
                return Ok(Err(row.level));
            }
            Ok(Ok(Plan { mutations: self.raising(row, level), answer: level }))
        })
        .await
    }

    /// Raises the feature level to the highest that this program and every registered process follows. One that registers meanwhile either is
    /// counted, or finds the new level and refuses to start if it can't follow it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`]; [`CatalogError::Format`].
    pub async fn raise_level_for_all(&self) -> Result<Raised, CatalogError> {
        self.run_beside(cluster::key(), Some(registration::all()), |found, others| {
            let row = decoded(found)?;
            let others = others.iter().map(|(_, value)| RegistrationRow::decode(value));
            let others: Vec<RegistrationRow> = others.collect::<Result<_, _>>()?;
            let known =
                others.iter().map(|other| other.highest_level).min().filter(|_| !bugs::on(Bug::RaiseUnasked));
            let (from, to) = (row.level, known.unwrap_or(MAX_LEVEL).min(MAX_LEVEL).max(row.level));
            let holds = |other: &RegistrationRow| to < MAX_LEVEL && other.highest_level <= to;
            let raised = Raised { from, to, held_by: others.into_iter().filter(holds).collect() };
            if to == from {
                return Ok(Err(raised));
            }
            Ok(Ok(Plan { mutations: self.raising(row, to), answer: raised }))
        })
        .await
    }

    fn raising(&self, row: ClusterRow, level: u32) -> Vec<Mutation> {
        let row = ClusterRow { level, ..row };
        let mut mutations = vec![
            Mutation::Set { key: cluster::key(), value: row.encode().into() },
            catalog_log::append(0, CatalogEntry::Feature { level }.encode()),
            catalog_tick::tick(),
        ];
        let entry: Bytes = Entry::Feature { level }.encode().into();
        for shard in (0..self.shards).map(ShardId) {
            mutations.push(shard_log::append(shard, 0, entry.clone()));
            mutations.push(shard_tick::tick(shard));
        }
        mutations
    }
}

fn decoded(found: Option<Bytes>) -> Result<ClusterRow, CatalogError> {
    let found = found.ok_or_else(|| CatalogError::Unavailable("there is no cluster yet".into()))?;
    Ok(ClusterRow::decode(&found)?)
}
