//! Reading a whole range page by page, up to a cap that the caller names.

use crate::{Entry, KeyRange, RangeLimit, Snapshot, StoreError};

/// Why [`read_all`] did not return a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadAllError {
    /// A page could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The range holds more than the cap. What it was meant to hold is bounded, so this is a defect or corruption.
    #[error("a range holds more than {cap} bytes")]
    OverCap {
        /// The cap, bytes of keys and values.
        cap: usize,
    },
}

/// All entries of `range` in key order, if keys and values together are at most `cap` bytes.
///
/// # Errors
/// [`ReadAllError`]; nothing is returned in part.
pub async fn read_all(
    snapshot: &dyn Snapshot,
    range: &KeyRange,
    cap: usize,
) -> Result<Vec<Entry>, ReadAllError> {
    let mut rest = range.clone();
    let (mut all, mut bytes) = (Vec::new(), 0_usize);
    loop {
        // An empty page is the end, whatever it says of more: a page holds an entry if there is one.
        let page = snapshot.range(&rest, RangeLimit::default()).await?;
        bytes += page.entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if bytes > cap {
            return Err(ReadAllError::OverCap { cap });
        }
        let next = page.entries.last().filter(|_| page.more).map(|(last, _)| KeyRange::key(last.clone()).end);
        all.extend(page.entries);
        match next {
            Some(next) => rest.begin = next,
            None => return Ok(all),
        }
    }
}
