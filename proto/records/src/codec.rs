//! The five ways in which records are compressed.
//!
//! Reading is streamed: what a decompressor holds at once is bounded by its format (and for snappy, whose blocks have no
//! limit, by the bytes at hand), and what comes out in all by the caller's cap. Writing makes what Java clients read:
//! snappy in xerial framing, lz4 frames of independent 64 KiB blocks, one zstd frame.

mod encode;
mod snappy;

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe::{CCtx, DCtx};

use crate::walk::{RecordsError, StreamSource};

pub(crate) use encode::{CappedVec, Encoder};

/// Bytes of decompressed records that validation looks at at once.
pub(crate) const WINDOW_LEN: usize = 64 << 10;
/// A context or buffer that grew beyond this is given back after use: ordinary batches (zstd level 3 has windows of
/// 2 MiB) keep theirs, a bomb's don't stay.
const KEEP: usize = 4 << 20;
const LZ4_MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// snappy, in xerial framing or raw.
    Snappy,
    /// lz4 frame.
    Lz4,
    /// zstd (RFC 8878).
    Zstd,
}

impl Compression {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Its number in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// By its number; `None` if there is none.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Its name in Kafka's `compression.type`, except that Kafka's setting says `uncompressed` for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Buffers and codec contexts to use again and again: one for each thread or task that reads or makes batches. Empty
/// until used; holds at most a few MiB between uses.
#[derive(Default)]
pub struct Scratch {
    window: Vec<u8>,
    block: Vec<u8>,
    unzstd: Option<DCtx<'static>>,
    zstd: Option<CCtx<'static>>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("held", &self.held()).finish()
    }
}

impl Scratch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that it holds.
    pub fn held(&self) -> usize {
        let contexts =
            self.unzstd.as_ref().map_or(0, DCtx::sizeof) + self.zstd.as_ref().map_or(0, CCtx::sizeof);
        self.window.capacity() + self.block.capacity() + contexts
    }

    /// Gives back what an unusual batch made it grow to.
    pub(crate) fn shrink(&mut self) {
        self.unzstd.take_if(|context| context.sizeof() > KEEP);
        self.zstd.take_if(|context| context.sizeof() > KEEP);
        if self.block.capacity() > KEEP {
            self.block = Vec::new();
        }
    }
}

/// The decompressed bytes of `body`, at most `max` of them. Allocates as bytes come out, never by what the input claims.
pub fn decompress(
    codec: Compression,
    body: &[u8],
    max: usize,
    scratch: &mut Scratch,
) -> Result<Vec<u8>, RecordsError> {
    let reader = Decoder::new(codec, body, max, &mut scratch.block, &mut scratch.unzstd)?;
    let mut out = Vec::with_capacity(body.len().saturating_mul(2).min(max));
    let read = reader.take(max as u64 + 1).read_to_end(&mut out);
    scratch.shrink();
    match read {
        Err(e) => Err(broken(codec, max, &e)),
        Ok(_) if out.len() > max => Err(RecordsError::TooLarge { max }),
        Ok(_) => Ok(out),
    }
}

/// The records in `body`, to be walked as they are decompressed.
pub(crate) fn stream<'a>(
    codec: Compression,
    body: &'a [u8],
    cap: usize,
    scratch: &'a mut Scratch,
) -> Result<StreamSource<'a, Decoder<'a>>, RecordsError> {
    scratch.window.resize(WINDOW_LEN, 0);
    let reader = Decoder::new(codec, body, cap, &mut scratch.block, &mut scratch.unzstd)?;
    Ok(StreamSource::new(reader, codec, &mut scratch.window, cap))
}

/// A reader of `body` together with a compression context for what is made of it.
pub(crate) fn reader_and_context<'a>(
    codec: Compression,
    body: &'a [u8],
    cap: usize,
    scratch: &'a mut Scratch,
) -> Result<(Decoder<'a>, &'a mut Option<CCtx<'static>>), RecordsError> {
    let reader = Decoder::new(codec, body, cap, &mut scratch.block, &mut scratch.unzstd)?;
    Ok((reader, &mut scratch.zstd))
}

