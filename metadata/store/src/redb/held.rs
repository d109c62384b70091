//! What redb writes on: the file, a look at whether a sync has failed, and the writes that a full disk has no room for.
//!
//! redb refuses everything after its first I/O error, and does not say whether a commit had reached the point of no return.
//! Whether a sync failed is noted here, and the store then knows which commits are unknown and which never happened.
//!
//! On a full disk the database could not even be opened again: what has happened since the last sync would have to be
//! written once more. But what need not be durable yet need not be on the disk either, since the journal has it. So such
//! writes succeed and are held in memory, and the store takes no other group until they are on the disk. A sync that has
//! to make them durable puts them there first, or fails.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ::redb::{BackendError, StorageBackend};

const BLOCK: u64 = 4096;
/// Most that is held, bytes. One group needs far less; what a journal has may need as much, after a start on a full disk.
const MOST: usize = 64 << 20;

/// Blocks by their number.
type Blocks = BTreeMap<u64, Vec<u8>>;

/// A file, and the blocks of it whose content is not on the disk.
#[derive(Debug)]
pub(super) struct Held {
    file: Box<dyn StorageBackend>,
    blocks: RwLock<Blocks>,
    /// Whether what is written now may be lost in a crash.
    passing: AtomicBool,
    /// Where it says that a sync has failed.
    sync_failed: Arc<AtomicBool>,
}

impl Held {
    pub(super) fn new(file: Box<dyn StorageBackend>, sync_failed: Arc<AtomicBool>) -> Self {
        Held { file, blocks: RwLock::default(), passing: AtomicBool::new(false), sync_failed }
    }

    /// Runs what writes only things that may be lost in a crash, because the journal has them.
    pub(super) fn while_passing<T>(&self, run: impl FnOnce() -> T) -> T {
        self.passing.store(true, Ordering::Release);
        let _ends = Ends(&self.passing);
        run()
    }

    /// Puts everything on the disk that is held.
    ///
    /// # Errors
    /// What the disk says; what is left is held on.
    pub(super) fn write_out(&self) -> io::Result<()> {
        if self.read_blocks().is_empty() {
            return Ok(());
        }
        let mut blocks = self.write_blocks();
        while let Some(first) = blocks.first_entry() {
            self.file.write(first.key() * BLOCK, first.get())?;
            first.remove();
        }
        Ok(())
    }

