//! Which transactions that a reader comes across were aborted.

use siltstone_log::{Aborted, PartitionId};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::rows;
use siltstone_metadata::shard::PartitionState;

use super::error::FetchError;
use super::reader::Reader;

impl Reader {
    /// Aborted transactions with records in offsets `from..to`, all of them below the last stable offset; in the order of their ends.
    ///
    /// `in_rows` says where the records were read from, and that is where one must look for those that end among them: rows tell of every transaction
    /// with an end among their extents, and what compaction has taken out of both the fold may hold for a while. Whoever is told of such a
    /// transaction waits for an end that is gone, and drops what its producer has written since.
    pub(super) async fn aborted(
        &self,
        partition: PartitionId,
        from: i64,
        to: i64,
        in_rows: bool,
    ) -> Result<Vec<Aborted>, FetchError> {
        let look = |state: &PartitionState| {
            (state.aborted_between(from, to).collect::<Vec<_>>(), state.has_stored_aborted(from))
        };
        let (held, stored) = self.state(partition, look).await?;
        let none = held.is_empty() && !stored;
        if none || !stored && !in_rows || bugs::on(Bug::AbortedChunksIgnored) {
            return Ok(held);
        }
        // Read behind the state: what the fold has let go of since is in chunks by now.
        let snapshot = self.store.snapshot().await?;
        let shard = self.followers.of(partition).id();
        let mut all = rows::aborted_between(snapshot.as_ref(), shard, partition, from, to).await?;
        let told = all.last().map_or(-1, |last| last.last);
        // One that ends behind what was read may end behind the row, too, which knows nothing of it then. Its end can't have gone: nobody waits for it
        // in this answer.
        let known = if in_rows { told.max(to - 1) } else { told };
        let known = if in_rows && bugs::on(Bug::AbortedInRowsOnly) { i64::MAX } else { known };
        all.extend(held.into_iter().filter(|aborted| aborted.last > known));
        Ok(all)
    }
}
