//! The records of a batch, as slices of its bytes or of what they decompress to.
//!
//! Guarantees: errors instead of panics, and no allocation by a count from the wire. Uncompressed records are not copied.

use std::iter::FusedIterator;

use bytes::Bytes;

use crate::header::{Header, TimestampType};
use crate::walk::{RecordsError, SliceSource, Source, Walked, record, varint};
use crate::{Batch, Compression, Scratch, decompress};

/// A batch's records, decompressed.
#[derive(Debug, Clone)]
pub struct Records {
    header: Header,
    bytes: Bytes,
}

impl Batch {
    /// This batch's records, at most `max` bytes of them once decompressed. Copies only if they are compressed.
    pub fn records(&self, max: usize, scratch: &mut Scratch) -> Result<Records, RecordsError> {
        let codec = self.attributes.compression().map_err(RecordsError::Codec)?;
        let bytes = match codec {
            Compression::None => self.body(),
            codec => decompress(codec, &self.bytes()[crate::HEADER_LEN..], max, scratch)?.into(),
        };
        Ok(Records { header: *self.header(), bytes })
    }
}

impl Records {
    /// The records' bytes, decompressed. Slices that [`RecordIter`] yields are within them (see `Bytes::slice_ref`).
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The records, in order.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter { header: self.header, source: SliceSource::new(&self.bytes), read: 0, failed: false }
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<RecordView<'a>, RecordsError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// One record, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Unused by Kafka so far; kept as it came.
    pub attributes: i8,
    /// Offset: the batch's base offset plus the delta.
    pub offset: i64,
    /// Offset less the batch's base offset.
    pub offset_delta: i32,
    /// In ms since 1970: the record's own, or the batch's append time, as the batch says.
    pub timestamp: i64,
    /// Key, if it isn't null.
    pub key: Option<&'a [u8]>,
    /// Value; null is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    header_count: u32,
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The headers, in order.
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter { left: self.header_count, source: SliceSource::new(self.headers) }
    }

    /// How many headers there are.
    pub fn header_count(&self) -> usize {
        self.header_count as usize
    }
}

/// Iterator over records. After an error there is nothing more.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    header: Header,
    source: SliceSource<'a>,
    read: i32,
    failed: bool,
}

impl<'a> RecordIter<'a> {
    fn read(&mut self) -> Result<RecordView<'a>, RecordsError> {
        let walked = record(&mut self.source)?;
        self.read += 1;
        if self.read == self.header.count && !self.source.at_end()? {
            return Err(RecordsError::Remaining);
        }
        view(&self.header, &self.source, walked)
    }
}

fn view<'a>(
    header: &Header,
    source: &SliceSource<'a>,
    walked: Walked,
) -> Result<RecordView<'a>, RecordsError> {
    if walked.offset_delta < 0 {
        return Err(RecordsError::OffsetDelta(walked.offset_delta));
    }
    let timestamp = match header.attributes.timestamp_type() {
        TimestampType::LogAppend => header.max_timestamp,
        TimestampType::Create => {
            header.base_timestamp.checked_add(walked.timestamp_delta).ok_or(RecordsError::Timestamp)?
        }
    };
    Ok(RecordView {
        attributes: walked.attributes,
        offset: header.base_offset.saturating_add(i64::from(walked.offset_delta)),
        offset_delta: walked.offset_delta,
        timestamp,
        key: walked.key.map(|(from, to)| source.between(from, to)),
        value: walked.value.map(|(from, to)| source.between(from, to)),
        header_count: walked.header_count,
        headers: source.between(walked.headers.0, walked.headers.1),
    })
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = match self.header.count {
            count if count < 0 => Err(RecordsError::Count(count)),
            count if self.read >= count && self.read > 0 => return None,
            // A batch that compaction emptied: there must be nothing at all.
            0 if self.source.at_end() == Ok(true) => return None,
            0 => Err(RecordsError::Remaining),
            _ => self.read(),
        };
        self.failed = next.is_err();
        Some(next)
    }
}

impl FusedIterator for RecordIter<'_> {}

/// Iterator over a record's headers: name (UTF-8 by Kafka's rule, not checked here) and value, which may be null.
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    left: u32,
    source: SliceSource<'a>,
}

impl<'a> HeaderIter<'a> {
    fn part(&mut self) -> Option<Option<&'a [u8]>> {
        match varint(&mut self.source).ok()? {
            len if len < 0 => Some(None),
            len => Some(Some(self.source.take(len as usize).ok()?)),
        }
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    // The record that these are from was walked, so nothing can fail here; if it did, the headers would just end.
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((self.part()??, self.part()?))
    }
}
