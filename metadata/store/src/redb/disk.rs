//! Where the database lives: a file, or what a test puts in its place.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use ::redb::backends::FileBackend;
use ::redb::{BackendError, DatabaseError, StorageBackend, StorageError};

/// A new database is smaller; this much is looked through.
const MOST_UNFINISHED: u64 = 16 << 20;
/// Bytes of redb's magic number, at the beginning.
const MAGIC: usize = 9;
/// redb's header is within so many bytes.
const HEADER: usize = 4096;

/// A place for one database, which can be opened again after an error.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens it, creating it empty if there is nothing.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Opens the journal that belongs to it, creating it empty if there is nothing. Only whoever has the database open may.
    ///
    /// # Errors
    /// What the operating system says.
    fn open_journal(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Called before each opening: after a failed sync, perhaps in an earlier process, what the operating system holds in
    /// memory may differ from what is on disk, and must not be read.
    ///
    /// # Errors
    /// What the operating system says.
    fn forget_unsynced(&self) -> io::Result<()>;

    /// Its name in messages.
    fn path(&self) -> &Path;
}

/// A file, and its journal beside it: `metadata.redb` has `metadata.journal`.
#[derive(Debug, Clone)]
pub struct FileDisk {
    path: PathBuf,
    journal: PathBuf,
}

impl FileDisk {
    /// The file at `path`. Its directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let journal = path.with_extension("journal");
        FileDisk { path, journal }
    }
}

fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// A file that is there for good, perhaps empty.
fn backend(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
    let file = file(path)?;
    // A new file is durable once its directory is.
    if let Some(directory) = path.parent() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        File::open(directory)?.sync_all()?;
    }
    let backend = FileBackend::new(file).map_err(|error| match error {
        DatabaseError::Storage(StorageError::Io(error)) => error,
        other => io::Error::other(other.to_string()),
    })?;
    Ok(Box::new(backend))
}

impl Disk for FileDisk {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        backend(&self.path)
    }

    fn open_journal(&self) -> io::Result<Box<dyn StorageBackend>> {
        backend(&self.journal)
    }

    /// After a failed fsync Linux marks the pages clean, so that reading them, or another fsync, would look well although
    /// the disk holds something else. Dropping them from the page cache makes the next read ask the disk.
    #[cfg(unix)]
    fn forget_unsynced(&self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        for path in [&self.path, &self.journal] {
            rustix::fs::fadvise(&file(path)?, 0, None, rustix::fs::Advice::DontNeed)?;
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn forget_unsynced(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Empties what a first start left behind that was ended in the middle, by a full disk or a crash: until all else of a new
/// database is durable, redb leaves zeros where every finished one has its magic number, and would refuse the file for ever.
pub(super) fn clear_unfinished(backend: &dyn StorageBackend) -> io::Result<()> {
    if !is_unfinished(backend)? {
        return Ok(());
    }
    let everything = (Bound::Unbounded, Bound::Unbounded);
    // Another process may be in the middle of it just now.
    let locked = match backend.try_lock_range(everything.0, everything.1) {
        Ok(false) => return Ok(()),
        Ok(true) => true,
        Err(BackendError::Unsupported) => false,
        Err(BackendError::Io(error)) => return Err(error),
        Err(other) => return Err(io::Error::other(other.to_string())),
    };
    let cleared = is_unfinished(backend).and_then(|is| if is { backend.set_len(0) } else { Ok(()) });
    if locked {
        backend
            .unlock_range(everything.0, everything.1)
            .map_err(|error| io::Error::other(error.to_string()))?;
    }
    cleared
}

/// Something is there, it begins with zeros, and nothing was ever written behind its header: so a database that lost its first
/// block is not taken for one.
fn is_unfinished(backend: &dyn StorageBackend) -> io::Result<bool> {
    let length = backend.len()?;
    if length == 0 || length > MOST_UNFINISHED {
        return Ok(false);
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    backend.read(0, &mut bytes)?;
    let zeros = |part: Option<&[u8]>| part.is_none_or(|part| part.iter().all(|byte| *byte == 0));
    Ok(zeros(bytes.get(..MAGIC.min(bytes.len()))) && zeros(bytes.get(HEADER..)))
}
