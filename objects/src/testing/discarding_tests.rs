//! Every put that answered Ok is whole after a crash at any step; and the double notices when a sync is left out.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::options::Requests;

const PUTS: u64 = 6;

fn options() -> Options {
    let backoff = Duration::from_millis(1);
    let requests = Requests { backoff_first: backoff, backoff_max: backoff, ..Requests::default() };
    Options { requests, ..Options::default() }
}

fn name(n: u64) -> String {
    format!("seg/{:02x}/{:x}/{n:x}", n % 2, n % 3)
}

fn content(n: u64) -> Vec<Bytes> {
    (0..=n).map(|part| Bytes::from(vec![(n * 16 + part) as u8; 1000])).collect()
}

/// Puts objects until the machine is dead, crashes, and answers the names of objects that break the promise.
async fn broken_after(objects: &Objects, dir: &DiscardingDir) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut answered = Vec::new();
    for n in 0..PUTS {
        match objects.put(&name(n), content(n), deadline).await {
            Ok(()) => answered.push(n),
            Err(error) => {
                assert!(error.to_string().contains("the machine is dead"), "{error}");
                break;
            }
        }
    }
    dir.crash().unwrap();
    let objects = dir.open(&options()).unwrap();
    let mut broken = Vec::new();
    for n in 0..PUTS {
        let want = content(n).concat();
        let soon = Instant::now() + Duration::from_secs(60);
        let there = objects.get(&name(n), 0..want.len() as u64, soon).await;
        let whole = there.as_ref().is_ok_and(|bytes| *bytes == want);
        let absent = matches!(there, Err(crate::ReadError::NotFound { .. }));
        if !(whole || absent && !answered.contains(&n)) {
            broken.push(name(n));
        }
    }
    broken
}

#[tokio::test]
async fn what_was_answered_survives_a_crash_at_any_step() {
    let mut halt_at = 0;
    loop {
        let mut ended = false;
        for seed in 0..8 {
            let root = tempfile::tempdir().unwrap();
            let dir = DiscardingDir::new(root.path().to_owned(), halt_at * 100 + seed);
            let objects = dir.open(&options()).unwrap();
            dir.halt_at(dir.steps() + halt_at);
            let end = dir.steps() + halt_at;
            let broken = broken_after(&objects, &dir).await;
            assert_eq!(broken, Vec::<String>::new(), "halted at step {halt_at}, seed {seed}");
            // The crash opens the directory again, which takes a step.
            ended = dir.steps() <= end;
        }
        if ended {
            // All puts were done before the machine died: every step has been tried.
            return;
        }
        halt_at += 1;
        assert!(halt_at < 200, "so few puts can't take so many steps");
    }
}

/// Leaves out one kind of sync.
struct Careless {
    inner: Recorder,
    skip: Skip,
}

#[derive(Clone, Copy, PartialEq)]
enum Skip {
    Content,
    ObjectDir,
    UpperDirs,
}

struct CarelessFile(Box<dyn OpenFile>);

impl OpenFile for CarelessFile {
    fn write_all(&mut self, chunks: &[Bytes], total: u64) -> io::Result<()> {
        self.0.write_all(chunks, total)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileOps for Careless {
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = self.inner.create(path)?;
        Ok(if self.skip == Skip::Content { Box::new(CarelessFile(file)) } else { file })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.make_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // Objects lie three directories below the root.
        let depth = path.strip_prefix(&self.inner.disk.root).unwrap().components().count();
        let skipped = if depth == 3 { Skip::ObjectDir } else { Skip::UpperDirs };
        if self.skip == skipped { Ok(()) } else { self.inner.sync_dir(path) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
}

#[tokio::test]
async fn a_missing_sync_is_noticed() {
    for skip in [Skip::Content, Skip::ObjectDir, Skip::UpperDirs] {
        let mut caught = false;
        for seed in 0..20 {
            let root = tempfile::tempdir().unwrap();
            let dir = DiscardingDir::new(root.path().to_owned(), seed);
            let ops = Careless { inner: Recorder { disk: Arc::clone(&dir.disk) }, skip };
            let backend = Dir::with_ops(root.path().to_owned(), Arc::new(ops), seed).unwrap();
            let objects = Objects::over(Backend::Dir(backend), "careless".into(), &options().requests, seed);
            caught |= !broken_after(&objects, &dir).await.is_empty();
        }
        assert!(caught, "a sync was left out, and no crash showed it");
    }
}
