//! The journal: what was written since the database was last synced.
//!
//! A commit of redb writes some eighteen pages, each in another place. Here a group of commits is one piece behind the one
//! before it, synced by itself: a fifth of the time, and far less for a disk to do (docs/performance.md). The database takes
//! the same group in memory, and is synced when the journal is full; that commit also says which *generation* of records
//! comes next, so that nothing of what is in the journal by then counts any more.
//!
//! The first two blocks of 4,096 bytes each name a generation: the one that the database knows of and, for as long as it
//! takes to sync that, the next one. A database whose generation neither of them names, or when a later one has records
//! already, has a journal of another time, and is not opened. Records follow, each at the beginning of a block:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic number |
//! | 4 | CRC-32C of what follows, up to the payload's end |
//! | 8 | generation |
//! | 8 | version of the group |
//! | 4 | bytes of the payload |
//! | | payload: writes, in order |
//! | | zeros up to a multiple of 4,096, so that no block of a disk is written twice |
//!
//! What names a generation is a record without a payload, with the version that begins it. Numbers are little-endian. A
//! write is a byte that says what it is (0 set, 1 add, 2 clear, 3 clear a range), then its key and its value (8 bytes for
//! add, none for clear, the range's end for a range), each with its length in 4 bytes before it.
//!
//! One record at a time is on its way to the disk, so only the last one can be torn. A whole one behind one that is not tells of damage.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::redb::StorageBackend;
use bytes::Bytes;

use crate::resolve::Write;
use crate::{KeyRange, Version};

const MAGIC: [u8; 4] = *b"SJ1\n";
const HEADER: usize = 28;
const BLOCK: usize = 4096;
/// Where the first record goes.
const RECORDS: u64 = 2 * BLOCK as u64;
/// As much of a new journal is written at a time, bytes.
const FILL: usize = 1 << 20;

const SET: u8 = 0;
const ADD: u8 = 1;
const CLEAR: u8 = 2;
const CLEAR_RANGE: u8 = 3;

/// Which records count; 0: none, the database has everything.
pub(super) type Generation = u64;

/// A group that was written.
pub(super) struct Record {
    pub(super) version: Version,
    pub(super) writes: Vec<Write>,
}

/// What is wrong with a journal.
pub(super) enum JournalError {
    Io(io::Error),
    Damaged(String),
}

pub(super) struct Journal {
    file: Box<dyn StorageBackend>,
    /// Where it says that a sync has failed.
    sync_failed: Arc<AtomicBool>,
    capacity: u64,
    generation: Generation,
    /// Which block names the next generation.
    next_name: u64,
    /// Where the next record goes.
    at: u64,
    /// The next record.
    record: Vec<u8>,
}

impl Journal {
    /// A journal of which nothing counts.
    pub(super) fn new(file: Box<dyn StorageBackend>, sync_failed: Arc<AtomicBool>, capacity: u64) -> Self {
        Journal { file, sync_failed, capacity, generation: 0, next_name: 0, at: RECORDS, record: Vec::new() }
    }

    /// Whether there may be records that the database does not have.
    pub(super) fn is_used(&self) -> bool {
        self.generation != 0
    }

    /// What a generation has written, durable now if it was not. Goes on behind it.
    pub(super) fn replay(&mut self, generation: Generation) -> Result<Vec<Record>, JournalError> {
        let length = self.file.len().map_err(JournalError::Io)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other).map_err(JournalError::Io)?];
        self.file.read(0, &mut bytes).map_err(JournalError::Io)?;
        let Some(named) = named(&bytes, generation) else {
            let why = "its journal is missing, or of another time: the two belong together".to_owned();
            return Err(JournalError::Damaged(why));
        };
        let mut records = Vec::new();
        let mut at = RECORDS as usize;
        while let Some((record, end)) = find(&bytes, at, generation) {
            records.push(record);
            at = end;
        }
        if let Some(whole) =
            (at..bytes.len()).step_by(BLOCK).find(|at| find(&bytes, *at, generation).is_some())
        {
            let why = format!("its journal is damaged at byte {at}, and goes on at byte {whole}");
            return Err(JournalError::Damaged(why));
        }
        if !records.is_empty() {
            self.sync().map_err(JournalError::Io)?;
        }
        (self.generation, self.next_name, self.at) = (generation, 1 - named, at as u64);
        Ok(records)
    }

    /// Makes a record of a group. Whether there is room for it; else the database has to be synced with it, and a new generation begun.
    pub(super) fn prepare<'a>(&mut self, version: Version, writes: impl Iterator<Item = &'a Write>) -> bool {
        let whole = make(&mut self.record, self.generation, version, writes);
        let end = self.at + self.record.len() as u64;
        self.is_used() && whole && end <= self.capacity
    }

    /// Writes the record that was prepared, durably.
    pub(super) fn append(&mut self) -> io::Result<()> {
        self.file.write(self.at, &self.record)?;
        self.sync()?;
        self.at += self.record.len() as u64;
        Ok(())
    }

    /// Another generation, which the journal names from now on beside the one that counts, and which begins with a version.
    /// The first one gives the journal its length.
    pub(super) fn next_generation(&mut self, version: Version) -> io::Result<Generation> {
        let generation = RandomState::new().hash_one(self.generation).max(1);
        // Zeros, and not a hole: a sync of a record must not have to allocate what it is in, nor fail for lack of space.
        let mut length = self.file.len()?;
        let zeros = if length < self.capacity { vec![0; FILL] } else { Vec::new() };
        while length < self.capacity {
            let more = (self.capacity - length).min(FILL as u64);
            self.file.set_len(length + more)?;
            self.file.write(length, &zeros[..more as usize])?;
            length += more;
        }
        make(&mut self.record, generation, version, std::iter::empty());
        if !self.is_used() {
            // What is left there may be of a database that has been replaced by a copy.
            self.next_name = 0;
            self.record.resize(2 * BLOCK, 0);
        }
        self.file.write(self.next_name * BLOCK as u64, &self.record)?;
        self.sync()?;
        Ok(generation)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }

    /// Begins anew with a generation that the database knows of.
    pub(super) fn restart(&mut self, generation: Generation) {
        (self.generation, self.next_name, self.at) = (generation, 1 - self.next_name, RECORDS);
        // One large group must not hold memory for ever.
        self.record = Vec::new();
    }
}

