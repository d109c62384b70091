//! What fuzz targets call.

use bytes::Bytes;

use crate::{Rules, Scratch, TimestampType, batches, end_transaction, stored_header, validate};

const CAP: usize = 1 << 20;

/// Parses, validates and iterates arbitrary bytes, and checks that what was accepted holds together. Must not panic and
/// must stay within a few MiB, whatever the bytes.
pub fn fuzz_batches(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let mut scratch = Scratch::new();
    for batch in batches(bytes.clone()) {
        let Ok(batch) = batch else { break };
        let Ok(records) = batch.records(CAP, &mut scratch) else { continue };
        for record in records.iter().map_while(Result::ok) {
            assert_eq!(record.headers().count(), record.header_count());
            end_transaction(&record);
        }
    }
    check(&bytes, &mut scratch);
    // Few inputs have the right CRC by chance: with it set right, the checks behind it are reached.
    if data.len() > crate::HEADER_LEN {
        let mut fixed = data.to_vec();
        fixed[0..8].fill(0);
        fixed[8..12].copy_from_slice(&(data.len() as i32 - 12).to_be_bytes());
        fixed[16] = 2;
        let crc = crc32c::crc32c(&fixed[21..]);
        fixed[17..21].copy_from_slice(&crc.to_be_bytes());
        check(&fixed.into(), &mut scratch);
    }
}

/// What validation accepts must iterate without error to what validation found.
fn check(bytes: &Bytes, scratch: &mut Scratch) {
    for timestamp_type in [TimestampType::Create, TimestampType::LogAppend] {
        let rules = Rules { max_decompressed: CAP, timestamp_type, ..Rules::defaults(1_700_000_000_000) };
        let Ok(checked) = validate(bytes, &rules, scratch) else { continue };
        let records = checked.batch.records(CAP.max(bytes.len()), scratch);
        assert!(records.is_ok_and(|records| {
            records.iter().count() == checked.count as usize && records.iter().all(|record| record.is_ok())
        }));
        if let Some(header) = stored_header(&checked) {
            let stored = [&header[..], &bytes[crate::HEADER_LEN..]].concat();
            let stored = crate::Batch::parse(&stored.into());
            assert!(
                stored
                    .is_ok_and(|batch| batch.crc_is_valid() && batch.max_timestamp == checked.max_timestamp)
            );
        }
    }
}
