//! A durable put into a directory. The order of its steps is what makes it durable:
//!
//! 1. every directory on the way exists, and is known to be durable in its parent;
//! 2. the bytes are written to a file of another name, and synced;
//! 3. the file is renamed to the object's name;
//! 4. the directory of the object is synced.
//!
//! So an object is whole or absent at every moment, also after a crash, and is there for good once the put has answered Ok.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::ops::FileOps;
use crate::fault::{Fault, Sort};

/// Directories remembered as durable; above this all are forgotten, which costs some syncs and nothing else.
const REMEMBERED: usize = 4096;
/// Tries to find a free name for a temporary file.
const NAME_TRIES: u32 = 16;

/// Writes objects below a root directory.
pub(super) struct Writer {
    ops: Arc<dyn FileOps>,
    root: PathBuf,
    temp: PathBuf,
    /// Tells this writer's temporary files from those of other processes.
    tag: u64,
    next: AtomicU64,
    /// Directories whose entries in their parents this process has synced. Another process may have made a directory and not
    /// have synced it yet, so existing is not enough. Nothing removes directories.
    durable: Mutex<BTreeSet<PathBuf>>,
}

impl Writer {
    /// `root` must exist and be durable; `temp` is made below it.
    pub(super) fn new(ops: Arc<dyn FileOps>, root: PathBuf, temp: &str, tag: u64) -> io::Result<Self> {
        let temp = root.join(temp);
        ops.make_dir(&temp)?;
        Ok(Self { ops, root, temp, tag, next: AtomicU64::new(0), durable: Mutex::default() })
    }

    /// Writes an object so that it survives a crash. `path` is below the root. Blocks.
    pub(super) fn put(&self, path: &Path, chunks: &[Bytes]) -> Result<(), Fault> {
        self.prepare_parents(path).map_err(|error| failed("making its directory", &error))?;
        let temp = self.write_temp(chunks).map_err(|error| failed("writing", &error))?;
        if let Err(error) = self.ops.rename(&temp, path) {
            self.discard(&temp);
            // Somebody removed the directory by hand: it will be made again at the next try.
            self.forget_directories();
            return Err(failed("renaming", &error));
        }
        let Some(parent) = path.parent() else { return Ok(()) };
        self.ops.sync_dir(parent).map_err(|error| failed("syncing its directory", &error).ambiguous())
    }

    fn write_temp(&self, chunks: &[Bytes]) -> io::Result<PathBuf> {
        let total = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let (path, mut file) = self.create_temp()?;
        match file.write_all(chunks, total).and_then(|()| file.sync()) {
            Ok(()) => Ok(path),
            Err(error) => {
                drop(file);
                self.discard(&path);
                Err(error)
            }
        }
    }

    fn create_temp(&self) -> io::Result<(PathBuf, Box<dyn super::ops::OpenFile>)> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..NAME_TRIES {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.temp.join(format!("{:016x}-{number:x}", self.tag));
            match self.ops.create(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.ops.make_dir(&self.temp)?;
                    last = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// What stays behind if this fails is removed when the directory is next opened.
    fn discard(&self, temp: &Path) {
        if let Err(error) = self.ops.remove(temp) {
            tracing::warn!(path = %temp.display(), %error, "a temporary file could not be removed");
        }
    }

    /// Makes what is missing between the root and the object, and syncs the entries of what may not be durable.
    fn prepare_parents(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if parent == self.root || self.remembers(parent) {
            return Ok(());
        }
        let mut above = self.root.clone();
        for part in parent.strip_prefix(&self.root).map_err(io::Error::other)? {
            let below = above.join(part);
            if !self.remembers(&below) {
                self.ops.make_dir(&below)?;
                self.ops.sync_dir(&above)?;
                self.remember(below.clone());
            }
            above = below;
        }
        Ok(())
    }

    fn remembers(&self, dir: &Path) -> bool {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(dir)
    }

    fn remember(&self, dir: PathBuf) {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= REMEMBERED {
            durable.clear();
        }
        durable.insert(dir);
    }

    fn forget_directories(&self) {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Nothing that a put needs can be missing for good: what is missing is made at the next try.
fn failed(doing: &str, error: &io::Error) -> Fault {
    let fault = Fault::from_io(doing, error);
    if fault.sort == Sort::Missing { Fault { sort: Sort::Transient, ..fault } } else { fault }
}