    /// Writes to the disk, or here if that is full.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let written = self.file.write(offset, data);
        let is_full = written.as_ref().is_err_and(is_full);
        if written.is_err() && !is_full || written.is_ok() && self.read_blocks().is_empty() {
            return written;
        }
        let mut blocks = self.write_blocks();
        for block in touched(offset, data.len()) {
            let (of_block, of_data) = overlap(block, offset, data.len());
            if let Some(held) = blocks.get_mut(&block) {
                held[of_block].copy_from_slice(&data[of_data]);
            } else if is_full {
                if (blocks.len() + 1) * BLOCK as usize > MOST {
                    return written;
                }
                let mut content = on_disk(self.file.as_ref(), block)?;
                content[of_block].copy_from_slice(&data[of_data]);
                blocks.insert(block, content);
            }
        }
        Ok(())
    }

    /// Reads from the disk, and from here what is held.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let blocks = self.read_blocks();
        self.file.read(offset, out)?;
        let touched = touched(offset, out.len());
        for (block, content) in blocks.range(touched) {
            let (of_block, of_out) = overlap(*block, offset, out.len());
            out[of_out].copy_from_slice(&content[of_block]);
        }
        Ok(())
    }

    /// Changes the file's length.
    fn set_len(&self, length: u64) -> io::Result<()> {
        if !self.read_blocks().is_empty() {
            self.write_blocks().split_off(&length.div_ceil(BLOCK));
        }
        self.file.set_len(length)
    }

    /// Syncs the file, with what is held if that must be durable from now on.
    fn sync(&self) -> io::Result<()> {
        if !self.passing.load(Ordering::Acquire) {
            self.write_out()?;
        }
        self.file.sync_data().inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }

    fn read_blocks(&self) -> RwLockReadGuard<'_, Blocks> {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_blocks(&self) -> RwLockWriteGuard<'_, Blocks> {
        self.blocks.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends it whatever happens, a panic as well.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The blocks that so many bytes are in.
fn touched(offset: u64, length: usize) -> Range<u64> {
    offset / BLOCK..(offset + length as u64).div_ceil(BLOCK)
}

/// Which bytes of a block are which of the bytes from `offset` on.
fn overlap(block: u64, offset: u64, length: usize) -> (Range<usize>, Range<usize>) {
    let start = block * BLOCK;
    let (from, to) = (start.max(offset), (start + BLOCK).min(offset + length as u64));
    let within = |base: u64| (from - base) as usize..(to - base) as usize;
    (within(start), within(offset))
}

/// A block as the disk has it, with zeros behind the end.
fn on_disk(disk: &dyn StorageBackend, block: u64) -> io::Result<Vec<u8>> {
    let mut content = vec![0; BLOCK as usize];
    let start = block * BLOCK;
    let there = disk.len()?.saturating_sub(start).min(BLOCK) as usize;
    disk.read(start, &mut content[..there])?;
    Ok(content)
}

/// What redb is given: the file with what is held of it.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<Held>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use ::redb::backends::InMemoryBackend;

    use super::*;
    use crate::memory::Chance;

    const LENGTH: u64 = 16 * BLOCK;

    /// A file on a disk that has room below a place only.
    #[derive(Debug, Default)]
    struct Small {
        file: InMemoryBackend,
        room: Arc<AtomicU64>,
    }

    impl StorageBackend for Small {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.file.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let room = self.room.load(Ordering::Relaxed).saturating_sub(offset).min(data.len() as u64);
            self.file.write(offset, &data[..room as usize])?;
            if room == data.len() as u64 { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
        }
    }

    fn small() -> (Held, Arc<AtomicU64>) {
        let file = Small::default();
        let room = Arc::clone(&file.room);
        file.set_len(LENGTH).expect("a length");
        (Held::new(Box::new(file), Arc::default()), room)
    }

    fn on_disk_now(held: &Held) -> Vec<u8> {
        let mut bytes = vec![0; held.file.len().expect("a length") as usize];
        held.file.read(0, &mut bytes).expect("a read");
        bytes
    }

    /// Whatever there is room for when: what was written is read, and is on the disk once it could be written out.
    #[test]
    fn what_is_read_is_what_was_written_last() {
        for seed in 0..200 {
            let (held, room) = small();
            let mut chance = Chance::new(seed);
            let mut model = vec![0; LENGTH as usize];
            for step in 0..200 {
                let (offset, length) = (chance.below(LENGTH - 1), chance.below(3 * BLOCK) + 1);
                let end = (offset + length).min(LENGTH);
                let range = offset as usize..end as usize;
                match chance.below(8) {
                    0 => room.store(chance.below(LENGTH), Ordering::Relaxed),
                    1 => {
                        let before = room.swap(LENGTH * chance.below(2), Ordering::Relaxed);
                        if held.write_out().is_ok() {
                            assert_eq!(on_disk_now(&held), model, "seed {seed}, step {step}");
                        }
                        room.store(before, Ordering::Relaxed);
                    }
                    2..5 => {
                        let mut out = vec![0; range.len()];
                        held.read(offset, &mut out).expect("a read");
                        assert_eq!(out, model[range], "seed {seed}, step {step}");
                    }
                    _ => {
                        let data: Vec<u8> = range.clone().map(|_| chance.below(256) as u8).collect();
                        held.write(offset, &data).expect("a write");
                        model[range].copy_from_slice(&data);
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_may_be_lost_is_synced_without_what_is_held() {
        let (held, room) = small();
        room.store(BLOCK, Ordering::Relaxed);
        held.write(0, &[1; 2 * BLOCK as usize]).expect("a write");
        held.while_passing(|| held.sync()).expect("what is lost in a crash may be held");
        let error = held.sync().expect_err("a sync makes everything durable, or fails");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(!held.sync_failed.load(Ordering::Relaxed), "nothing is unknown");
        room.store(LENGTH, Ordering::Relaxed);
        held.sync().expect("there is room");
        assert_eq!(on_disk_now(&held)[..2 * BLOCK as usize], [1; 2 * BLOCK as usize]);
    }

    #[test]
    fn what_is_cut_off_is_not_held() {
        let (held, _room) = small();
        held.write(0, &[1; 4 * BLOCK as usize]).expect("a write");
        held.set_len(BLOCK).expect("a length");
        held.set_len(LENGTH).expect("a length");
        let mut out = vec![9; 4 * BLOCK as usize];
        held.read(0, &mut out).expect("a read");
        assert_eq!((out[0], out[BLOCK as usize - 1]), (1, 1));
        assert!(out[BLOCK as usize..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn no_more_is_held_than_the_bound() {
        let (held, _room) = small();
        let blocks = (MOST as u64).div_ceil(BLOCK);
        held.set_len((blocks + 1) * BLOCK).expect("a length");
        let write = |block: u64| held.write(block * BLOCK, &[1; BLOCK as usize]);
        (0..blocks).try_for_each(write).expect("so much is held");
        assert_eq!(write(blocks).expect_err("no more").kind(), ErrorKind::StorageFull);
        write(0).expect("one that is held already");
    }
}