/// A record, in place of what was there. Whether its length can be told.
fn make<'a>(
    record: &mut Vec<u8>,
    generation: Generation,
    version: Version,
    writes: impl Iterator<Item = &'a Write>,
) -> bool {
    record.clear();
    record.extend_from_slice(&MAGIC);
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&generation.to_le_bytes());
    record.extend_from_slice(&version.0.to_le_bytes());
    record.extend_from_slice(&[0; 4]);
    writes.for_each(|write| encode(write, record));
    let Ok(payload) = u32::try_from(record.len() - HEADER) else { return false };
    record[HEADER - 4..HEADER].copy_from_slice(&payload.to_le_bytes());
    let crc = crc32c::crc32c(&record[8..]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    record.resize(record.len().next_multiple_of(BLOCK), 0);
    true
}

/// Which block names a generation. None if another one has begun since.
fn named(bytes: &[u8], generation: Generation) -> Option<u64> {
    let block = (0..2).find(|block| find(bytes, block * BLOCK, generation).is_some())?;
    let version = |at: usize, of: Generation| find(bytes, at, of).map(|(record, _)| record.version);
    let other_at = (1 - block) * BLOCK;
    let other = generation_at(bytes, other_at)?;
    let is_older = version(block * BLOCK, generation) < version(other_at, other);
    let has_begun = version(RECORDS as usize, other).is_some();
    if is_older && has_begun { None } else { Some(block as u64) }
}

/// The generation that a record says, whole or not.
fn generation_at(bytes: &[u8], at: usize) -> Option<Generation> {
    Some(u64::from_le_bytes(bytes.get(at + 8..at + 16)?.try_into().ok()?))
}

/// The record of a generation at a place, and where the next one would begin.
fn find(bytes: &[u8], at: usize, generation: Generation) -> Option<(Record, usize)> {
    let mut rest = bytes.get(at..)?;
    let header = rest;
    if take(&mut rest, 4)? != MAGIC {
        return None;
    }
    let crc = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
    let of = u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let version = Version(u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?));
    let mut payload = part(&mut rest)?;
    let length = HEADER + payload.len();
    if of != generation || crc32c::crc32c(&header[8..length]) != crc {
        return None;
    }
    let mut writes = Vec::new();
    while !payload.is_empty() {
        writes.push(decode(&mut payload)?);
    }
    Some((Record { version, writes }, at + length.next_multiple_of(BLOCK)))
}

fn encode(write: &Write, into: &mut Vec<u8>) {
    let mut put = |kind: u8, key: &[u8], value: &[u8]| {
        into.push(kind);
        for part in [key, value] {
            // Keys and values are bounded far below, see `limits`.
            into.extend_from_slice(&(part.len() as u32).to_le_bytes());
            into.extend_from_slice(part);
        }
    };
    match write {
        Write::Set(key, value) => put(SET, key, value),
        Write::Add(key, delta) => put(ADD, key, &delta.to_le_bytes()),
        Write::Clear(key) => put(CLEAR, key, &[]),
        Write::ClearRange(range) => put(CLEAR_RANGE, &range.begin, &range.end),
    }
}

fn decode(from: &mut &[u8]) -> Option<Write> {
    let kind = take(from, 1)?[0];
    let (key, value) = (Bytes::copy_from_slice(part(from)?), part(from)?);
    match kind {
        SET => Some(Write::Set(key, Bytes::copy_from_slice(value))),
        ADD => Some(Write::Add(key, u64::from_le_bytes(value.try_into().ok()?))),
        CLEAR => Some(Write::Clear(key)),
        CLEAR_RANGE => Some(Write::ClearRange(KeyRange { begin: key, end: Bytes::copy_from_slice(value) })),
        _ => None,
    }
}

/// Bytes with their length before them.
fn part<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(from, 4)?.try_into().ok()?);
    take(from, usize::try_from(length).ok()?)
}

fn take<'a>(from: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(bytes)?;
    *from = rest;
    Some(taken)
}
