//! A request for bytes of a segment.

use std::ops::Range;

use bytes::Bytes;
use siltstone_log::{RegistrationId, SegmentId, SegmentPlace};

use crate::{MAX_RANGE, ReadRequest};

/// Who asks whom for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The cluster's id.
    pub cluster: String,
    /// Its incarnation.
    pub incarnation: u128,
    /// The life of the agent that asks.
    pub sender: RegistrationId,
    /// The life of the agent that is meant.
    pub receiver: RegistrationId,
    /// The segment, never an inline one.
    pub segment: SegmentPlace,
    /// Bytes of it: at least one, at most [`MAX_RANGE`], none beyond its end.
    pub range: Range<u64>,
    /// How long the asker waits, milliseconds.
    pub patience_ms: u32,
}

/// A request that no agent sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAsk {
    /// An id that does not have 16 bytes.
    #[error("{0} must have 16 bytes")]
    Id(&'static str),
    /// Nothing, too much, or what the segment does not have.
    #[error("bytes {start} to {end} of a segment of {length} bytes can't be asked for")]
    Range {
        /// First byte.
        start: u64,
        /// Behind the last one.
        end: u64,
        /// The segment's length.
        length: u64,
    },
}

fn id(bytes: &[u8], name: &'static str) -> Result<u128, BadAsk> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| BadAsk::Id(name))
}

fn bytes(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

impl Ask {
    /// Whether so many bytes can be asked for at once.
    pub fn fits(range: &Range<u64>) -> bool {
        range.end > range.start && range.end - range.start <= MAX_RANGE
    }

    /// How many bytes are wanted.
    pub fn wanted(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// As it is sent.
    pub fn encode(&self) -> ReadRequest {
        ReadRequest {
            cluster: self.cluster.clone(),
            incarnation: bytes(self.incarnation),
            sender: bytes(self.sender.0),
            receiver: bytes(self.receiver.0),
            writer: bytes(self.segment.id.registration.0),
            number: self.segment.id.number,
            length: self.segment.length,
            start: self.range.start,
            end: self.range.end,
            patience_ms: self.patience_ms,
        }
    }

    /// Reads and checks a request.
    ///
    /// # Errors
    /// See [`BadAsk`]: whoever sent it is no agent of this kind.
    pub fn decode(request: &ReadRequest) -> Result<Ask, BadAsk> {
        let ReadRequest { start, end, length, .. } = *request;
        let range = start..end;
        if !Ask::fits(&range) || end > length {
            return Err(BadAsk::Range { start, end, length });
        }
        let registration = RegistrationId(id(&request.writer, "the writer")?);
        Ok(Ask {
            cluster: request.cluster.clone(),
            incarnation: id(&request.incarnation, "the incarnation")?,
            sender: RegistrationId(id(&request.sender, "the sender")?),
            receiver: RegistrationId(id(&request.receiver, "the receiver")?),
            segment: SegmentPlace {
                id: SegmentId { registration, number: request.number },
                inline: false,
                length,
            },
            range,
            patience_ms: request.patience_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask() -> Ask {
        Ask {
            cluster: "a-cluster".into(),
            incarnation: 7,
            sender: RegistrationId(1),
            receiver: RegistrationId(2),
            segment: SegmentPlace {
                id: SegmentId { registration: RegistrationId(3), number: 4 },
                inline: false,
                length: 100,
            },
            range: 10..100,
            patience_ms: 500,
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_is_read(ids: [u128; 4], number: u64, start in 0u64..1 << 40, bytes in 1..=MAX_RANGE, behind in 0u64..1 << 40) {
            let id = SegmentId { registration: RegistrationId(ids[3]), number };
            let ask = Ask {
                incarnation: ids[0],
                sender: RegistrationId(ids[1]),
                receiver: RegistrationId(ids[2]),
                segment: SegmentPlace { id, inline: false, length: start + bytes + behind },
                range: start..start + bytes,
                ..ask()
            };
            prop_assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
        }

        #[test]
        fn no_range_gets_through_that_a_segment_does_not_have(start: u64, end: u64, length: u64) {
            let request = ReadRequest { start, end, length, ..ask().encode() };
            if let Ok(ask) = Ask::decode(&request) {
                prop_assert!(start < end && end <= length && ask.wanted() <= MAX_RANGE);
            }
        }
    }

    #[test]
    fn rubbish_is_refused() {
        let good = ask().encode();
        let long = ReadRequest { writer: Bytes::from_static(&[0; 17]), ..good.clone() };
        assert_eq!(Ask::decode(&long), Err(BadAsk::Id("the writer")));
        let short = ReadRequest { receiver: Bytes::new(), ..good.clone() };
        assert_eq!(Ask::decode(&short), Err(BadAsk::Id("the receiver")));
        for (start, end, length) in [(5, 5, 9), (6, 5, 9), (0, 10, 9), (0, MAX_RANGE + 1, u64::MAX)] {
            let request = ReadRequest { start, end, length, ..good.clone() };
            assert_eq!(Ask::decode(&request), Err(BadAsk::Range { start, end, length }));
        }
        assert!(Ask::decode(&ReadRequest::default()).is_err());
    }
}
