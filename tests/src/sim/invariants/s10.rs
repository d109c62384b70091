//! S10: at most one holder's writes take effect for a lease; for registrations: none after the end; for shards that are compacted: none by anybody
//! who does not hold the shard's lease.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{Append, RegistrationId, SegmentId, ShardId, decode_extents};
use siltstone_metadata::keys::extent_chunk;
use siltstone_metadata::keys::lease::{self, Task};

use super::{Violation, fail, s8};
use crate::sim::oracle::{Oracle, at_once};

const NAME: &str = "S10";

/// An append takes effect: its registration must not have ended in that shard.
pub(in crate::sim) fn alive(append: &Append, ended: &BTreeSet<RegistrationId>) -> Result<(), Violation> {
    if ended.contains(&append.registration) {
        return fail(NAME, format!("{:?} appends after its end", append.registration));
    }
    Ok(())
}

/// Who was seen to hold a shard's lease, and which merged segments were found in it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    holders: BTreeMap<ShardId, BTreeSet<RegistrationId>>,
    segments: BTreeMap<ShardId, BTreeSet<SegmentId>>,
    chunks: BTreeMap<ShardId, Vec<(bytes::Bytes, bytes::Bytes)>>,
}

impl Seen {
    /// Sees who holds what.
    pub(super) fn look(&mut self, oracle: &Oracle) {
        let snapshot = oracle.store.peek();
        for shard in oracle.shards.iter().map(|history| history.state.id()) {
            let owner = at_once(snapshot.get(&lease::owner(Task::Compact(shard)))).ok().flatten();
            let holder = owner.as_deref().and_then(lease::decode_owner).map(|(holder, _)| holder);
            self.holders.entry(shard).or_default().extend(holder);
        }
    }

    /// What has come in since the last time must be of those who held the lease since then.
    pub(super) fn published(&mut self, oracle: &Oracle) -> Result<(), Violation> {
        let snapshot = oracle.store.peek();
        for shard in oracle.shards.iter().map(|history| history.state.id()) {
            let chunks = s8::all(snapshot.as_ref(), &extent_chunk::of_shard(shard));
            let holders = self.holders.insert(shard, BTreeSet::new()).unwrap_or_default();
            if self.chunks.get(&shard) == Some(&chunks) {
                continue;
            }
            let known = self.segments.remove(&shard).unwrap_or_default();
            let extents = chunks.iter().filter_map(|(_, value)| decode_extents(value).ok()).flatten();
            let merged = extents.filter(|extent| extent.level() > 0).filter_map(|extent| extent.segment());
            let merged: BTreeSet<SegmentId> = merged.map(|segment| segment.id).collect();
            if let Some(of) = merged.difference(&known).find(|of| !holders.contains(&of.registration)) {
                let what = format!("{of:?} is published in shard {}, whose lease had {holders:?}", shard.0);
                return fail(NAME, what);
            }
            self.segments.insert(shard, merged);
            self.chunks.insert(shard, chunks);
        }
        self.look(oracle);
        Ok(())
    }
}
