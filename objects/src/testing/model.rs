//! A model of what a disk keeps over a crash: names and contents as they are, and as they would be found afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::chance::Chance;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Dir,
    File(usize),
}

#[derive(Debug, Default)]
struct Inode {
    content: Vec<Bytes>,
    /// The content is durable.
    synced: bool,
}

/// The disk. Names are whole paths; the root is durable and not in it.
#[derive(Debug, Default)]
pub(super) struct Model {
    inodes: Vec<Inode>,
    now: BTreeMap<PathBuf, Entry>,
    durable: BTreeMap<PathBuf, Entry>,
}

/// What is found after a crash, parents first.
pub(super) enum Survivor {
    Dir(PathBuf),
    File(PathBuf, Vec<u8>),
}

impl Model {
    pub(super) fn create(&mut self, path: &Path) -> usize {
        self.inodes.push(Inode::default());
        self.now.insert(path.to_owned(), Entry::File(self.inodes.len() - 1));
        self.inodes.len() - 1
    }

    pub(super) fn write(&mut self, inode: usize, chunks: &[Bytes]) {
        let inode = &mut self.inodes[inode];
        inode.content.extend_from_slice(chunks);
        inode.synced = false;
    }

    pub(super) fn sync(&mut self, inode: usize) {
        self.inodes[inode].synced = true;
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(entry) = self.now.remove(from) {
            self.now.insert(to.to_owned(), entry);
        }
    }

    pub(super) fn make_dir(&mut self, path: &Path) {
        self.now.entry(path.to_owned()).or_insert(Entry::Dir);
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.now.remove(path);
    }

    /// The entries of `dir` become durable as they are.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        self.durable.retain(|path, _| path.parent() != Some(dir));
        let entries = self.now.iter().filter(|(path, _)| path.parent() == Some(dir));
        self.durable.extend(entries.map(|(path, entry)| (path.clone(), *entry)));
    }

    /// Crashes. Of every name that was changed and not synced, chance says whether the change was lost; of content that was not
    /// synced, how much is left. The model then is what survived.
    pub(super) fn crash(&mut self, chance: &Chance, root: &Path) -> Vec<Survivor> {
        let mut paths: Vec<PathBuf> = self.now.keys().chain(self.durable.keys()).cloned().collect();
        paths.sort_unstable();
        paths.dedup();
        let mut left: BTreeMap<PathBuf, Entry> = BTreeMap::new();
        let mut survivors = Vec::new();
        for path in paths {
            let (now, durable) = (self.now.get(&path), self.durable.get(&path));
            let Some(entry) = (if chance.next().is_multiple_of(2) { now } else { durable }).copied() else {
                continue;
            };
            let parent_left = path.parent().is_some_and(|parent| parent == root || left.contains_key(parent));
            if !parent_left {
                continue;
            }
            left.insert(path.clone(), entry);
            survivors.push(match entry {
                Entry::Dir => Survivor::Dir(path),
                Entry::File(inode) => Survivor::File(path, self.inodes[inode].after_crash(chance)),
            });
        }
        self.now = left.clone();
        self.durable = left;
        survivors
    }
}

impl Inode {
    fn after_crash(&mut self, chance: &Chance) -> Vec<u8> {
        let mut content = self.content.concat();
        if !self.synced {
            content.truncate(chance.next() as usize % (content.len() + 1));
        }
        self.content = vec![Bytes::from(content.clone())];
        self.synced = true;
        content
    }
}
