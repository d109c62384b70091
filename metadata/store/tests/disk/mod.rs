//! A disk in memory that keeps only what was synced, can be full, and can fail to sync: for tests of the embedded store.
//!
//! What a program reads is `current`, the operating system's view; what survives is `durable`. Each sector that was
//! written and not synced keeps every content it had, since a disk may have taken any of them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, StorageBackend};
use siltstone_store::memory::Chance;
use siltstone_store::redb::Disk;

/// What the disk writes as a whole.
const SECTOR: usize = 512;
/// What a file system allocates.
const BLOCK: usize = 4096;
const NO_SPACE: i32 = 28;

#[derive(Debug, Clone)]
pub struct SimDisk {
    path: PathBuf,
    /// Which of the two files this is, once it is opened.
    file: usize,
    inner: Arc<Mutex<Inner>>,
}

/// The database.
const DATABASE: usize = 0;
/// Its journal.
const JOURNAL: usize = 1;

#[derive(Debug, Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    /// Sectors written since the last sync, with every content they had.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
    allocated: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    files: [Content; 2],
    /// Most blocks, if there is a limit.
    quota: Option<usize>,
    /// Operations until the power fails.
    until_crash: Option<u64>,
    dead: bool,
    failing_syncs: u32,
    failing_writes: bool,
    failing_syncs_after_error: u32,
    lying: bool,
    locked: bool,
    syncs: u64,
    chance: Option<Chance>,
}

/// What becomes of unsynced sectors at a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// All are lost.
    Discard,
    /// Each is lost or not, by chance.
    Tear,
}

impl SimDisk {
    pub fn new(seed: u64) -> Self {
        Self::with([Vec::new(), Vec::new()], seed)
    }

    fn with(files: [Vec<u8>; 2], seed: u64) -> Self {
        let files = files.map(Content::of);
        let inner = Inner { files, chance: Some(Chance::new(seed)), ..Inner::default() };
        SimDisk { path: "simulated.redb".into(), file: DATABASE, inner: Arc::new(Mutex::new(inner)) }
    }

    /// What the journal holds is changed, or nothing is left of it.
    pub fn with_journal(&self, change: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
        let mut files = [DATABASE, JOURNAL].map(|file| self.lock().files[file].durable.clone());
        change(&mut files[JOURNAL]);
        Self::with(files, 0)
    }

    /// What the journal holds durably.
    pub fn journal(&self) -> Vec<u8> {
        self.lock().files[JOURNAL].durable.clone()
    }

    /// The power fails after so many more writing operations.
    pub fn crash_after(&self, operations: u64) {
        self.lock().until_crash = Some(operations);
    }

    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Works again, with all that the operating system has: it was the process that ended, not the power.
    pub fn go_on(&self) {
        let mut inner = self.lock();
        (inner.until_crash, inner.dead) = (None, false);
    }

    /// Allows so many blocks more than are in use; `None`: any number.
    pub fn allow_more(&self, blocks: Option<usize>) {
        let mut inner = self.lock();
        inner.quota = blocks.map(|blocks| inner.allocated() + blocks);
    }

    /// The next syncs fail.
    pub fn fail_syncs(&self, count: u32) {
        self.lock().failing_syncs = count;
    }

    /// Once a write has failed, the next syncs fail.
    pub fn fail_syncs_after_error(&self, count: u32) {
        self.lock().failing_syncs_after_error = count;
    }

    /// All writes fail, or none.
    pub fn fail_writes(&self, fail: bool) {
        self.lock().failing_writes = fail;
    }

    /// From now on a sync does nothing and says that all is well.
    pub fn lie(&self) {
        self.lock().lying = true;
    }

    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// What is found after the power has failed.
    pub fn after(&self, crash: Crash, chance: &mut Chance) -> SimDisk {
        let inner = self.lock();
        let files = [DATABASE, JOURNAL].map(|file| inner.files[file].after(crash, chance));
        SimDisk::with(files, chance.any())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.lock().alive()?;
        Ok(Box::new(SimDisk { file: DATABASE, ..self.clone() }))
    }

    fn open_journal(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.lock().alive()?;
        Ok(Box::new(SimDisk { file: JOURNAL, ..self.clone() }))
    }

