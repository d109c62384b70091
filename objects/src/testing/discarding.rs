//! A directory on a disk that forgets what was not synced.
//!
//! Puts really write below the root; a model beside it records what would survive. [`DiscardingDir::crash`] makes the directory
//! what a machine might find after losing power: what was synced is there, of the rest chance keeps some.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::model::{Model, Survivor};
use crate::backend::Backend;
use crate::chance::Chance;
use crate::dir::{Dir, FileOps, OpenFile, RealFiles};
use crate::objects::Objects;
use crate::options::Options;

/// The directory. A cheap clone.
#[derive(Clone)]
pub struct DiscardingDir {
    disk: Arc<Disk>,
}

struct Disk {
    root: PathBuf,
    state: Mutex<State>,
    chance: Chance,
}

struct State {
    model: Model,
    steps: u64,
    /// Operations fail from this step on: the machine is dead.
    halt_at: u64,
}

impl DiscardingDir {
    /// `root` must exist and be empty; it counts as durable.
    pub fn new(root: PathBuf, seed: u64) -> Self {
        let state = State { model: Model::default(), steps: 0, halt_at: u64::MAX };
        Self { disk: Arc::new(Disk { root, state: Mutex::new(state), chance: Chance::new(seed) }) }
    }

    /// Objects in this directory, as `file://` would open them. Open again after a crash: what was open remembers too much.
    pub fn open(&self, options: &Options) -> io::Result<Objects> {
        let ops = Recorder { disk: Arc::clone(&self.disk) };
        let dir = Dir::with_ops(self.disk.root.clone(), Arc::new(ops), self.disk.chance.next())?;
        let place = format!("discarding {}", self.disk.root.display());
        Ok(Objects::over(Backend::Dir(dir), place, &options.requests, self.disk.chance.next()))
    }

    /// Changes made to the disk so far.
    pub fn steps(&self) -> u64 {
        self.disk.lock().steps
    }

    /// Fails every operation from that step on, until the crash.
    pub fn halt_at(&self, step: u64) {
        self.disk.lock().halt_at = step;
    }

    /// Whether an operation has failed because of [`Self::halt_at`], or the next one will.
    pub fn is_halted(&self) -> bool {
        let state = self.disk.lock();
        state.steps >= state.halt_at
    }

    /// Loses power: the directory becomes what might be found afterwards, and works again.
    pub fn crash(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.halt_at = u64::MAX;
        for entry in std::fs::read_dir(&self.disk.root)? {
            let path = entry?.path();
            if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
        }
        for survivor in state.model.crash(&self.disk.chance, &self.disk.root) {
            match survivor {
                Survivor::Dir(path) => std::fs::create_dir(path)?,
                Survivor::File(path, content) => std::fs::write(path, content)?,
            }
        }
        Ok(())
    }
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one step: on the real file system, then in the model, with nothing between them.
    fn step<T>(&self, real: impl FnOnce() -> io::Result<T>, model: impl FnOnce(&mut Model)) -> io::Result<T> {
        let mut state = self.lock();
        if state.steps >= state.halt_at {
            // Of a kind that is not tried again: nothing will come of it.
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the machine is dead"));
        }
        state.steps += 1;
        let done = real()?;
        model(&mut state.model);
        Ok(done)
    }
}

/// Real files, recorded.
struct Recorder {
    disk: Arc<Disk>,
}

impl FileOps for Recorder {
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let mut inode = 0;
        let file = self.disk.step(|| RealFiles.create(path), |model| inode = model.create(path))?;
        Ok(Box::new(RecordedFile { file, inode, disk: Arc::clone(&self.disk) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.step(|| RealFiles.rename(from, to), |model| model.rename(from, to))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.step(|| RealFiles.make_dir(path), |model| model.make_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.step(|| Ok(()), |model| model.sync_dir(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.step(|| RealFiles.remove(path), |model| model.remove(path))
    }
}

struct RecordedFile {
    file: Box<dyn OpenFile>,
    inode: usize,
    disk: Arc<Disk>,
}

impl OpenFile for RecordedFile {
    fn write_all(&mut self, chunks: &[Bytes], total: u64) -> io::Result<()> {
        let (file, inode) = (&mut self.file, self.inode);
        self.disk.step(|| file.write_all(chunks, total), |model| model.write(inode, chunks))
    }

    fn sync(&mut self) -> io::Result<()> {
        let inode = self.inode;
        // Really syncing would only cost the tests time: the crash is the model's.
        self.disk.step(|| Ok(()), |model| model.sync(inode))
    }
}

#[cfg(test)]
#[path = "discarding_tests.rs"]
mod tests;
