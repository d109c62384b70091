//! What a pass would do now, and why, without doing any of it: the same reading and the same plans, and no registration.
//!
//! Merges are shown as one compactor would do them that holds all shards. How long something has been waiting only the compactors
//! that run know: nothing is taken to have waited yet. Nothing here rests on one version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{PartitionId, RegistrationId, SegmentId, ShardId, TopicId, TopicRow, decode_extents};
use siltstone_metadata::catalog::{Catalog, CatalogReadError, CatalogState};
use siltstone_metadata::keys::lease::{self, Task};
use siltstone_metadata::keys::{
    condemned_topic, ended_registration, extent_chunk, segment_row, segment_trash, shard_counted,
};
use siltstone_metadata::shard::LEVEL_COMPACTION;
use siltstone_store::{Entry, KeyRange, Pages, RangeLimit, Store, StoreError};
use tokio::task::JoinSet;

use crate::compact::plan::Plan;
use crate::context::Context;
use crate::plan::merge::{self, Backlog, Merge, Outlook};
use crate::plan::reclaim::Fate;
use crate::plan::release::{self, Trimmed};
use crate::reclaim::{ReclaimError, sweep};
use crate::retain::Trim;
use crate::scan::{self, Chunks, ScanError};
use crate::view::{Class, ShardView, Views};
use crate::worker::config;

