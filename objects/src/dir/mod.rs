//! A local directory as an object store: puts that survive a crash, reads with one copy.
//!
//! Our own instead of the `object_store` crate's: that one trusts directories which another writer has made but not yet
//! synced, and writes one chunk per system call. All work is done on the runtime's blocking threads; an attempt that is
//! dropped there still ends by itself, so a put that was given up may have its effect later.

mod direct;
mod lane;
mod ops;
mod put;
mod read;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::PutPayload;
use tokio::task::spawn_blocking;

#[cfg(any(test, feature = "testing"))]
pub(crate) use ops::OpenFile;
pub(crate) use ops::{FileOps, RealFiles};

use crate::backend::{Deleted, Found};
use crate::fault::{Fault, Sort};
use lane::Lane;
use put::Writer;

/// Where files lie until they are whole. No object's name can begin like this.
const TEMP: &str = ".siltstone-tmp";
/// Objects that one visit to a blocking thread lists.
const PAGE: usize = 1000;
/// Reads at once: a disk that needs more to be busy is rare.
const READS: usize = 4;

/// A directory on a local file system, or one that syncs as a local one does.
pub(crate) struct Dir {
    root: PathBuf,
    writer: Arc<Writer>,
    reads: Lane,
}

impl Dir {
    /// Opens a directory, makes it if need be, and removes what a crash left half written. Blocks, for moments.
    pub(crate) fn open(root: &Path, tag: u64) -> io::Result<Self> {
        make_durable(root, &RealFiles)?;
        let root = fs::canonicalize(root)?;
        let dir = Self::with_ops(root.clone(), Arc::new(RealFiles), tag ^ u64::from(std::process::id()))?;
        remove_leftovers(&root.join(TEMP));
        Ok(dir)
    }

    /// The same over other file operations; `root` must exist.
    pub(crate) fn with_ops(root: PathBuf, ops: Arc<dyn FileOps>, tag: u64) -> io::Result<Self> {
        let writer = Arc::new(Writer::new(ops, root.clone(), TEMP, tag)?);
        let pool: Arc<direct::Pool> = Arc::default();
        let reads = Lane::new(READS, move |path, ranges| read::get(path, ranges, &pool));
        Ok(Self { root, writer, reads })
    }

    pub(crate) async fn put(&self, name: &str, payload: PutPayload) -> Result<(), Fault> {
        let path = self.path(name)?;
        let writer = Arc::clone(&self.writer);
        blocking(move || writer.put(&path, payload.as_ref())).await
    }

    pub(crate) async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, Fault> {
        let path = self.path(name)?;
        self.reads.read(path, range).await
    }

    pub(crate) async fn head(&self, name: &str) -> Result<Found, Fault> {
        let path = self.path(name)?;
        let name = name.to_owned();
        blocking(move || read::head(&path, name)).await
    }

    pub(crate) async fn delete(&self, names: Vec<String>) -> Deleted {
        let mut bad = Deleted::default();
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            match self.path(&name) {
                Ok(path) => files.push((name, path)),
                Err(fault) => {
                    bad.fault = Some(fault);
                    bad.left.push(name);
                }
            }
        }
        let all: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        match blocking(move || Ok(read::delete(files))).await {
            Ok(mut deleted) => {
                deleted.left.append(&mut bad.left);
                deleted.fault = deleted.fault.or(bad.fault);
                deleted
            }
            Err(fault) => Deleted { left: all, fault: Some(fault) },
        }
    }

    pub(crate) fn list(&self, prefix: &str, after: Option<&str>) -> BoxStream<'static, Result<Found, Fault>> {
        let walk = match self.check(prefix) {
            Ok(()) => read::Walk::new(self.root.clone(), prefix, TEMP),
            Err(fault) => return stream::once(async { Err(fault) }).boxed(),
        };
        let pages = stream::try_unfold(Some(walk), |walk| async {
            let Some(mut walk) = walk else { return Ok(None) };
            let (page, walk) = blocking(move || Ok((walk.page(PAGE)?, walk))).await?;
            let next = (page.len() == PAGE).then_some(walk);
            Ok(Some((stream::iter(page.into_iter().map(Ok)), next)))
        });
        let after = after.map(str::to_owned);
        pages
            .try_flatten()
            .try_filter(move |found| {
                std::future::ready(after.as_ref().is_none_or(|after| found.name > *after))
            })
            .boxed()
    }

    fn path(&self, name: &str) -> Result<PathBuf, Fault> {
        self.check(name)?;
        if name.is_empty() {
            return Err(Fault::new(Sort::Refused, "bad name: it is empty"));
        }
        Ok(self.root.join(name))
    }

    /// Names are made of plain parts, so that none leaves the root or names a temporary file.
    fn check(&self, name: &str) -> Result<(), Fault> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.=+".contains(c);
        let good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
        if name.is_empty() || name.split('/').all(good) {
            return Ok(());
        }
        Err(Fault::new(
            Sort::Refused,
            format!("bad name {name:?}: its parts may have letters, digits and -_.=+"),
        ))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => {
            Err(Fault::new(Sort::Transient, format!("a blocking thread failed: {error}")).ambiguous())
        }
    }
}

/// Makes a directory and what is missing above it, durably.
fn make_durable(dir: &Path, ops: &dyn FileOps) -> io::Result<()> {
    let dir = std::path::absolute(dir)?;
    let missing: Vec<&Path> = dir.ancestors().take_while(|at| !at.exists()).collect();
    for at in missing.into_iter().rev() {
        ops.make_dir(at)?;
    }
    // Also when it existed: whoever made it may not have synced it before a crash of the process.
    match dir.parent() {
        Some(parent) if parent.exists() => {
            dir.ancestors().skip(1).try_for_each(|at| match ops.sync_dir(at) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                other => other,
            })
        }
        _ => Ok(()),
    }
}

/// Removes temporary files that no living writer holds. What can't be removed only costs space.
fn remove_leftovers(temp: &Path) {
    let Ok(entries) = fs::read_dir(temp) else { return };
    for entry in entries.flatten() {
        let free = fs::File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if free && let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a leftover file could not be removed");
        }
    }
}
