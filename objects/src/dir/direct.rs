//! Reading and writing past the system's page cache.
//!
//! A segment is written once and, mostly, read once, from our own cache's memory. Through the page cache every byte would be copied once more,
//! into memory that the system first has to find and clear: on the machine this was measured on that was 2.4 CPU seconds a GiB
//! against 0.1 (`dd` of 8 MiB blocks with `conv=fdatasync` and with `oflag=direct`), and the disk was a fifth as fast.
//!
//! Where the file system can't (it answers EINVAL), callers go through the page cache. Durability is not touched: a direct write is
//! synced like any other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::MmapMut;
use rustix::fs::{Mode, OFlags};

/// What addresses, lengths and memory must be multiples of. Disks with larger blocks refuse, and we fall back.
const ALIGN: usize = 4096;
/// Bytes copied together for one write.
const PIECE: usize = 1 << 20;
/// Memory for reads comes in multiples of this, so that it can be used again.
const STEP: usize = 16 << 10;
/// Memory of reads that are over, kept for others, at most: twice what one answer gives back when it is sent, of 16 partitions, since it comes in many
/// sizes. With half of this every fifth read had to have new memory, which the system clears first: a fifth of all the processor time of reading.
const SPARE: usize = 32 << 20;
/// Pieces of memory for reads that are had from the system one by one, at most: it allows a process some 65,000.
const MAPPED: usize = 16 << 10;

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

/// How much memory is taken for so many bytes, so that there are few sizes: at most an eighth more, or one step.
fn class(want: usize) -> usize {
    let coarse = want.checked_next_power_of_two().unwrap_or(STEP) / 16;
    want.next_multiple_of(coarse.max(STEP))
}

/// Memory for a read. An allocator keeps places for many sizes once they come and go, and held three times what was in use; a mapping
/// takes what is used of it.
enum Space {
    Mapped(MmapMut),
    Heap(Aligned),
}

impl Space {
    fn bytes(&self) -> &[u8] {
        match self {
            Space::Mapped(map) => map,
            Space::Heap(memory) => memory.bytes(),
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Space::Mapped(map) => map,
            Space::Heap(memory) => &mut memory.memory[memory.start..],
        }
    }
}

/// Memory of reads that are over. Finding, clearing and giving back a megabyte costs more than reading it.
#[derive(Default)]
pub(super) struct Pool(Mutex<Free>);

#[derive(Default)]
struct Free {
    by_size: BTreeMap<usize, Vec<Space>>,
    bytes: usize,
    /// Mappings that are there, in use or not.
    mapped: usize,
}

impl Free {
    /// The smallest that is large enough, but not above `most`: what nobody uses of it is not counted anywhere.
    fn at_most(&mut self, most: usize, least: usize) -> Option<Space> {
        let mut fitting = self.by_size.range_mut(least..=most);
        let (size, memory) = fitting.find_map(|(size, all)| Some((*size, all.pop()?)))?;
        self.bytes -= size;
        Some(memory)
    }

    fn drop_one(&mut self) {
        let most = self.by_size.iter_mut().max_by_key(|(size, all)| *size * all.len());
        if let Some((size, all)) = most {
            let dropped = all.pop();
            self.bytes -= if dropped.is_some() { *size } else { 0 };
            self.mapped -= usize::from(matches!(dropped, Some(Space::Mapped(_))));
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Aligned memory of at least `want` bytes, with anything in it.
    fn take(&self, want: usize) -> Space {
        let size = class(want);
        let mut free = self.lock();
        if let Some(found) = free.at_most(size + size / 4, size) {
            return found;
        }
        if free.mapped < MAPPED
            && let Ok(map) = MmapMut::map_anon(size)
        {
            free.mapped += 1;
            return Space::Mapped(map);
        }
        drop(free);
        let mut new = Aligned::new(size);
        new.memory.resize(new.start + size, 0);
        Space::Heap(new)
    }

    /// Keeps memory for later, in the place of some of the size of which there is most, if there is enough of it.
    fn give(&self, memory: Space) {
        let size = memory.bytes().len();
        let mut free = self.lock();
        free.bytes += size;
        free.by_size.entry(size).or_default().push(memory);
        while free.bytes > SPARE {
            free.drop_one();
        }
    }
}

/// Memory with what was read into it; goes back to the pool with the last of its readers.
struct Lent {
    memory: Option<Space>,
    range: Range<usize>,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory.bytes()[self.range.clone()])
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.give(memory);
        }
    }
}

