//! The transactional, ordered key-value store that holds Siltstone's metadata: the trait, and its backends.
//!
//! ```text
//!   snapshot() ──▶ Snapshot at version v ── get / range ──▶ what was committed at or before v, nothing else
//!        │
//!        └─ v ──▶ Commit { read_version, reads (conflict ranges), mutations } ──commit()──▶ version w > v, or why not
//! ```
//!
//! The semantics are FoundationDB's (design, sections 3 and 8), with reading and writing apart:
//!
//! * **Versions.** Every commit that changes something has a [`Version`], at least that of every commit before it, and
//!   greater than that of every commit whose success was told before it was sent. Commits that share a version become
//!   visible together; their [`Stamp`]s differ, and stamps always grow in serialization order. Versions jump, and they are
//!   no clock. A snapshot at version `v` sees every commit whose version is at most `v`, and no other, for as long as it
//!   answers: one that gets too old ends with [`StoreError::TooOld`].
//! * **Snapshots are fresh.** [`Store::snapshot`] returns a version at least that of any commit whose success *anyone* had
//!   been told of before the call. [`Store::snapshot_at`] reads at a version that the caller already knows of, without asking for
//!   one. It shows exactly that version or refuses: the version of the last commit is always there, an older one may be
//!   [`StoreError::TooOld`] at any age, and the caller then takes a fresh snapshot.
//! * **Snapshots see no uncommitted writes**, in particular never those of the transaction that is being put together.
//! * **Optimistic.** A [`Commit`] names the key ranges that its decision rests on (`reads`) and the version at which it read
//!   them. It fails with [`CommitError::Conflict`] if any commit after that version wrote into one of these ranges, and
//!   changes nothing then. A commit without `reads` is *blind*: it never conflicts, however many others write the same keys.
//!   A commit with neither mutations nor `writes` changes nothing; whether its `reads` are checked is the backend's choice.
//!   A write counts as one even if it leaves the same value, and a cleared range counts whole, whatever was in it.
//!   A snapshot's reads add no conflict range by themselves: the caller says what matters.
//! * **Atomic and durable.** A commit applies as a whole or not at all. Once anyone can see it, it survives a crash.
//! * **Unknown.** [`CommitError::Unknown`] means: it may have been applied, may be applied later, or never. A caller who must know
//!   writes something idempotent and sends it again, or fences. Dropping the future of `commit` has the same effect as `Unknown`.
//! * **Versionstamps.** [`Mutation::SetVersionstampedKey`] writes at a key that contains the commit's [`Stamp`]; within one
//!   commit several such keys are told apart by what the caller puts behind the stamp. The stamp can't be read inside its own transaction.
//! * **Writes in a commit apply in order**: a clear after a set clears it, a set after a clear stays.
//! * **Watches are hints** ([`Store::watch`]): they may fire without a change and may miss a change that was undone. They never
//!   miss for ever a value that differs from the one at the time of the call and stays so.
//! * **Limits** are errors ([`CommitError::TooLarge`], [`limits`]), on every backend the same, so that what passes on the embedded
//!   store passes on FoundationDB.
//!
//! The contract suite in `contract` (cargo feature `testing`) has a test for each of these sentences, and every backend runs it.

pub mod check;
mod commit;
#[cfg(feature = "testing")]
pub mod contract;
pub mod counted;
#[cfg(feature = "foundationdb")]
pub mod fdb;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
mod read;
pub mod redb;
mod resolve;
mod watches;
mod window;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

pub use read::{Pages, ReadAllError, read_all};

