//! Hiding what is being erased: batches are made anew without it, as long as objects may still hold it.
//!
//! Guarantees: what an answer holds was filtered by every erasure that this agent knew of when the answer was complete; batches that hold nothing of the
//! kind leave as they lie. Memory is bounded: few batches are decompressed at a time.

use siltstone_log::Extent;
use siltstone_metadata::follow::ShardError;
use siltstone_metadata::shard::Hidden;
use siltstone_objects::cache::Rope;
use siltstone_records::{Batch, MAX_DECOMPRESSED, Scratch, without};

use super::error::FetchError;
use super::poll::FetchResult;
use super::reader::{Part, Reader, take};
use super::walk::{Found, Pieces, Walk};

/// Extents that are filtered at once, over all connections: each may hold a decompressed batch.
pub(super) const AT_ONCE: usize = 2;
/// Extents of so many bytes are filtered on the spot, where none of their batches has more than [`LITTLE_DECOMPRESSED`] once decompressed.
const LITTLE: u32 = 32 << 10;
const LITTLE_DECOMPRESSED: usize = 128 << 10;

impl Reader {
    /// Takes the batches of an extent that are wanted, without what is hidden. Whether there is no room for more, and all pieces so far.
    pub(super) async fn take_shown(
        &self,
        extent: Extent,
        rope: Rope,
        part: &Part,
        mut pieces: Pieces,
    ) -> Result<(Result<bool, String>, Pieces), FetchError> {
        if !part.hidden.concerns(extent.base) {
            let full = take(&extent, &rope, part, &mut pieces);
            return Ok((full, pieces));
        }
        let interrupted = || FetchError::Unavailable("interrupted".to_owned());
        let _one_of_few = self.filtering.acquire().await.map_err(|_| interrupted())?;
        let mut part = part.clone();
        if extent.length <= LITTLE {
            part.most = LITTLE_DECOMPRESSED;
            if let Ok(full) = take(&extent, &rope, &part, &mut pieces) {
                return Ok((Ok(full), pieces));
            }
            // From where it did not go on.
            part.most = MAX_DECOMPRESSED;
            part.offset = pieces.end.map_or(part.offset, |end| end.max(part.offset));
        }
        let work = move || (take(&extent, &rope, &part, &mut pieces), pieces);
        tokio::task::spawn_blocking(work).await.map_err(|_| interrupted())
    }

    /// Gives back nothing where more is hidden by now than when it was read, or the shard was let go meanwhile: its reader asks again. Where this agent can't
    /// tell any more, or the partition is gone, the reader is told so. Whether there is such a one that would be given something if it was read anew.
    pub(super) fn withhold(&self, results: &mut [FetchResult]) -> bool {
        let mut again = false;
        for result in results.iter_mut().filter(|result| result.bytes > 0) {
            let shard = self.followers.of(result.partition);
            let still = shard.partition(result.partition, |state| match &result.hidden {
                Some(hidden) => hidden.is_all_of(state.row()),
                None => state.row().erasures.is_empty(),
            });
            result.records = match still {
                Ok(true) => continue,
                Ok(false) | Err(ShardError::NotLoaded(_)) => {
                    again = true;
                    Ok(Vec::new())
                }
                Err(error) => Err(error.into()),
            };
            (result.bytes, result.aborted) = (0, Vec::new());
        }
        again
    }
}

/// What is to be given of a batch in place of its own bytes; `None`: these.
///
/// # Errors
/// The batch can't be read.
pub(super) fn shown(
    walk: &Walk<'_>,
    found: &Found,
    hidden: &Hidden,
    most: usize,
    scratch: &mut Scratch,
) -> Result<Option<Batch>, String> {
    if !hidden.concerns(found.base) {
        return Ok(None);
    }
    let batch = Batch::parse(&walk.bytes(found)).map_err(|error| error.to_string())?;
    let left = without(&batch, |key| hidden.hides(found.base, key), most, scratch);
    let Some((bytes, _)) = left.map_err(|error| error.to_string())? else { return Ok(None) };
    Batch::parse(&bytes).map(Some).map_err(|error| error.to_string())
}