/// Memory for one of several ranges that are read together.
struct Piece {
    memory: Space,
    /// Where in the file it begins.
    begin: u64,
    /// Bytes of it that the range lies in.
    want: usize,
    /// Its first block is the last one of the piece before it.
    shares: bool,
}

impl Piece {
    /// What is read into it.
    fn own(&mut self) -> &mut [u8] {
        let from = if self.shares { ALIGN } else { 0 };
        &mut self.memory.bytes_mut()[from..self.want]
    }

    fn last_block(&self) -> &[u8] {
        &self.memory.bytes()[self.want - ALIGN..self.want]
    }
}

/// Reads ranges of a file that [`open`] opened, each of which begins where the one before it ends: one request to
/// the disk, since each costs more than its bytes. Fewer bytes come if the file is shorter. `None`: the file system can't.
pub(super) fn read(file: &File, ranges: &[Range<u64>], pool: &Arc<Pool>) -> io::Result<Option<Vec<Bytes>>> {
    let Some(first) = ranges.first().map(|range| range.start - range.start % ALIGN as u64) else {
        return Ok(Some(Vec::new()));
    };
    let mut pieces = Vec::with_capacity(ranges.len());
    for (index, range) in ranges.iter().enumerate() {
        let into = range.start % ALIGN as u64;
        let begin = range.start - into;
        let want =
            usize::try_from(range.end.next_multiple_of(ALIGN as u64) - begin).map_err(io::Error::other)?;
        pieces.push(Piece { memory: pool.take(want), begin, want, shares: index > 0 && into > 0 });
    }
    let read = match fill(file, &mut pieces, first) {
        Ok(Some(read)) => read,
        none => {
            pieces.into_iter().for_each(|piece| pool.give(piece.memory));
            return none.map(|_| None);
        }
    };
    for at in 1..pieces.len() {
        let (before, from) = pieces.split_at_mut(at);
        if let (Some(before), Some(piece)) = (before.last(), from.first_mut().filter(|piece| piece.shares)) {
            piece.memory.bytes_mut()[..ALIGN].copy_from_slice(before.last_block());
        }
    }
    let part = |(piece, range): (Piece, &Range<u64>)| {
        let there = (first + read).clamp(range.start, range.end);
        let range = (range.start - piece.begin) as usize..(there - piece.begin) as usize;
        Bytes::from_owner(Lent { memory: Some(piece.memory), range, pool: Arc::clone(pool) })
    };
    Ok(Some(pieces.into_iter().zip(ranges).map(part).collect()))
}