    fn forget_unsynced(&self) -> io::Result<()> {
        self.lock().files.iter_mut().for_each(Content::forget_unsynced);
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Content {
    fn of(bytes: Vec<u8>) -> Self {
        let blocks = bytes.chunks(BLOCK).enumerate().filter(|(_, block)| block.iter().any(|byte| *byte != 0));
        let allocated = blocks.map(|(block, _)| block).collect();
        Content { allocated, current: bytes.clone(), durable: bytes, dirty: BTreeMap::new() }
    }

    fn after(&self, crash: Crash, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if crash == Crash::Tear {
            if chance.below(2) == 0 {
                bytes.resize(self.current.len(), 0);
            }
            for (sector, contents) in &self.dirty {
                let kept = chance.below(contents.len() as u64 + 1) as usize;
                let place = sector * SECTOR;
                if kept > 0 && place < bytes.len() {
                    let content = &contents[kept - 1];
                    let len = content.len().min(bytes.len() - place);
                    bytes[place..place + len].copy_from_slice(&content[..len]);
                }
            }
        }
        bytes
    }

    fn forget_unsynced(&mut self) {
        let len = self.current.len();
        self.current = self.durable.clone();
        self.current.resize(len, 0);
        for (sector, contents) in &self.dirty {
            let content = &contents[contents.len() - 1];
            self.current[sector * SECTOR..][..content.len()].copy_from_slice(content);
        }
    }

    fn note(&mut self, sector: usize) {
        let end = ((sector + 1) * SECTOR).min(self.current.len());
        let content = self.current[sector * SECTOR..end].to_vec();
        self.dirty.entry(sector).or_default().push(content);
    }

    fn flush(&mut self, sector: usize, content: &[u8]) {
        let end = sector * SECTOR + content.len();
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[sector * SECTOR..end].copy_from_slice(content);
    }
}

impl Inner {
    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Before every operation that writes.
    fn step(&mut self) -> io::Result<()> {
        self.alive()?;
        match &mut self.until_crash {
            Some(0) => self.dead = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.alive()
    }

    fn allocated(&self) -> usize {
        self.files.iter().map(|file| file.allocated.len()).sum()
    }

    fn allocate(&mut self, file: usize, block: usize) -> io::Result<()> {
        let full = self.quota.is_some_and(|quota| self.allocated() >= quota);
        if full && !self.files[file].allocated.contains(&block) {
            self.failing_syncs += std::mem::take(&mut self.failing_syncs_after_error);
            return Err(io::Error::from_raw_os_error(NO_SPACE));
        }
        self.files[file].allocated.insert(block);
        Ok(())
    }
}

impl StorageBackend for SimDisk {
    fn len(&self) -> io::Result<u64> {
        let inner = self.lock();
        inner.alive()?;
        Ok(inner.files[self.file].current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.lock();
        inner.alive()?;
        let from = offset as usize;
        let bytes = inner.files[self.file].current.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.step()?;
        let len = len as usize;
        let content = &mut inner.files[self.file];
        content.current.resize(len, 0);
        content.dirty.retain(|sector, _| (sector + 1) * SECTOR <= len);
        content.allocated.retain(|block| (block + 1) * BLOCK <= len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.step()?;
        inner.syncs += 1;
        if inner.lying {
            return Ok(());
        }
        let dirty = std::mem::take(&mut inner.files[self.file].dirty);
        if inner.failing_syncs > 0 {
            // As Linux does: what could not be written is clean from now on, and only in memory.
            inner.failing_syncs -= 1;
            let mut chance = inner.chance.take().unwrap_or_else(|| Chance::new(0));
            for (sector, contents) in dirty {
                if chance.below(2) == 0 {
                    inner.files[self.file].flush(sector, &contents[contents.len() - 1]);
                }
            }
            inner.chance = Some(chance);
            return Err(io::Error::other("the disk failed to sync"));
        }
        let len = inner.files[self.file].current.len();
        inner.files[self.file].durable.resize(len, 0);
        for (sector, contents) in dirty {
            inner.files[self.file].flush(sector, &contents[contents.len() - 1]);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        inner.step()?;
        if inner.failing_writes {
            return Err(io::Error::other("the disk failed to write"));
        }
        let (from, end) = (offset as usize, offset as usize + data.len());
        let length = inner.files[self.file].current.len().max(end);
        inner.files[self.file].current.resize(length, 0);
        for block in from / BLOCK..end.div_ceil(BLOCK) {
            inner.allocate(self.file, block)?;
            let content = &mut inner.files[self.file];
            let (begin, end) = ((block * BLOCK).max(from), ((block + 1) * BLOCK).min(end));
            content.current[begin..end].copy_from_slice(&data[begin - from..end - from]);
            (begin / SECTOR..end.div_ceil(SECTOR)).for_each(|sector| content.note(sector));
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.lock().locked = false;
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported)
    }
}
