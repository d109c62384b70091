//! The operations on files that a durable put is made of, so that a test can stand between us and the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write};
use std::path::Path;

use bytes::Bytes;

use super::direct;

/// Reservation up front pays only where the file has many blocks.
const RESERVE_FROM: u64 = 1 << 20;

/// Below this a put goes through the page cache: the copy costs less than the second trip to the disk.
const DIRECT_FROM: u64 = 256 << 10;

/// What a put needs of a file system. Nothing is durable before the call that says so.
pub(crate) trait FileOps: Send + Sync + 'static {
    /// Makes a new file; fails if there is one of this name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Gives a file its final name, replacing what has it. Durable after `sync_dir` of the new name's directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes one directory; Ok if it exists. Durable after `sync_dir` of its parent.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a file. Not durable.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(crate) trait OpenFile: Send {
    /// Appends all chunks.
    fn write_all(&mut self, chunks: &[Bytes], total: u64) -> io::Result<()>;
    /// Makes the file's content and length durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system's files.
pub(crate) struct RealFiles;

impl FileOps for RealFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        // The lock says that the writer lives: leftovers of a crash are the files that nobody holds.
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealFile(file))),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::other("the new file is locked by another process"))
            }
            // A file system without locks: its leftovers may be removed while in use, and the put is then tried again.
            Err(TryLockError::Error(_)) => Ok(Box::new(RealFile(file))),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

struct RealFile(File);

impl OpenFile for RealFile {
    fn write_all(&mut self, chunks: &[Bytes], total: u64) -> io::Result<()> {
        if total >= RESERVE_FROM {
            reserve(&self.0, total)?;
        }
        if total >= DIRECT_FROM && direct::write(&self.0, chunks, total)? {
            return Ok(());
        }
        let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.0.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Asks for the file's blocks at once: a full disk is found before anything is written. Not all file systems can.
fn reserve(file: &File, total: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, total) {
        Err(rustix::io::Errno::NOSPC) => Err(io::ErrorKind::StorageFull.into()),
        Err(rustix::io::Errno::DQUOT) => Err(io::ErrorKind::QuotaExceeded.into()),
        _ => Ok(()),
    }
}