/// What FoundationDB allows, and so what every backend enforces.
pub mod limits {
    /// Longest key, bytes: FoundationDB's 10,000 less the room for a prefix that tells clusters apart. A versionstamped key counts with its stamp and 4 bytes more, which say where the stamp goes. A
    /// range's ends may be one byte longer, so that [`super::KeyRange::key`] of every key is in bounds.
    pub const KEY_BYTES: usize = 9_900;
    /// Longest value, bytes. A versionstamped value counts with its stamp and 4 bytes more.
    pub const VALUE_BYTES: usize = 100_000;
    /// Keys are below this: a key that starts with byte 0xff is refused. Ranges may reach past it, where nothing is.
    pub const KEYS_END: &[u8] = b"\xff";
    /// Largest commit, bytes, as [`super::check::size`] counts: keys and values of all mutations plus the keys of all
    /// conflict ranges, those of the mutations included, and an allowance for each.
    pub const COMMIT_BYTES: usize = 10_000_000;
    /// A read version or snapshot older than this, in milliseconds, may be refused as too old
    /// ([`super::StoreError::TooOld`], [`super::CommitError::TooOld`]); a busy store with bounded memory may do so sooner.
    pub const SNAPSHOT_MILLIS: u64 = 5_000;
    /// Most watches that one handle keeps; one more is refused.
    pub const WATCHES: usize = 10_000;
}

/// A point in the order of commits. Greater is later. Not a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// A commit's place in the order of all commits: 8 bytes of version, 2 of order within it, big-endian, so that
/// stamps sort as bytes. Two commits never share a stamp.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(pub [u8; 10]);

impl Stamp {
    /// Length in bytes.
    pub const LEN: usize = 10;
    /// Before every commit's stamp.
    pub const ZERO: Stamp = Stamp([0; 10]);
    /// After every commit's stamp.
    pub const MAX: Stamp = Stamp([0xff; 10]);

    /// The stamp of the commit that has place `order` among those of `version`.
    pub fn new(version: Version, order: u16) -> Self {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&version.0.to_be_bytes());
        bytes[8..].copy_from_slice(&order.to_be_bytes());
        Stamp(bytes)
    }

    /// The version part.
    pub fn version(&self) -> Version {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        Version(u64::from_be_bytes(bytes))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version().0, u16::from_be_bytes([self.0[8], self.0[9]]))
    }
}

/// Keys from `begin` (included) to `end` (excluded), in byte order. Empty if `begin >= end`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// First key.
    pub begin: Bytes,
    /// First key after the range.
    pub end: Bytes,
}

impl KeyRange {
    /// From `begin` (included) to `end` (excluded).
    pub fn new(begin: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        KeyRange { begin: begin.into(), end: end.into() }
    }

    /// Just one key.
    pub fn key(key: impl Into<Bytes>) -> Self {
        let begin = key.into();
        let mut end = Vec::with_capacity(begin.len() + 1);
        end.extend_from_slice(&begin);
        end.push(0);
        KeyRange { begin, end: end.into() }
    }

    /// All keys that start with `prefix`. The prefix must hold a byte other than 0xff.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let begin = prefix.into();
        let kept = begin.iter().rposition(|b| *b != 0xff).map_or(0, |at| at + 1);
        let mut end = begin[..kept].to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        KeyRange { begin, end: end.into() }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.begin.as_ref() <= key && key < self.end.as_ref()
    }

    /// Whether the range holds no key.
    pub fn is_empty(&self) -> bool {
        self.begin >= self.end
    }

    /// Whether some key lies in both.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        !self.is_empty() && !other.is_empty() && self.begin < other.end && other.begin < self.end
    }
}

/// How much of a range to read, and from which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeLimit {
    /// At most so many entries. 0 is read as 1.
    pub entries: usize,
    /// Stop after the entry with which keys and values reach so many bytes; at least one entry is returned if there is one.
    pub bytes: usize,
    /// From the range's end backwards.
    pub reverse: bool,
}

impl Default for RangeLimit {
    fn default() -> Self {
        RangeLimit { entries: 10_000, bytes: 1 << 20, reverse: false }
    }
}

/// A key and its value.
pub type Entry = (Bytes, Bytes);

/// Part of a range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In key order, or in reverse order if asked so.
    pub entries: Vec<Entry>,
    /// Whether the range may hold entries beyond these.
    pub more: bool,
}

