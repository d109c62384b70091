//! The format of the database: its tables, how it is opened and recognised, and how a group of commits is written.
//!
//! | table | key | value |
//! |---|---|---|
//! | `siltstone.keys` | a key | its value |
//! | `siltstone.meta` | `format`, `version`, `journal` | u64 |
//!
//! `journal` is the generation of records that count in the journal ([`super::journal`]); 0 or missing: none. The format is 2
//! while there is one, else 1: a program that knows of no journals may open what was closed in order, and nothing else.
//! `version` is written by every group, in the same redb transaction as what the group changes. So whoever reads the keys
//! learns the version that they show from the same place, and after a failure it says whether the group is in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use ::redb::{
    Builder, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageError, Table, TableDefinition, TableError, WriteTransaction,
};

use super::disk::{Disk, clear_unfinished};
use super::held::{Backend, Held};
use super::journal::{Generation, Journal, JournalError};
use super::options::{OpenError, Options};
use crate::Version;
use crate::resolve::{Write, added};

/// The newest format that this code reads and writes.
pub(super) const FORMAT: u64 = 2;
/// The format of a database that has everything.
const COMPLETE: u64 = 1;

pub(super) const KEYS: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new("siltstone.keys");
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("siltstone.meta");

/// An open database.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) journal: Journal,
    /// For as long as the database is open.
    pub(super) held: Weak<Held>,
    pub(super) sync_failed: Arc<AtomicBool>,
    pub(super) version: Version,
}

/// Opens a database, or makes one where there is nothing.
pub(super) fn open(disk: &dyn Disk, options: &Options) -> Result<Opened, OpenError> {
    let path = disk.path();
    // redb checks its checksums, but a damaged file can still trip one of its assertions: to the caller just as corrupt.
    let opened = catch_unwind(AssertUnwindSafe(|| open_checked(disk, options)));
    opened.unwrap_or_else(|_| Err(corrupt(path, "opening it failed an assertion".to_owned())))
}

fn open_checked(disk: &dyn Disk, options: &Options) -> Result<Opened, OpenError> {
    let path = disk.path();
    let io_error = |source| OpenError::Io { path: path.into(), source };
    // At every opening: a sync may have failed in a process that has ended since.
    disk.forget_unsynced().map_err(io_error)?;
    let backend = disk.open().map_err(io_error)?;
    clear_unfinished(backend.as_ref()).map_err(io_error)?;
    let sync_failed = Arc::new(AtomicBool::new(false));
    let held = Arc::new(Held::new(backend, Arc::clone(&sync_failed)));
    let database = Builder::new()
        .set_cache_size(options.cache_bytes)
        .create_with_backend(Backend(Arc::clone(&held)))
        .map_err(|error| open_error(path, error))?;
    let (version, generation) = match recognise(&database).map_err(|error| redb_error(path, error))? {
        Found::Format { format, .. } if format > FORMAT => {
            return Err(OpenError::Newer { path: path.into(), found: format, known: FORMAT });
        }
        Found::Format { version, generation, .. } => (version, generation),
        Found::Foreign => {
            let why = "a redb database with other tables".to_owned();
            return Err(OpenError::Foreign { path: path.into(), why });
        }
        Found::Nothing => {
            initialise(&database).map_err(|error| redb_error(path, error))?;
            (Version(0), 0)
        }
    };
    let file = disk.open_journal().map_err(io_error)?;
    let mut journal = Journal::new(file, Arc::clone(&sync_failed), options.journal_bytes);
    let version = match generation {
        0 => version,
        _ => held.while_passing(|| replay(path, &database, version, &mut journal, generation))?,
    };
    Ok(Opened { database, journal, held: Arc::downgrade(&held), sync_failed, version })
}

/// Has the database, in memory, do what only the journal tells; the version that it has then.
fn replay(
    path: &Path,
    database: &Database,
    version: Version,
    journal: &mut Journal,
    generation: Generation,
) -> Result<Version, OpenError> {
    let records = journal.replay(generation).map_err(|error| match error {
        JournalError::Io(source) => OpenError::Io { path: path.into(), source },
        JournalError::Damaged(why) => corrupt(path, why),
    })?;
    let mut last = version;
    let mut writes = Vec::new();
    for record in records.into_iter().filter(|record| record.version > version) {
        if record.version.0 != last.0 + 1 {
            let why = format!("its journal goes on with version {} after {}", record.version.0, last.0);
            return Err(corrupt(path, why));
        }
        last = record.version;
        writes.extend(record.writes);
    }
    if last == version {
        return Ok(version);
    }
    tracing::info!(path = %path.display(), groups = last.0 - version.0, "read from the journal");
    let begun = begin(database, Durability::None);
    let filled = begun.and_then(|transaction| fill(transaction, last, None, writes.iter()));
    let done = filled.and_then(|transaction| Ok(transaction.commit()?));
    done.map_err(|error| redb_error(path, error))?;
    Ok(last)
}

