//! What is left of a batch without the records of some keys.
//!
//! Guarantees, as compaction does (see [`crate::rewritten`]): of what is kept nothing changes; the batch keeps its offsets, producer, sequence, flags and
//! codec, also where no record is left, so that a reader's position gets behind it. A batch without such a record is not copied.

use bytes::Bytes;

use crate::{Batch, RewriteError, Scratch, emptied, rewritten};

/// The batch without the records whose keys are `meant`, and how many those are; `None` if there are none. Records without a key are never meant, nor are those
/// of control batches. `max` bounds the bytes of the decompressed records.
///
/// # Errors
/// See [`RewriteError`]. The batch must not be given to anybody then.
pub fn without(
    batch: &Batch,
    meant: impl Fn(&[u8]) -> bool,
    max: usize,
    scratch: &mut Scratch,
) -> Result<Option<(Bytes, u32)>, RewriteError> {
    if batch.attributes.is_control() || batch.count == 0 {
        return Ok(None);
    }
    let records = batch.records(max, scratch).map_err(RewriteError::records(batch))?;
    let mut going = Vec::new();
    for record in &records {
        let record = record.map_err(RewriteError::records(batch))?;
        if record.key.is_some_and(&meant) {
            going.push(record.offset_delta);
        }
    }
    if going.is_empty() {
        return Ok(None);
    }
    let gone = going.len() as u32;
    if going.len() == usize::try_from(batch.count).unwrap_or(0) {
        return Ok(Some((emptied(batch, scratch).map_err(RewriteError::build(batch))?, gone)));
    }
    // Deltas grow within a batch: what goes is met in the order in which it was found.
    let mut next = going.into_iter().peekable();
    let kept =
        records.iter().map_while(Result::ok).filter(|record| next.next_if_eq(&record.offset_delta).is_none());
    let left = rewritten(batch, kept, None, None, scratch).map_err(RewriteError::build(batch))?;
    Ok(Some((left, gone)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, Compression, Marker, NewRecord, Producer, control_batch};

    const MAX: usize = 1 << 20;

    fn batch(keys: &[Option<&[u8]>], codec: Compression) -> Batch {
        let producer = Producer { id: 7, epoch: 3, base_sequence: 40 };
        let mut builder = BatchBuilder::new().base_offset(100).producer(producer).transactional(true);
        for (at, key) in keys.iter().enumerate() {
            let value = format!("value {at}");
            let (value, timestamp) = (Some(value.as_bytes()), 1_000 + at as i64);
            builder.push(&NewRecord { timestamp, key: *key, value, headers: &[("h", Some(b"x"))] }).unwrap();
        }
        Batch::parse(&builder.compression(codec, None).build(&mut Scratch::new()).unwrap()).unwrap()
    }

    /// What a reader sees of a record.
    type Seen = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, usize);

    fn seen(batch: &Batch) -> Vec<Seen> {
        let records = batch.records(MAX, &mut Scratch::new()).unwrap();
        let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let record = |record: crate::RecordView<'_>| {
            (record.offset, record.timestamp, own(record.key), own(record.value), record.header_count())
        };
        records.iter().map(|found| record(found.unwrap())).collect()
    }

    const KEYS: [Option<&[u8]>; 5] = [Some(b"a"), Some(b"b"), None, Some(b"a"), Some(b"")];

    #[test]
    fn only_what_is_meant_goes_with_every_codec() {
        for id in 0..5 {
            let whole = batch(&KEYS, Compression::from_id(id).unwrap());
            let (left, gone) = without(&whole, |key| key == b"a", MAX, &mut Scratch::new()).unwrap().unwrap();
            let left = Batch::parse(&left).unwrap();
            assert!(left.crc_is_valid() && gone == 2);
            let expected: Vec<Seen> =
                seen(&whole).into_iter().filter(|seen| seen.2.as_deref() != Some(b"a")).collect();
            assert_eq!(seen(&left), expected);
            let kept =
                |batch: &Batch| (batch.base_offset, batch.last_offset(), batch.producer(), batch.attributes);
            assert_eq!(kept(&left), kept(&whole));
        }
    }

    #[test]
    fn a_batch_of_nothing_else_stays_as_an_empty_one() {
        let whole = batch(&[Some(b"a"), Some(b"a")], Compression::Gzip);
        let (left, gone) = without(&whole, |key| key == b"a", MAX, &mut Scratch::new()).unwrap().unwrap();
        let left = Batch::parse(&left).unwrap();
        assert_eq!((left.crc_is_valid(), left.count, gone), (true, 0, 2));
        assert_eq!((left.last_offset(), left.producer()), (whole.last_offset(), whole.producer()));
        assert_eq!(
            without(&left, |_| true, MAX, &mut Scratch::new()),
            Ok(None),
            "there is nothing left to take"
        );
    }

    #[test]
    fn what_holds_none_is_left_alone() {
        let whole = batch(&KEYS, Compression::Zstd);
        assert_eq!(without(&whole, |key| key == b"c", MAX, &mut Scratch::new()), Ok(None));
        let control = Batch::parse(&control_batch(Marker::Commit, 7, 0, 0, 5)).unwrap();
        assert_eq!(without(&control, |_| true, MAX, &mut Scratch::new()), Ok(None));
        let nulls = batch(&[None, None], Compression::None);
        assert_eq!(without(&nulls, |_| true, MAX, &mut Scratch::new()), Ok(None), "no key, no match");
        let cut = without(&whole, |_| true, 3, &mut Scratch::new());
        assert!(matches!(cut, Err(RewriteError::Records { offset: 100, .. })), "{cut:?}");
    }
}
