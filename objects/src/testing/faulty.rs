//! An object store in memory with faults from a seed, in tokio's time: under paused time the same seed and the same calls give the
//! same faults. Faults can be changed while it runs; what was already drawn for a request stays.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::time::Instant;

use crate::chance::Chance;

/// What may go wrong; numbers are probabilities from 0 to 1. The default is a store without faults or delays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// Every request takes a time from this range, all equally likely.
    pub delay: Range<Duration>,
    /// Takes `slow_for` on top.
    pub slow: f64,
    /// How long slow requests take.
    pub slow_for: Duration,
    /// Fails without effect.
    pub fail_before: f64,
    /// Has its effect, and answers that it failed.
    pub fail_after: f64,
    /// Never answers; a PUT has had its effect in half of these cases.
    pub hang: f64,
    /// GET: the answer ends early.
    pub truncate: f64,
    /// GET: one byte is another.
    pub corrupt: f64,
    /// GET and HEAD: answers that there is no such object.
    pub missing: f64,
    /// Fails without effect, and asks for fewer requests; only for names that begin with `busy_part`.
    pub busy: f64,
    /// See `busy`; empty: all names.
    pub busy_part: String,
    /// Every request is refused with this code, as S3 does: `NoSuchBucket`, `ExpiredToken`, ...
    pub refuse: Option<&'static str>,
    /// GET and HEAD: answers that there is no such object for so long after it was written.
    pub late: Duration,
}

/// Requests that were made for one object, whatever became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// PUTs.
    pub puts: u64,
    /// GETs and HEADs.
    pub gets: u64,
    /// DELETEs.
    pub deletes: u64,
}

/// DELETEs of one call that are under way at a time.
const DELETES_AT_ONCE: usize = 10;

/// The store. Give it to [`crate::Objects::from_store`] in an `Arc`, and keep another one to change its faults.
pub struct FaultyStore {
    shared: Arc<Shared>,
}

struct Shared {
    inner: InMemory,
    faults: Mutex<Faults>,
    chance: Chance,
    counts: Mutex<BTreeMap<String, Counts>>,
    written: Mutex<BTreeMap<String, Instant>>,
}

/// What happens to one request.
struct Fate {
    delay: Duration,
    hang: bool,
    before: bool,
    after: bool,
    truncate: bool,
    corrupt: bool,
    missing: bool,
    busy: bool,
    refuse: Option<&'static str>,
    late: Duration,
    /// For whatever else needs chance.
    extra: u64,
}

