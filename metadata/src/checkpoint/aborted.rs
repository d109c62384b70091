//! Writing aborted transactions, in chunks beside a partition's row.

use siltstone_log::{
    Aborted, AbortedRow, ChunkRow, PartitionId, PartitionRow, decode_aborted, encode_aborted,
};
use siltstone_store::Snapshot;

use super::batch::{Batch, PER_CHUNK, room};
use super::rows::corrupt;
use super::{CheckpointError, Checkpointer};
use crate::bugs::{self, Bug};
use crate::keys::aborted_chunk;
use crate::shard::FoldAborted;

impl Checkpointer {
    /// Adds the aborted transactions that the old row's chunks don't have.
    pub(super) async fn add_aborted(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        id: PartitionId,
        old: &PartitionRow,
        row: &mut PartitionRow,
        held: &[FoldAborted],
    ) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        row.aborted = old.aborted;
        let news = held.iter().filter(|held| held.position > old.horizon).map(|held| held.aborted);
        let mut new: Vec<Aborted> = news.collect();
        let Some(last) = new.last().map(|aborted| aborted.last) else { return Ok(()) };
        // A chunk that is written again keeps its key, though the compactor may have taken its first entries: under another one its entries would be there
        // twice, and what is taken from one chunk would still be in the other.
        let mut key_of_old = None;
        if let Some(chunk) = old.aborted.map(|aborted| aborted.chunk).filter(|chunk| room(chunk, new.len())) {
            let key = aborted_chunk::key(shard, id, chunk.base);
            if let Some(bytes) = batch.read(snapshot, key).await? {
                let whole = decode_aborted(&bytes).map_err(|error| corrupt(shard, row.horizon, id, error))?;
                new.splice(0..0, whole);
                key_of_old = Some(chunk.base).filter(|_| !bugs::on(Bug::AbortedRekeyed));
            }
        }
        for some in new.chunks(PER_CHUNK) {
            let base = key_of_old.take().unwrap_or(some[0].last);
            let chunk = ChunkRow { base, extents: some.len() as u32 };
            batch.set(aborted_chunk::key(shard, id, chunk.base), encode_aborted(some));
            row.aborted = Some(AbortedRow { chunk, last });
        }
        Ok(())
    }
}
