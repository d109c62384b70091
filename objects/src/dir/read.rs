//! Reading, deleting and listing files. Nothing here needs syncing: a delete that a crash undoes is done again by its caller.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use rustix::buffer::spare_capacity;

use super::direct;
use crate::backend::{Deleted, Found};
use crate::fault::{Fault, Sort};

/// Reads ranges of a file past the page cache where that can be, each of which begins where the one before it ends. Blocks.
pub(super) fn get(path: &Path, ranges: &[Range<u64>], pool: &Arc<direct::Pool>) -> Vec<Result<Bytes, Fault>> {
    match (get_direct(path, ranges, pool), ranges) {
        (Ok(Some(all)), _) => all,
        (Ok(None), _) => ranges.iter().map(|range| get_cached(path, range.clone())).collect(),
        (Err(fault), [_]) => vec![Err(fault)],
        // The fault may be that of one of them.
        (Err(_), _) => ranges.iter().flat_map(|range| get(path, std::slice::from_ref(range), pool)).collect(),
    }
}

/// What can be read past the page cache; `None` if the file system can't.
fn get_direct(
    path: &Path,
    ranges: &[Range<u64>],
    pool: &Arc<direct::Pool>,
) -> Result<Option<Vec<Result<Bytes, Fault>>>, Fault> {
    let opened = direct::open(path).map_err(|error| Fault::from_io("opening", &error))?;
    let Some(file) = opened else { return Ok(None) };
    let read = direct::read(&file, ranges, pool).map_err(|error| Fault::from_io("reading", &error))?;
    let whole = |(bytes, range): (Bytes, &Range<u64>)| match bytes.len() as u64 == range.end - range.start {
        true => Ok(bytes),
        false => Err(short(&file, range)),
    };
    Ok(read.map(|read| read.into_iter().zip(ranges).map(whole).collect()))
}

fn short(file: &File, range: &Range<u64>) -> Fault {
    let size = file.metadata().map_or_else(|error| error.to_string(), |meta| meta.len().to_string());
    Fault::new(Sort::Short, format!("bytes {range:?} were asked for, but it has {size} bytes"))
}

/// Reads a range through the page cache, into memory that is not zeroed before.
fn get_cached(path: &Path, range: Range<u64>) -> Result<Bytes, Fault> {
    let file = File::open(path).map_err(|error| Fault::from_io("opening", &error))?;
    let want = usize::try_from(range.end - range.start)
        .map_err(|_| Fault::new(Sort::Refused, "range too large for memory"))?;
    if file.metadata().map_err(|error| Fault::from_io("looking at", &error))?.len() < range.end {
        return Err(short(&file, &range));
    }
    let mut bytes = Vec::with_capacity(want);
    while bytes.len() < want {
        let at = range.start + bytes.len() as u64;
        match rustix::io::pread(&file, spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(Fault::new(Sort::Short, format!("it ends at byte {at}"))),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Fault::from_io("reading", &error.into())),
        }
    }
    bytes.truncate(want);
    Ok(Bytes::from(bytes))
}

pub(super) fn head(path: &Path, name: String) -> Result<Found, Fault> {
    let meta = fs::metadata(path).map_err(|error| Fault::from_io("looking at", &error))?;
    if !meta.is_file() {
        return Err(Fault::new(Sort::Missing, "it is a directory"));
    }
    Ok(Found { name, size: meta.len(), modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH) })
}

pub(super) fn delete(files: Vec<(String, PathBuf)>) -> Deleted {
    let mut deleted = Deleted::default();
    for (name, path) in files {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                deleted.fault = Some(Fault::from_io("deleting", &error));
                deleted.left.push(name);
            }
            _ => {}
        }
    }
    deleted
}

/// Walks a directory in order of names, a directory at a time.
pub(super) struct Walk {
    root: PathBuf,
    skip: &'static str,
    /// Names of what is still to be seen, last first; those of directories end in a slash.
    todo: Vec<String>,
}

impl Walk {
    /// Below `prefix` (a directory's name, or empty), leaving out the directory `skip` of the root.
    pub(super) fn new(root: PathBuf, prefix: &str, skip: &'static str) -> Self {
        let start = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { root, skip, todo: vec![start] }
    }

    /// Up to `limit` objects; fewer only at the end. Blocks.
    pub(super) fn page(&mut self, limit: usize) -> Result<Vec<Found>, Fault> {
        let mut page = Vec::new();
        while page.len() < limit {
            let Some(name) = self.todo.pop() else { break };
            if name.is_empty() || name.ends_with('/') {
                self.open(&name)?;
                continue;
            }
            match head(&self.root.join(&name), name) {
                Ok(found) => page.push(found),
                Err(fault) if fault.sort == Sort::Missing => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(page)
    }

    fn open(&mut self, dir: &str) -> Result<(), Fault> {
        let entries = match fs::read_dir(self.root.join(dir)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(Fault::from_io("listing", &error)),
        };
        let begin = self.todo.len();
        for entry in entries {
            let entry = entry.map_err(|error| Fault::from_io("listing", &error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !(dir.is_empty() && name == self.skip) {
                self.todo.push(format!("{dir}{name}{}", if is_dir { "/" } else { "" }));
            }
        }
        self.todo[begin..].sort_unstable_by(|a, b| b.cmp(a));
        Ok(())
    }
}
