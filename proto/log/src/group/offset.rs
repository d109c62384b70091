//! Committed and pending offsets of a group, one row per partition.
//!
//! ```text
//! offset := version u8 (1) | offset zigzag | leader epoch zigzag | commit time ms zigzag
//!           | expires u8 (0 as the cluster says, 1: at ms zigzag) | metadata string
//! string := length varint | UTF-8
//! ```

use crate::codec::{FormatError, Reader, Write};

const VERSION: u8 = 1;

/// A committed offset of a partition, or one that is pending in a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetRow {
    /// The next offset to be read.
    pub offset: i64,
    /// Its leader epoch, or -1.
    pub leader_epoch: i32,
    /// When it was committed, milliseconds since the Unix epoch.
    pub committed: i64,
    /// When it expires, if its committer said so.
    pub expires: Option<i64>,
    /// What its committer wrote beside it.
    pub metadata: String,
}

impl OffsetRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.zigzag(self.offset);
        out.zigzag(i64::from(self.leader_epoch));
        out.zigzag(self.committed);
        match self.expires {
            None => out.push(0),
            Some(at) => {
                out.push(1);
                out.zigzag(at);
            }
        }
        out.string(&self.metadata);
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The bytes are not such a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("offset", VERSION..=VERSION)?;
        let offset = reader.zigzag("offset")?;
        let epoch = reader.zigzag("leader epoch")?;
        let leader_epoch = i32::try_from(epoch).map_err(|_| reader.invalid("leader epoch"))?;
        let committed = reader.zigzag("commit time")?;
        let expires = match reader.u8("expires")? {
            0 => None,
            1 => Some(reader.zigzag("expiry")?),
            _ => return Err(reader.invalid("expires")),
        };
        let metadata = reader.string("metadata")?;
        reader.end("offset")?;
        Ok(OffsetRow { offset, leader_epoch, committed, expires, metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(offset: i64, leader_epoch: i32, committed: i64, expires: Option<i64>, metadata: String) {
            let row = OffsetRow { offset, leader_epoch, committed, expires, metadata };
            prop_assert_eq!(OffsetRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn rubbish_is_refused_or_read_whole(bytes: Vec<u8>) {
            drop(OffsetRow::decode(&bytes));
        }
    }

    #[test]
    fn rows_of_version_1_open_for_ever() {
        let bytes = [1, 84, 1, 208, 15, 1, 160, 31, 1, b'm'];
        let row = OffsetRow {
            offset: 42,
            leader_epoch: -1,
            committed: 1000,
            expires: Some(2000),
            metadata: "m".into(),
        };
        assert_eq!(OffsetRow::decode(&bytes), Ok(row.clone()));
        assert_eq!(row.encode(), bytes);
    }
}