enum Found {
    Nothing,
    Foreign,
    Format { format: u64, version: Version, generation: Generation },
}

fn recognise(database: &Database) -> Result<Found, ::redb::Error> {
    let read = database.begin_read()?;
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => {
            let empty = read.list_tables()?.next().is_none() && read.list_multimap_tables()?.next().is_none();
            return Ok(if empty { Found::Nothing } else { Found::Foreign });
        }
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(Found::Foreign),
    };
    let number = |key| meta.get(key).map(|value| value.map(|value| value.value()));
    match (number("format")?, number("version")?) {
        (Some(format), Some(version)) => {
            let generation = number("journal")?.unwrap_or(0);
            Ok(Found::Format { format, version: Version(version), generation })
        }
        _ => Ok(Found::Foreign),
    }
}

fn initialise(database: &Database) -> Result<(), ::redb::Error> {
    let write = database.begin_write()?;
    write.open_table(KEYS)?;
    {
        let mut meta = write.open_table(META)?;
        meta.insert("format", COMPLETE)?;
        meta.insert("version", 0)?;
    }
    Ok(write.commit()?)
}

/// The version that a read transaction shows.
pub(super) fn version_of(read: &ReadTransaction) -> Result<Version, ::redb::Error> {
    let meta = read.open_table(META)?;
    match meta.get("version")? {
        Some(version) => Ok(Version(version.value())),
        None => Err(::redb::Error::Corrupted("the version is missing".to_owned())),
    }
}

/// Begins a transaction for a group.
pub(super) fn begin(database: &Database, durability: Durability) -> Result<WriteTransaction, ::redb::Error> {
    let mut transaction = database.begin_write()?;
    // One sync per group: the checksums of a one-phase commit tell after a crash whether it is whole.
    transaction.set_two_phase_commit(false);
    transaction.set_durability(durability)?;
    Ok(transaction)
}

/// Puts a group into a transaction, not yet committed; and the generation of the journal that begins with it, if one does.
pub(super) fn fill<'a>(
    transaction: WriteTransaction,
    version: Version,
    generation: Option<Generation>,
    writes: impl Iterator<Item = &'a Write>,
) -> Result<WriteTransaction, ::redb::Error> {
    {
        let mut keys = transaction.open_table(KEYS)?;
        for write in writes {
            apply(&mut keys, write)?;
        }
        let mut meta = transaction.open_table(META)?;
        meta.insert("version", version.0)?;
        if let Some(generation) = generation {
            meta.insert("journal", generation)?;
            meta.insert("format", if generation == 0 { COMPLETE } else { FORMAT })?;
        }
    }
    Ok(transaction)
}

fn apply(keys: &mut Table<'_, &'static [u8], &'static [u8]>, write: &Write) -> Result<(), StorageError> {
    match write {
        Write::Set(key, value) => keys.insert(key.as_ref(), value.as_ref()).map(drop),
        Write::Clear(key) => keys.remove(key.as_ref()).map(drop),
        Write::ClearRange(range) if range.is_empty() => Ok(()),
        Write::ClearRange(range) => keys.retain_in(range.begin.as_ref()..range.end.as_ref(), |_, _| false),
        Write::Add(key, delta) => {
            let new = added(keys.get(key.as_ref())?.map(|old| old.value().to_vec()).as_deref(), *delta);
            keys.insert(key.as_ref(), new.as_slice()).map(drop)
        }
    }
}

fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.into() },
        other => redb_error(path, other.into()),
    }
}

fn redb_error(path: &Path, error: ::redb::Error) -> OpenError {
    match error {
        ::redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            OpenError::Foreign { path: path.into(), why: source.to_string() }
        }
        ::redb::Error::Io(source) => OpenError::Io { path: path.into(), source },
        ::redb::Error::UpgradeRequired(version) => {
            OpenError::Foreign { path: path.into(), why: format!("an old redb file, version {version}") }
        }
        other => corrupt(path, other.to_string()),
    }
}

fn corrupt(path: &Path, why: String) -> OpenError {
    OpenError::Corrupt { path: path.into(), why }
}