impl FaultyStore {
    /// An empty store without faults, until [`FaultyStore::set`].
    pub fn new(seed: u64) -> Self {
        let shared = Shared {
            inner: InMemory::new(),
            faults: Mutex::default(),
            chance: Chance::new(seed),
            counts: Mutex::default(),
            written: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Changes the faults from the next request on.
    pub fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Ends all faults: what follows works at once.
    pub fn heal(&self) {
        self.set(Faults::default());
    }

    /// The requests made so far for an object.
    pub fn counts(&self, name: &str) -> Counts {
        self.shared.counts().get(name).copied().unwrap_or_default()
    }

    /// The requests made so far for all objects together.
    pub fn total(&self) -> Counts {
        self.shared.counts().values().fold(Counts::default(), |sum, one| Counts {
            puts: sum.puts + one.puts,
            gets: sum.gets + one.gets,
            deletes: sum.deletes + one.deletes,
        })
    }

    /// What really is in the store, past all faults: an object's bytes.
    pub fn content(&self, name: &str) -> Option<Bytes> {
        let path = Path::from(name);
        let result = self.shared.inner.get(&path).now_or_never()?.ok()?;
        result.bytes().now_or_never()?.ok()
    }

    /// The names of all objects that really are in the store, in order.
    pub fn names(&self) -> Vec<String> {
        let mut all = self.shared.inner.list(None);
        let mut names = Vec::new();
        while let Some(Some(Ok(meta))) = all.next().now_or_never() {
            names.push(meta.location.to_string());
        }
        names.sort_unstable();
        names
    }

    /// Removes an object, past all faults.
    pub fn lose(&self, name: &str) {
        _ = self.shared.inner.delete(&Path::from(name)).now_or_never();
    }
}

impl Shared {
    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Instant>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuses(&self) -> bool {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).refuse.is_some()
    }

    fn count(&self, path: &Path, change: impl FnOnce(&mut Counts)) {
        change(self.counts().entry(path.to_string()).or_default());
    }

    /// Draws a request's fate: always as many numbers, so that one fault's probability does not move the others'; but for `busy`, which came later.
    fn draw(&self, path: &Path) -> Fate {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let hit = |probability: f64| self.chance.fraction() < probability;
        let spread = faults.delay.end.saturating_sub(faults.delay.start);
        let mut delay = faults.delay.start + spread.mul_f64(self.chance.fraction());
        if hit(faults.slow) {
            delay += faults.slow_for;
        }
        let busy = faults.busy > 0.0 && path.as_ref().starts_with(&faults.busy_part) && hit(faults.busy);
        Fate {
            busy,
            refuse: faults.refuse,
            late: faults.late,
            delay,
            hang: hit(faults.hang),
            before: hit(faults.fail_before),
            after: hit(faults.fail_after),
            truncate: hit(faults.truncate),
            corrupt: hit(faults.corrupt),
            missing: hit(faults.missing),
            extra: self.chance.next(),
        }
    }

    /// Lives through what happens before a request has its effect. Answers its fate if it gets so far.
    async fn before(&self, path: &Path) -> Result<Fate> {
        let fate = self.draw(path);
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        if fate.missing {
            return Err(Error::NotFound { path: path.to_string(), source: "injected: missing".into() });
        }
        if fate.before {
            return Err(failure("before its effect"));
        }
        if fate.busy {
            return Err(answer("503 Slow Down", "SlowDown"));
        }
        if let Some(code) = fate.refuse {
            return Err(refusal(path, code));
        }
        Ok(fate)
    }

    async fn delete(&self, path: Path) -> Result<Path> {
        self.count(&path, |counts| counts.deletes += 1);
        match self.before(&path).await {
            // To a DELETE nothing seems missing: it would answer that all is well, and the object would stay for ever.
            Err(Error::NotFound { .. }) if !self.refuses() => {
                self.inner.delete(&path).await?;
            }
            Err(error) => return Err(error),
            Ok(fate) => {
                self.inner.delete(&path).await?;
                after(&fate).await?;
            }
        }
        Ok(path)
    }
}

/// Lives through what happens after a request had its effect.
async fn after(fate: &Fate) -> Result<()> {
    if fate.hang {
        std::future::pending::<()>().await;
    }
    if fate.after { Err(failure("after its effect")) } else { Ok(()) }
}

/// An answer of S3's, as the crate reports it.
fn answer(status: &str, code: &str) -> Error {
    let text = format!("Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>");
    Error::Generic { store: "FaultyStore", source: text.into() }
}

fn refusal(path: &Path, code: &str) -> Error {
    match code {
        "NoSuchBucket" => {
            Error::NotFound { path: path.to_string(), source: answer("404 Not Found", code).into() }
        }
        "ExpiredToken" => answer("400 Bad Request", code),
        _ => Error::PermissionDenied { path: path.to_string(), source: answer("403 Forbidden", code).into() },
    }
}

fn failure(when: &str) -> Error {
    Error::Generic { store: "FaultyStore", source: format!("injected: failed {when}").into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.shared.count(path, |counts| counts.puts += 1);
        let refused = self.shared.refuses();
        let fate = match self.shared.before(path).await {
            // A PUT finds nothing missing.
            Err(Error::NotFound { .. }) if !refused => return Err(failure("before its effect")),
            other => other?,
        };
        if fate.hang && fate.extra % 2 == 0 {
            std::future::pending::<()>().await;
        }
        let done = self.shared.inner.put_opts(path, payload, options).await?;
        self.shared.written().insert(path.to_string(), Instant::now());
        after(&fate).await?;
        Ok(done)
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.shared.count(path, |counts| counts.gets += 1);
        let fate = self.shared.before(path).await?;
        after(&fate).await?;
        let written = self.shared.written().get(path.as_ref()).copied();
        if written.is_some_and(|at| at.elapsed() < fate.late) {
            return Err(Error::NotFound { path: path.to_string(), source: "injected: not shown yet".into() });
        }
        let head = options.head;
        let result = self.shared.inner.get_opts(path, options).await?;
        if head || !(fate.truncate || fate.corrupt) {
            return Ok(result);
        }
        let (meta, range, attributes) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let extensions = result.extensions.clone();
        let spoiled = spoil(result.bytes().await?, &fate);
        let payload = GetResultPayload::Stream(stream::once(async { Ok(spoiled) }).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let shared = Arc::clone(&self.shared);
        // Several at a time, as the real ones do.
        paths
            .map(move |path| {
                let shared = Arc::clone(&shared);
                async move { shared.delete(path?).await }
            })
            .buffered(DELETES_AT_ONCE)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let shared = Arc::clone(&self.shared);
        let found = self.shared.inner.list(prefix);
        let begin = async move {
            match shared.before(&Path::default()).await {
                Err(Error::NotFound { .. }) if !shared.refuses() => found,
                Ok(_) => found,
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        };
        stream::once(begin).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.shared.inner.list_with_delimiter(prefix).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_here("put_multipart_opts"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_here("copy_opts"))
    }
}

fn not_here(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.into(), implementer: "FaultyStore".into() }
}

fn spoil(bytes: Bytes, fate: &Fate) -> Bytes {
    let at = (fate.extra >> 8) as usize % bytes.len().max(1);
    if fate.truncate {
        return bytes.slice(..at);
    }
    let mut bytes = bytes.to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << (fate.extra % 8);
    }
    bytes.into()
}
