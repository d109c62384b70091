//! Snappy as Kafka clients write it: Java in xerial framing (blocks with a length before each), librdkafka raw.
//! Java reads both.
//!
//! | bytes | xerial framing |
//! |---|---|
//! | 8 | 82 53 4e 41 50 50 59 00 |
//! | 4 | version, big-endian: 1 |
//! | 4 | oldest version that can read it: 1 |
//! | then, any number of times | 4 bytes length, big-endian, and a raw snappy block of that length |

use std::io::{self, ErrorKind, Read, Write};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_LEN: usize = 16;
/// What Kafka's Java client compresses at once.
const BLOCK_LEN: usize = 32 << 10;

/// Decompresses block by block.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    framed: bool,
    block: &'a mut Vec<u8>,
    at: usize,
    len: usize,
    cap: usize,
}

impl<'a> Reader<'a> {
    /// `block` is a buffer to use; `cap` bounds a single block, too.
    pub(crate) fn new(rest: &'a [u8], block: &'a mut Vec<u8>, cap: usize) -> Self {
        Self { rest, framed: rest.starts_with(&MAGIC), block, at: 0, len: 0, cap }
    }

    fn next_block(&mut self) -> io::Result<Option<&'a [u8]>> {
        if !self.framed {
            let all = std::mem::take(&mut self.rest);
            return Ok((!all.is_empty()).then_some(all));
        }
        // Streams that were concatenated begin again with a header.
        while self.rest.starts_with(&MAGIC) {
            self.rest = self.rest.get(HEADER_LEN..).ok_or_else(|| cut("header"))?;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (len, rest) = self.rest.split_first_chunk().ok_or_else(|| cut("length"))?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, rest) = rest.split_at_checked(len).ok_or_else(|| cut("block"))?;
        self.rest = rest;
        Ok(Some(block))
    }

    fn fill(&mut self) -> io::Result<bool> {
        while self.at == self.len {
            let Some(block) = self.next_block()? else { return Ok(false) };
            let len = snap::raw::decompress_len(block)?;
            // The densest element makes 64 bytes of 3, so a block that claims more lies, and gets no memory for it.
            if len > block.len().saturating_mul(22) + 64 {
                return Err(io::Error::new(ErrorKind::InvalidData, "a snappy block that claims too much"));
            }
            if len > self.cap {
                return Err(ErrorKind::FileTooLarge.into());
            }
            if self.block.len() < len {
                self.block.resize(len, 0);
            }
            self.len = snap::raw::Decoder::new().decompress(block, self.block)?;
            self.at = 0;
        }
        Ok(true)
    }
}

fn cut(what: &str) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, format!("snappy ends within a {what}"))
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.fill()? {
            return Ok(0);
        }
        let n = into.len().min(self.len - self.at);
        into[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Writes xerial framing.
pub(crate) struct Writer<W> {
    out: W,
    pending: Vec<u8>,
    encoder: snap::raw::Encoder,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&[0, 0, 0, 1, 0, 0, 0, 1])?;
        let pending = Vec::with_capacity(BLOCK_LEN);
        let block = vec![0; snap::raw::max_compress_len(BLOCK_LEN)];
        Ok(Self { out, pending, encoder: snap::raw::Encoder::new(), block })
    }

    fn write_block(&mut self) -> io::Result<()> {
        let len = self.encoder.compress(&self.pending, &mut self.block)?;
        self.out.write_all(&(len as u32).to_be_bytes())?;
        self.out.write_all(&self.block[..len])?;
        self.pending.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.pending.is_empty() {
            self.write_block()?;
        }
        Ok(self.out)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if self.pending.len() == BLOCK_LEN {
            self.write_block()?;
        }
        let n = from.len().min(BLOCK_LEN - self.pending.len());
        self.pending.extend_from_slice(&from[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], cap: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Reader::new(bytes, &mut Vec::new(), cap).read_to_end(&mut out)?;
        Ok(out)
    }

    fn framed(data: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.write_all(data).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn raw_framed_and_concatenated_read_alike() {
        let data: Vec<u8> = (0..100_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let raw = snap::raw::Encoder::new().compress_vec(&data).unwrap();
        assert_eq!(read(&raw, usize::MAX).unwrap(), data);
        assert_eq!(read(&framed(&data), usize::MAX).unwrap(), data);
        let (a, b) = data.split_at(50_001);
        let both = [framed(a), framed(b)].concat();
        assert_eq!(read(&both, usize::MAX).unwrap(), data);
    }

    #[test]
    fn a_block_that_claims_more_than_it_can_hold_gets_no_memory() {
        let mut lie = vec![0xff, 0xff, 0xff, 0xff, 0x0f];
        lie.extend([0; 100]);
        let mut block = Vec::new();
        let error = Reader::new(&lie, &mut block, usize::MAX).read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(block.capacity(), 0);
    }
}