/// Compresses `records`, all at hand.
pub(crate) fn compress(
    codec: Compression,
    level: Option<i32>,
    records: &[u8],
    into: Vec<u8>,
    scratch: &mut Scratch,
) -> io::Result<Vec<u8>> {
    let out = CappedVec::new(into, usize::MAX);
    let mut encoder = Encoder::new(codec, level, Some(records.len() as u64), out, &mut scratch.zstd)?;
    io::Write::write_all(&mut encoder, records)?;
    let out = encoder.finish()?.into_inner();
    scratch.shrink();
    Ok(out)
}

/// Refuses what we could read but a Java client, and so a Kafka broker, could not: whoever took such a batch would
/// stop every Java consumer of the partition at it.
pub(crate) fn readable_by_java(codec: Compression, body: &[u8]) -> Result<(), RecordsError> {
    let linked = body.get(4).is_some_and(|flags| flags & 0x20 == 0);
    match codec {
        Compression::Lz4 if linked => {
            let why = "Kafka's readers need independent blocks".into();
            Err(RecordsError::Decompress { codec, why })
        }
        _ => Ok(()),
    }
}

/// An error of a decompressor, in our words.
pub(crate) fn broken(codec: Compression, max: usize, error: &io::Error) -> RecordsError {
    match error.kind() {
        ErrorKind::FileTooLarge => RecordsError::TooLarge { max },
        _ => RecordsError::Decompress { codec, why: error.to_string() },
    }
}

/// Decompresses as it is read.
pub(crate) enum Decoder<'a> {
    None(&'a [u8]),
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Reader<'a>),
    Lz4(Box<Lz4Reader<'a>>),
    Zstd(zstd::stream::read::Decoder<'a, &'a [u8]>),
}

impl<'a> Decoder<'a> {
    fn new(
        codec: Compression,
        body: &'a [u8],
        cap: usize,
        block: &'a mut Vec<u8>,
        context: &'a mut Option<DCtx<'static>>,
    ) -> Result<Self, RecordsError> {
        let broken = |e: io::Error| broken(codec, cap, &e);
        Ok(match codec {
            Compression::None => Self::None(body),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(body))),
            Compression::Snappy => Self::Snappy(snappy::Reader::new(body, block, cap)),
            Compression::Lz4 => Self::Lz4(Box::new(Lz4Reader::new(body).map_err(broken)?)),
            Compression::Zstd => {
                let context = match context {
                    Some(context) => context,
                    None => context
                        .insert(DCtx::try_create().ok_or(ErrorKind::OutOfMemory.into()).map_err(broken)?),
                };
                Self::Zstd(zstd::stream::read::Decoder::with_context(body, context))
            }
        })
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(reader) => reader.read(into),
            Self::Gzip(reader) => reader.read(into),
            Self::Snappy(reader) => reader.read(into),
            Self::Lz4(reader) => reader.read(into),
            Self::Zstd(reader) => reader.read(into),
        }
    }
}

/// One lz4 frame, which must have its end mark: Java's reader fails without it, this crate's would not.
pub(crate) struct Lz4Reader<'a> {
    frame: FrameDecoder<Watched<'a>>,
    ended: bool,
}

impl<'a> Lz4Reader<'a> {
    fn new(body: &'a [u8]) -> io::Result<Self> {
        if !body.starts_with(&LZ4_MAGIC) {
            return Err(io::Error::new(ErrorKind::InvalidData, "not an lz4 frame"));
        }
        Ok(Self { frame: FrameDecoder::new(Watched { rest: body, ran_out: false }), ended: false })
    }
}

impl Read for Lz4Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let read = self.frame.read(into)?;
        self.ended = read == 0;
        if self.ended && self.frame.get_ref().ran_out {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the lz4 frame has no end"));
        }
        Ok(read)
    }
}

/// Bytes that know whether more was asked of them than there was.
struct Watched<'a> {
    rest: &'a [u8],
    ran_out: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.ran_out |= into.len() > self.rest.fill_buf()?.len();
        self.rest.read(into)
    }
}
