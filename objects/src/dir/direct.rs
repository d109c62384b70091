//! Reading and writing past the system's page cache.
//!
//! A segment is written once and, mostly, read once, from our own cache's memory. Through the page cache every byte would be copied once more,
//! into memory that the system first has to find and clear: on the machine this was measured on that was 2.4 CPU seconds a GiB
//! against 0.1 (`dd` of 8 MiB blocks with `conv=fdatasync` and with `oflag=direct`), and the disk was a fifth as fast.
//!
//! Where the file system can't (it answers EINVAL), callers go through the page cache. Durability is not touched: a direct write is
//! synced like any other.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};

/// What addresses, lengths and memory must be multiples of. Disks with larger blocks refuse, and we fall back.
const ALIGN: usize = 4096;
/// Bytes copied together for one write.
const PIECE: usize = 1 << 20;

/// Bytes whose written part begins at an aligned address.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
}

impl Aligned {
    fn new(capacity: usize) -> Self {
        let mut memory: Vec<u8> = Vec::with_capacity(capacity + ALIGN);
        let start = memory.as_ptr().align_offset(ALIGN).min(ALIGN);
        memory.resize(start, 0);
        Aligned { memory, start }
    }

    fn filled(&self) -> usize {
        self.memory.len() - self.start
    }

    fn pad(&mut self) {
        let padded = self.filled().next_multiple_of(ALIGN);
        self.memory.resize(self.start + padded, 0);
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

/// Whether the error says that the file system doesn't do this.
fn unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
        || error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error())
}

/// Writes the chunks into an empty file. `false`: the file system can't; nothing that matters was written.
pub(super) fn write(file: &File, chunks: &[Bytes], total: u64) -> io::Result<bool> {
    let before = rustix::fs::fcntl_getfl(file)?;
    if rustix::fs::fcntl_setfl(file, before | OFlags::DIRECT).is_err() {
        return Ok(false);
    }
    let written = write_pieces(file, chunks);
    let result = match written {
        Ok(()) => file.set_len(total).map(|()| true),
        Err(error) if unsupported(&error) => file.set_len(0).map(|()| false),
        Err(error) => Err(error),
    };
    rustix::fs::fcntl_setfl(file, before)?;
    result
}

fn write_pieces(file: &File, chunks: &[Bytes]) -> io::Result<()> {
    let mut piece = Aligned::new(PIECE);
    let mut at = 0u64;
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PIECE - piece.filled()));
            piece.memory.extend_from_slice(now);
            rest = later;
            if piece.filled() == PIECE {
                file.write_all_at(piece.bytes(), at)?;
                at += PIECE as u64;
                piece.memory.truncate(piece.start);
            }
        }
    }
    if piece.filled() > 0 {
        piece.pad();
        file.write_all_at(piece.bytes(), at)?;
    }
    Ok(())
}

/// Opens a file for direct reads; `None` if the file system can't.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(rustix::io::Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a range of a file that [`open`] opened. Fewer bytes come if it is shorter. `None`: the file system can't.
pub(super) fn read(file: &File, range: Range<u64>) -> io::Result<Option<Bytes>> {
    let first = range.start - range.start % ALIGN as u64;
    let end = range.end.next_multiple_of(ALIGN as u64);
    let want = usize::try_from(end - first).map_err(io::Error::other)?;
    let mut into = Aligned::new(want);
    into.memory.resize(into.start + want, 0);
    let mut read = 0;
    while read < want {
        match file.read_at(&mut into.memory[into.start + read..], first + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if unsupported(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        if !read.is_multiple_of(ALIGN) {
            break; // the end of the file
        }
    }
    let from = into.start + (range.start - first) as usize;
    let to = into.start + read.min((range.end - first) as usize);
    Ok(Some(Bytes::from(into.memory).slice(from.min(to)..to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_past_the_cache_is_there_and_reads_back() {
        // Not in the system's temporary directory, which may be a file system in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        for (number, sizes) in
            [vec![1], vec![4096], vec![5000, 1, 70_000], vec![PIECE, 3], vec![700_000; 4]].iter().enumerate()
        {
            let chunks: Vec<Bytes> =
                sizes.iter().map(|size| (0..*size).map(|n| (n * 7 + number) as u8).collect()).collect();
            let whole = chunks.concat();
            let path = dir.path().join(number.to_string());
            let file = File::create(&path).unwrap();
            if !write(&file, &chunks, whole.len() as u64).unwrap() {
                assert_eq!(file.metadata().unwrap().len(), 0);
                continue;
            }
            assert_eq!(std::fs::read(&path).unwrap(), whole);
            let length = whole.len() as u64;
            let file = open(&path).unwrap().unwrap();
            for range in [0..length, 0..1, length - 1..length, length / 3..length / 2 + 1, 0..length + 9000] {
                let expected = &whole[range.start as usize..range.end.min(length) as usize];
                assert_eq!(read(&file, range.clone()).unwrap().unwrap(), expected, "{range:?} of {length}");
            }
        }
    }
}