/// Fills pieces of memory with what lies from `first` on; how many bytes there were. `None`: the file system can't.
fn fill(file: &File, into: &mut [Piece], first: u64) -> io::Result<Option<u64>> {
    let mut slices: Vec<IoSliceMut<'_>> =
        into.iter_mut().map(Piece::own).filter(|own| !own.is_empty()).map(IoSliceMut::new).collect();
    let mut left = &mut slices[..];
    let mut read = 0;
    while !left.is_empty() {
        match rustix::io::preadv(file, left, first + read as u64) {
            Ok(0) => break,
            Ok(more) => {
                read += more;
                IoSliceMut::advance_slices(&mut left, more);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if !read.is_multiple_of(ALIGN) {
            break; // the end of the file
        }
    }
    Ok(Some(read as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_what_is_kept_is_bounded() {
        let pool = Arc::new(Pool::default());
        let first = pool.take(1);
        let at = first.bytes().as_ptr();
        assert!(first.bytes().len() == STEP && at.align_offset(ALIGN) == 0);
        pool.give(first);
        assert_eq!(pool.lock().bytes, STEP);
        let (larger, again) = (pool.take(STEP + 1), pool.take(STEP));
        assert_ne!(larger.bytes().as_ptr(), at, "it is too small");
        assert_eq!(again.bytes().as_ptr(), at);
        assert_eq!(pool.lock().bytes, 0);
        pool.give(larger);
        pool.give(again);
        let give = |size: usize, times: usize| {
            let taken: Vec<Space> = (0..times).map(|_| pool.take(size)).collect();
            taken.into_iter().for_each(|one| pool.give(one));
        };
        give(STEP, SPARE / STEP + 5);
        assert_eq!(pool.lock().bytes, SPARE);
        // Another size finds room; of both there is some then.
        give(8 * STEP, SPARE / STEP / 4);
        let kept = |size| pool.lock().by_size.get(&size).map_or(0, Vec::len) * size;
        assert!(kept(STEP) >= SPARE / 3 && kept(8 * STEP) >= SPARE / 3);
        let free = pool.lock();
        assert!(free.bytes <= SPARE && free.mapped == free.by_size.values().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn mappings_are_bounded_in_number() {
        let pool = Pool::default();
        let mut taken: Vec<Space> = (0..MAPPED + 2).map(|_| pool.take(1)).collect();
        let mapped = |space: &&mut Space| matches!(space, Space::Mapped(_));
        assert_eq!(taken.iter_mut().filter(mapped).count(), MAPPED);
        for space in &mut taken {
            assert!(space.bytes().len() == STEP && space.bytes().as_ptr().align_offset(ALIGN) == 0);
            space.bytes_mut()[STEP - 1] = 1;
        }
        taken.into_iter().for_each(|space| pool.give(space));
        assert!(pool.lock().mapped <= SPARE / STEP);
    }

    #[test]
    fn memory_that_is_somewhat_larger_will_do() {
        let pool = Pool::default();
        let (fits, large) = (pool.take(5 * STEP), pool.take(6 * STEP));
        let at = [fits.bytes().as_ptr(), large.bytes().as_ptr()];
        pool.give(large);
        assert!(!at.contains(&pool.take(4 * STEP).bytes().as_ptr()));
        pool.give(fits);
        assert_eq!(pool.take(4 * STEP).bytes().as_ptr(), at[0]);
        assert_eq!(pool.lock().bytes, 6 * STEP);
    }

    #[test]
    fn what_is_written_past_the_cache_is_there_and_reads_back() {
        // Not in the system's temporary directory, which may be a file system in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let pool = Arc::new(Pool::default());
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
                let bytes = read(&file, std::slice::from_ref(&range), &pool).unwrap().unwrap();
                assert_eq!(bytes, [expected], "{range:?} of {length}");
            }
            // Together, also where blocks are shared and where it ends before all is read.
            let cut = ALIGN as u64;
            for ranges in [
                vec![1..cut, cut..5 * cut, 5 * cut..5 * cut + length],
                vec![0..cut, cut..2 * cut, 2 * cut..3 * cut],
                vec![7..cut + 9, cut + 9..cut + 10, cut + 10..cut + 30, cut + 30..3 * cut, 3 * cut..4 * cut],
                vec![
                    cut - 1..cut + 1,
                    cut + 1..2 * cut + 1,
                    2 * cut + 1..2 * cut + 2,
                    2 * cut + 2..length.max(3 * cut),
                ],
            ] {
                let expected: Vec<_> = ranges
                    .iter()
                    .map(|range| &whole[range.start.min(length) as usize..range.end.min(length) as usize])
                    .collect();
                assert_eq!(read(&file, &ranges, &pool).unwrap().unwrap(), expected, "{ranges:?} of {length}");
            }
        }
    }
}