/// One change. See [`Commit::mutations`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// Sets `key` to `value`.
    Set {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Sets the key `prefix ‖ stamp of this commit ‖ suffix` to `value`.
    SetVersionstampedKey {
        /// What stands before the stamp.
        prefix: Bytes,
        /// What stands behind it; must differ between keys of one commit that share a prefix.
        suffix: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Sets `key` to `prefix ‖ stamp of this commit ‖ suffix`.
    SetVersionstampedValue {
        /// The key.
        key: Bytes,
        /// What stands before the stamp.
        prefix: Bytes,
        /// What stands behind it.
        suffix: Bytes,
    },
    /// Adds to the little-endian u64 at `key`, wrapping; an absent key counts as 0, a value of other than 8 bytes is cut or filled with zeros.
    Add {
        /// The key.
        key: Bytes,
        /// What to add. Subtract by adding the two's complement.
        delta: u64,
    },
    /// Removes `key`; no error if it is absent.
    Clear {
        /// The key.
        key: Bytes,
    },
    /// Removes every key of the range.
    ClearRange {
        /// The range.
        range: KeyRange,
    },
}

/// A transaction, put together and ready to be sent. Sending it again unchanged is always allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// The version at which `reads` were read. Needed if `reads` is not empty.
    pub read_version: Option<Version>,
    /// What must not have changed since `read_version`.
    pub reads: Vec<KeyRange>,
    /// Ranges that count as written for others' conflicts without a write.
    pub writes: Vec<KeyRange>,
    /// The changes, applied in order.
    pub mutations: Vec<Mutation>,
}

/// A commit that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its version; reading at it sees the commit.
    pub version: Version,
    /// Its place among all commits. A commit that changed nothing and has no `writes` may carry the stamp of its read version.
    pub stamp: Stamp,
}

/// Why a commit did not succeed, by what the caller should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Not applied: something in `reads` changed. Read again, decide again.
    #[error("another transaction changed what this one read")]
    Conflict,
    /// Not applied: the read version is too old to be checked. Read again, decide again.
    #[error("the transaction's read version is too old")]
    TooOld,
    /// May or may not have been applied, now or later. See the module's text.
    #[error("the result of the commit is unknown: {0}")]
    Unknown(String),
    /// Not applied: the store can't take it now (overload, disk full, no connection). The same commit may be sent again later.
    #[error("the metadata store is not available: {0}")]
    Unavailable(String),
    /// Never applied: over one of the [`limits`], or malformed. A defect of the caller.
    #[error("the transaction is over a limit: {0}")]
    TooLarge(String),
}

/// Why a read did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The snapshot is older than the store keeps. Take a new one.
    #[error("the snapshot is too old")]
    TooOld,
    /// The version asked for is not reached yet and was not within a short while. Try again.
    #[error("the version asked for is in the future")]
    Future,
    /// The store can't be reached or can't answer now. Try again.
    #[error("the metadata store is not available: {0}")]
    Unavailable(String),
    /// What is stored can't be read. Not to be retried.
    #[error("the metadata store is corrupt: {0}")]
    Corrupt(String),
    /// Over one of the [`limits`].
    #[error("over a limit of the metadata store: {0}")]
    Limit(String),
}

/// The database as of one version.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The version that it shows.
    fn version(&self) -> Version;

    /// The value at `key`.
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Entries of `range`, up to `limit`. To read on, start behind the last key returned.
    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError>;
}

/// Resolves when the watched key may have changed; an error means that the watch is lost: read, and watch again.
pub type Watch = futures::future::BoxFuture<'static, Result<(), StoreError>>;

/// A transactional ordered key-value store. Its contract is the text at the head of this module.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A snapshot that sees every commit that anyone was told of before this call.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// A snapshot at a version that the caller knows of, from a commit or another snapshot.
    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Applies a transaction.
    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError>;

    /// Watches `key` from now on: the future resolves soon after its value differs from what it is at the time of this call.
    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError>;

    /// A version that can be read from ([`Store::snapshot_at`]), and that holds every change of a key for which a watch that was asked for before
    /// this call does not fire any more. So who watches and then reads at this version misses nothing, and need not ask for a fresh
    /// one. `None`: the store would have to be asked.
    fn heard(&self) -> Option<Version> {
        None
    }
}