/// Segments that are named one by one.
const NAMED: usize = 1000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog can't be read.
    #[error(transparent)]
    Catalog(#[from] CatalogReadError),
    /// A shard can't be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Rows of segments can't be read.
    #[error(transparent)]
    Reclaim(#[from] ReclaimError),
}

/// Extents, and their bytes as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many: extents, or segments.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// What would be done in a shard.
#[derive(Debug, Clone)]
pub struct ShardPlan {
    /// The shard.
    pub shard: ShardId,
    /// Which compactor has it now.
    pub holder: Option<RegistrationId>,
    /// Whether its uses of segments are counted; if not it is left alone.
    pub counted: bool,
    /// Partitions that have a row.
    pub partitions: usize,
    /// What could be merged, by class, [`Class::Flushed`] first.
    pub backlogs: Vec<Backlog>,
    /// Log starts that retention raises.
    pub trims: Vec<Trim>,
    /// What compaction by key does with the partitions of compacted topics, or why it waits.
    pub compactions: Vec<(PartitionId, Plan)>,
    /// What is given up because it lies before a log start.
    pub releases: Vec<(Trimmed, Amount)>,
    /// What is given up of deleted topics.
    pub condemned: Vec<(TopicId, Amount)>,
}

/// What would be reclaimed.
#[derive(Debug, Clone, Default)]
pub struct ReclaimPlan {
    /// Which compactor does it now.
    pub holder: Option<RegistrationId>,
    /// Segments by what is to become of them.
    pub fates: BTreeMap<Fate, Amount>,
    /// Those that become trash; the first thousand.
    pub dead: Vec<SegmentId>,
    /// What is trash already.
    pub trash: Amount,
    /// Registrations whose objects are to be looked through.
    pub ended: Vec<RegistrationId>,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Set if the cluster's feature level is too low: then nothing is done.
    pub level_too_low: Option<u32>,
    /// By shard.
    pub shards: Vec<ShardPlan>,
    /// How things stand with each class, over all shards.
    pub outlook: Vec<Outlook>,
    /// The merge that is due, if one is.
    pub merge: Option<Merge>,
    /// Segments and objects.
    pub reclaim: ReclaimPlan,
    /// Topics by id, for names.
    pub catalog: Arc<CatalogState>,
}

impl Explained {
    /// A topic's name, if it exists.
    pub fn topic(&self, id: TopicId) -> Option<&str> {
        self.catalog.by_id(id).map(|row: &Arc<TopicRow>| row.name.as_str())
    }
}

/// Looks at everything. `cx`: of a registration that needn't exist; nothing is written under it.
///
/// # Errors
/// See [`ExplainError`].
pub async fn explain(cx: &Context) -> Result<Explained, ExplainError> {
    let catalog = Catalog::new(cx.store.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(catalog.clone().run());
    let catalog = catalog.fresh().await?;
    let (rules, mut views, mut shards) = (&cx.settings.merge, Views::new(), Vec::new());
    for shard in (0..cx.shards).map(ShardId) {
        let view = views.entry(shard).or_default();
        scan::shard(cx.store.as_ref(), shard, view, rules).await?;
        shards.push(explain_shard(cx, &catalog, shard, view).await?);
    }
    for due in release::trimmed(&views) {
        let amount = before(cx, &due).await?;
        let plan = shards.iter_mut().find(|plan| plan.shard == due.shard);
        plan.into_iter().for_each(|plan| plan.releases.push((due, amount)));
    }
    Ok(Explained {
        level_too_low: Some(catalog.level()).filter(|level| *level < LEVEL_COMPACTION),
        shards,
        outlook: merge::outlook(&views, Duration::ZERO, rules),
        merge: merge::plan(&views, Duration::ZERO, rules),
        reclaim: explain_reclaim(cx).await?,
        catalog,
    })
}

async fn holder(store: &dyn Store, task: Task) -> Result<Option<RegistrationId>, StoreError> {
    let owner = store.snapshot().await?.get(&lease::owner(task)).await?;
    let owner = owner.as_deref().and_then(lease::decode_owner).map(|(id, _)| id);
    // Zero stands for one that was given up.
    Ok(owner.filter(|id| id.0 != 0))
}

async fn explain_shard(
    cx: &Context,
    catalog: &CatalogState,
    shard: ShardId,
    view: &ShardView,
) -> Result<ShardPlan, ExplainError> {
    let snapshot = cx.store.snapshot().await?;
    let counted = snapshot.get(&shard_counted::key(shard)).await?.is_some();
    let topics = snapshot.range(&condemned_topic::of_shard(shard), RangeLimit::default()).await?;
    drop(snapshot);
    let mut condemned = Vec::new();
    for topic in topics.entries.iter().filter_map(|(key, _)| condemned_topic::parse(key)) {
        condemned.push((topic, all_of(cx, shard, topic).await?));
    }
    let (mut trims, mut compactions) = (Vec::new(), Vec::new());
    for (partition, view) in &view.partitions {
        let Some(topic) = catalog.by_id(partition.topic) else { continue };
        let config = config(catalog, &cx.settings.configs, &topic.configs);
        trims.extend(cx.retention(shard, *partition, view, &config).await?);
        if config.cleanup.compact {
            compactions.push((*partition, cx.compaction(shard, *partition, view, &config).await?));
        }
    }
    let one = Views::from([(shard, view.clone())]);
    let classes = [Class::Flushed, Class::Merged, Class::Small];
    Ok(ShardPlan {
        shard,
        holder: holder(cx.store.as_ref(), Task::Compact(shard)).await?,
        counted,
        partitions: view.partitions.len(),
        backlogs: classes.map(|class| merge::backlog(&one, class, &cx.settings.merge)).into(),
        trims,
        compactions,
        releases: Vec::new(),
        condemned,
    })
}

/// What of a partition lies before its log start.
async fn before(cx: &Context, due: &Trimmed) -> Result<Amount, ExplainError> {
    let mut amount = Amount::default();
    let mut chunks = Chunks::from(cx.store.as_ref(), due.shard, due.partition, 0);
    while let Some(chunk) = chunks.next().await? {
        for extent in &chunk {
            if extent.end() > due.log_start {
                return Ok(amount);
            }
            amount.add(extent.stored_bytes());
        }
    }
    Ok(amount)
}

/// What is left of a deleted topic in a shard.
async fn all_of(cx: &Context, shard: ShardId, topic: TopicId) -> Result<Amount, ExplainError> {
    let mut amount = Amount::default();
    each(cx, extent_chunk::of_topic(shard, topic), |(_, value)| {
        // What can't be read is for fsck to tell.
        decode_extents(value).iter().flatten().for_each(|extent| amount.add(extent.stored_bytes()));
    })
    .await?;
    Ok(amount)
}

/// Calls `with` for every entry of a range.
async fn each(cx: &Context, range: KeyRange, mut with: impl FnMut(&Entry)) -> Result<(), StoreError> {
    let mut pages = Pages::of(range);
    while let Some(page) = pages.next_fresh(cx.store.as_ref()).await? {
        page.iter().for_each(&mut with);
    }
    Ok(())
}

async fn explain_reclaim(cx: &Context) -> Result<ReclaimPlan, ExplainError> {
    let mut plan =
        ReclaimPlan { holder: holder(cx.store.as_ref(), Task::Reclaim).await?, ..Default::default() };
    let mut pages = Pages::of(segment_row::all()).sized(NAMED);
    while let Some((snapshot, page)) = pages.next_seen(cx.store.as_ref()).await? {
        for seen in sweep::look(cx.shards, snapshot.as_ref(), &page).await? {
            plan.fates.entry(seen.fate).or_default().add(seen.row.length);
            if seen.fate == Fate::Dead && plan.dead.len() < NAMED {
                plan.dead.push(seen.id);
            }
        }
    }
    each(cx, segment_trash::all(), |(_, value)| {
        plan.trash.add(segment_trash::decode(value).map_or(0, |(_, length)| length));
    })
    .await?;
    each(cx, ended_registration::all(), |(key, _)| plan.ended.extend(ended_registration::parse(key))).await?;
    Ok(plan)
}
