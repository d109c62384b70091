//! For tests and fuzzing, under the feature `testing`: messages filled from a seed, and the fuzz target.

use crate::wire::{Message, Writer};
use crate::{EncodeError, Frame, Records, Request, Response, frame};
use bytes::Bytes;
use uuid::Uuid;

/// Where a length, a count or a size stands in encoded bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LengthAt {
    /// The offset of its first byte.
    pub offset: usize,
    /// Its width in bytes where it isn't compact.
    pub width: usize,
    /// Whether it is an unsigned varint.
    pub compact: bool,
}

/// A deterministic source of values: the same seed gives the same values (SplitMix64).
#[derive(Debug, Clone)]
pub struct Gen {
    state: u64,
    /// Arrays have at most this many elements.
    pub max_elements: u64,
}

impl Gen {
    /// A source that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, max_elements: 3 }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, or 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// True or false.
    pub fn flip(&mut self) -> bool {
        self.bits() & 1 == 0
    }

    /// A value as `version` carries it.
    pub fn value<T: Fill + Default>(&mut self, version: i16) -> T {
        let mut value = T::default();
        value.fill(self, version);
        value
    }

    /// A value, or sometimes null where that is allowed.
    pub fn maybe<T: Fill + Default>(&mut self, version: i16, nullable: bool) -> Option<T> {
        if nullable && self.below(4) == 0 { None } else { Some(self.value(version)) }
    }
}

/// A type that can be filled from a seed.
pub trait Fill {
    /// Sets everything that `version` carries, and leaves the rest at its default.
    fn fill(&mut self, g: &mut Gen, version: i16);
}

macro_rules! fill_numbers {
    ($($type:ty)*) => {$(
        impl Fill for $type {
            /// Small numbers and the extremes more often than chance has them.
            fn fill(&mut self, g: &mut Gen, _: i16) {
                *self = match g.below(8) {
                    0 => 0,
                    1 => <$type>::MIN,
                    2 => <$type>::MAX,
                    3 => g.below(100) as $type,
                    _ => g.bits() as $type,
                };
            }
        }
    )*};
}

fill_numbers!(i8 i16 u16 i32 u32 i64);

impl Fill for f64 {
    fn fill(&mut self, g: &mut Gen, _: i16) {
        *self = g.bits() as i64 as f64 / 1024.0;
    }
}

impl Fill for bool {
    fn fill(&mut self, g: &mut Gen, _: i16) {
        *self = g.flip();
    }
}

impl Fill for Uuid {
    fn fill(&mut self, g: &mut Gen, _: i16) {
        *self = Uuid::from_u64_pair(g.bits(), g.bits());
    }
}

impl Fill for String {
    /// Up to 200 characters, so that compact lengths take one byte or two.
    fn fill(&mut self, g: &mut Gen, _: i16) {
        let bound = if g.below(8) == 0 { 200 } else { 12 };
        let len = g.below(bound);
        *self = (0..len).map(|_| ['a', 'Z', '0', '.', '-', 'ä', '漢', '🜁'][g.below(8) as usize]).collect();
    }
}

fn some_bytes(g: &mut Gen, bound: u64) -> Bytes {
    let len = g.below(bound);
    (0..len).map(|_| g.bits() as u8).collect()
}

impl Fill for Bytes {
    fn fill(&mut self, g: &mut Gen, _: i16) {
        *self = some_bytes(g, 150);
    }
}

impl Fill for Records {
    /// Up to three chunks, some of them long enough to be spliced.
    fn fill(&mut self, g: &mut Gen, _: i16) {
        let chunks = g.below(4);
        *self = (0..chunks)
            .map(|_| if g.below(8) == 0 { some_bytes(g, 3000) } else { some_bytes(g, 60) })
            .collect();
    }
}

impl<T: Fill + Default> Fill for Vec<T> {
    fn fill(&mut self, g: &mut Gen, version: i16) {
        let len = g.below(g.max_elements + 1);
        *self = (0..len).map(|_| g.value(version)).collect();
    }
}

/// Encodes a message; also says where its lengths stand.
pub fn encode_with_lengths<M: Message>(
    message: &M,
    version: i16,
) -> Result<(Frame, Vec<LengthAt>), EncodeError> {
    let mut writer = Writer::new(M::NAME, version, M::is_flexible(version));
    message.append(version, &mut writer)?;
    let lengths = std::mem::take(&mut writer.lengths);
    Ok((writer.finish(), lengths))
}

macro_rules! any_with_lengths {
    ($name:ident) => {
        impl $name {
            /// Encodes the body; also says where its lengths stand. Offsets hold as long as no records are spliced.
            pub fn encode_with_lengths(&self, version: i16) -> Result<(Frame, Vec<LengthAt>), EncodeError> {
                let mut writer = Writer::new(self.api().name(), version, false);
                self.append(version, &mut writer)?;
                let lengths = std::mem::take(&mut writer.lengths);
                Ok((writer.finish(), lengths))
            }
        }
    };
}

any_with_lengths!(Request);
any_with_lengths!(Response);

/// The fuzz target: takes any bytes as a frame from a client. It must return; a request that decodes must also
/// encode, and decode again to the same value.
///
/// # Panics
///
/// If what was decoded does not survive another round.
pub fn fuzz_request(data: &[u8]) {
    let Ok((head, request)) = frame::decode_request(&Bytes::copy_from_slice(data)) else { return };
    let encoded = frame::encode_any_request(&head, &request);
    let again = encoded.map(|frame| frame::decode_request(&frame.into_bytes().slice(4..)));
    match again {
        // Compared as text, because NaN is no equal of itself.
        Ok(Ok(again)) => assert_eq!(format!("{again:?}"), format!("{:?}", (head, request))),
        other => panic!("a decoded request did not survive another round: {other:?}"),
    }
}
