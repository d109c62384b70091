//! The writing half of the codecs.

use std::io::{self, ErrorKind, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use zstd::zstd_safe::{CCtx, CParameter, get_error_name};

use super::{Compression, snappy};

/// Windows beyond 8 MiB help batches nothing and cost every reader their size.
const ZSTD_WINDOW_LOG: u32 = 23;
/// From this level on zstd's own window would be larger.
const ZSTD_LARGE_LEVEL: i32 = 20;

/// A vector that takes no more than so many bytes.
pub(crate) struct CappedVec {
    bytes: Vec<u8>,
    max: usize,
}

impl CappedVec {
    /// Appends to `bytes`, which may come to `max` in all.
    pub(crate) fn new(bytes: Vec<u8>, max: usize) -> Self {
        Self { bytes, max }
    }

    pub(crate) fn into_inner(self) -> Vec<u8> {
        self.bytes
    }
}

impl Write for CappedVec {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if from.len() > self.max.saturating_sub(self.bytes.len()) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(from);
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compresses what is written to it.
pub(crate) enum Encoder<'a, W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Snappy(Box<snappy::Writer<W>>),
    Lz4(Box<FrameEncoder<W>>),
    Zstd(zstd::stream::write::Encoder<'a, W>),
}

impl<'a, W: Write> Encoder<'a, W> {
    /// `level` is the codec's own, brought within its range; `None` is its default. Snappy has none, and lz4 here has only
    /// its fast one. `size`, if known, lets zstd use smaller tables.
    pub(crate) fn new(
        codec: Compression,
        level: Option<i32>,
        size: Option<u64>,
        out: W,
        context: &'a mut Option<CCtx<'static>>,
    ) -> io::Result<Self> {
        Ok(match codec {
            Compression::None => Self::None(out),
            Compression::Gzip => {
                let level = level.filter(|&level| level >= 0).unwrap_or(6).min(9) as u32;
                Self::Gzip(GzEncoder::new(out, flate2::Compression::new(level)))
            }
            Compression::Snappy => Self::Snappy(Box::new(snappy::Writer::new(out)?)),
            Compression::Lz4 => {
                let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
                Self::Lz4(Box::new(FrameEncoder::with_frame_info(info, out)))
            }
            Compression::Zstd => {
                Self::zstd(level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL), size, out, context)?
            }
        })
    }

    fn zstd(
        level: i32,
        size: Option<u64>,
        out: W,
        context: &'a mut Option<CCtx<'static>>,
    ) -> io::Result<Self> {
        let context = match context {
            Some(context) => context,
            None => context.insert(CCtx::try_create().ok_or(ErrorKind::OutOfMemory)?),
        };
        let range = zstd::compression_level_range();
        let level = level.clamp(*range.start(), *range.end());
        // Zero leaves the window to the level; contexts are used again, so it must be said each time.
        let window = if level < ZSTD_LARGE_LEVEL { 0 } else { ZSTD_WINDOW_LOG };
        let failed = |code| io::Error::other(get_error_name(code));
        context.reset(zstd::zstd_safe::ResetDirective::SessionOnly).map_err(failed)?;
        context.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
        context.set_parameter(CParameter::WindowLog(window)).map_err(failed)?;
        let mut encoder = zstd::stream::write::Encoder::with_context(out, context);
        encoder.set_pledged_src_size(size)?;
        Ok(Self::Zstd(encoder))
    }

    /// Writes what is left and gives back what was written to.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Snappy(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::from),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<'_, W> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(from),
            Self::Gzip(encoder) => encoder.write(from),
            Self::Snappy(encoder) => encoder.write(from),
            Self::Lz4(encoder) => encoder.write(from),
            Self::Zstd(encoder) => encoder.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
