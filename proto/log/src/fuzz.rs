//! Decoders as fuzz targets: any bytes go in, and what comes out must survive another round.
//!
//! A decoder may refuse; it may not panic. What it accepts need not be what our encoder writes (a varint may be longer than it must be),
//! but encoding that and decoding again gives the same value. A target panics if not: that is what a fuzzer looks for.

use std::fmt::Debug;

use crate::{
    CatalogEntry, CleanedRow, ClusterRow, ConsumerHeadRow, ConsumerMemberRow, Entry, ErasedObject,
    ErasureRow, Footer, FormatError, PartitionRow, RegistrationRow, SegmentRow, ShardHead, Standing,
    TRAILER_BYTES, TopicRow, TxnRow, decode_aborted, decode_configs, decode_extents, encode_aborted,
    encode_configs, encode_extents,
};

fn stable<T: PartialEq + Debug>(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, FormatError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let Ok(value) = decode(data) else { return };
    let bytes = encode(&value);
    let again = decode(&bytes);
    assert_eq!(again.as_ref(), Ok(&value), "what was accepted must survive a round trip");
    assert_eq!(again.map(|again| encode(&again)), Ok(bytes), "encoding is a function of the value");
}

/// Shard-log entries.
pub fn fuzz_entry(data: &[u8]) {
    stable(data, Entry::decode, Entry::encode);
}

/// Segment footers: the bytes as a whole, a trailer's length alone, and the bytes, without a trailer that they may have, as a footer whose
/// checksum is right.
pub fn fuzz_footer(data: &[u8]) {
    stable(data, Footer::decode, Footer::encode);
    // Only whether it panics counts here.
    let _ = Footer::length(data);
    for body in [data, &data[..data.len().saturating_sub(TRAILER_BYTES)]] {
        let mut sealed = body.to_vec();
        sealed.extend_from_slice(&(body.len() as u32).to_be_bytes());
        sealed.extend_from_slice(&crc32c::crc32c(body).to_be_bytes());
        sealed.extend_from_slice(b"SILT");
        stable(&sealed, Footer::decode, Footer::encode);
    }
}

/// Partition rows, chunks of extents and of aborted transactions, how far partitions are compacted, and shard heads.
pub fn fuzz_rows(data: &[u8]) {
    stable(data, PartitionRow::decode, PartitionRow::encode);
    stable(data, decode_extents, |extents| encode_extents(extents));
    stable(data, decode_aborted, |entries| encode_aborted(entries));
    stable(data, CleanedRow::decode, CleanedRow::encode);
    stable(data, ShardHead::decode, ShardHead::encode);
    stable(data, SegmentRow::decode, SegmentRow::encode);
    stable(data, ErasureRow::decode, ErasureRow::encode);
    stable(data, ErasedObject::decode, ErasedObject::encode);
}

/// Rows of the catalog and entries of its log.
pub fn fuzz_catalog(data: &[u8]) {
    stable(data, TopicRow::decode, TopicRow::encode);
    stable(data, ClusterRow::decode, ClusterRow::encode);
    stable(data, RegistrationRow::decode, RegistrationRow::encode);
    stable(data, Standing::decode, Standing::encode);
    stable(data, CatalogEntry::decode, CatalogEntry::encode);
    stable(data, decode_configs, encode_configs);
}

/// Rows of groups.
pub fn fuzz_groups(data: &[u8]) {
    stable(data, ConsumerHeadRow::decode, ConsumerHeadRow::encode);
    stable(data, ConsumerMemberRow::decode, ConsumerMemberRow::encode);
}

/// Rows of transactional ids.
pub fn fuzz_transactions(data: &[u8]) {
    stable(data, TxnRow::decode, TxnRow::encode);
}
