//! Single attempts through the `object_store` crate, whose own retries are switched off.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutOptions, PutPayload};
use tokio::time::Instant;

use crate::backend::{Deleted, Found};
use crate::fault::{Fault, Sort};

/// Makes the store again, with whatever credentials are there by then. Reads files: it blocks for moments.
pub(crate) type Reopen = Arc<dyn Fn() -> Result<Arc<dyn ObjectStore>, Vec<String>> + Send + Sync>;

/// Credentials are read again at most this often: doing so costs some milliseconds, and throws connections away.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// A store and the prefix within it that is ours.
pub(crate) struct Remote {
    store: RwLock<Arc<dyn ObjectStore>>,
    /// Empty, or `a/b/` with its last slash.
    prefix: String,
    reopen: Option<Reopen>,
    renewals: tokio::sync::Mutex<Renewals>,
}

/// When the store was made again last: tried, and with success.
#[derive(Debug, Default)]
struct Renewals {
    tried: Option<Instant>,
    done: Option<Instant>,
}

impl Remote {
    /// `prefix` without slashes at its ends.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { store: RwLock::new(store), prefix, reopen: None, renewals: tokio::sync::Mutex::default() }
    }

    /// The same, for a store whose credentials can be read again.
    pub(crate) fn reopening(reopen: Reopen, prefix: &str) -> Result<Self, Vec<String>> {
        let remote = Self::new(reopen()?, prefix);
        Ok(Self { reopen: Some(reopen), ..remote })
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An attempt that began at `begun` was refused for its credentials: reads them again, unless that was done a moment ago. True if they are newer
    /// than the attempt's, so that another one may do better.
    pub(crate) async fn renew(&self, begun: Instant) -> bool {
        let Some(reopen) = self.reopen.clone() else { return false };
        // Held over the wait: all who were refused at the same time wait for the one that reads.
        let mut renewals = self.renewals.lock().await;
        if renewals.done.is_some_and(|done| done >= begun) {
            return true;
        }
        if renewals.tried.is_some_and(|tried| tried.elapsed() < RENEW_EVERY) {
            return false;
        }
        renewals.tried = Some(Instant::now());
        let problem = match tokio::task::spawn_blocking(move || reopen()).await {
            Ok(Ok(store)) => {
                *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
                renewals.done = Some(Instant::now());
                tracing::debug!("credentials for the object store were read again");
                return true;
            }
            Ok(Err(problems)) => problems.join("; "),
            Err(error) => error.to_string(),
        };
        tracing::warn!(%problem, "credentials for the object store can't be read again");
        false
    }

    fn path(&self, name: &str) -> Result<Path, Fault> {
        Path::parse(format!("{}{name}", self.prefix))
            .map_err(|error| Fault::new(Sort::Refused, format!("bad name: {error}")))
    }

    /// Durable when Ok: that is what these stores promise of a PUT that they answered.
    pub(crate) async fn put(&self, name: &str, payload: PutPayload) -> Result<(), Fault> {
        let path = self.path(name)?;
        match self.store().put_opts(&path, payload, PutOptions::default()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let fault = Fault::from_store(&error);
                // There is nothing to be missing in a PUT but the bucket.
                let missing = fault.sort == Sort::Missing;
                Err(if missing { Fault { sort: Sort::Refused, ..fault } } else { fault })
            }
        }
    }

    pub(crate) async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, Fault> {
        let path = self.path(name)?;
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let result = self.store().get_opts(&path, options).await.map_err(|e| Fault::from_store(&e))?;
        if result.meta.size < range.end {
            let reason = format!("bytes {range:?} were asked for, but it has {} bytes", result.meta.size);
            return Err(Fault::new(Sort::Short, reason));
        }
        collect(result.into_stream(), range.end - range.start).await
    }

    pub(crate) async fn head(&self, name: &str) -> Result<Found, Fault> {
        let (store, path) = (self.store(), self.path(name)?);
        match store.head(&path).await {
            Ok(meta) => Ok(found(name.to_owned(), &meta)),
            Err(error) => match Fault::from_store(&error) {
                fault if fault.sort == Sort::Missing => Err(missing(store.as_ref(), &path, fault).await),
                fault => Err(fault),
            },
        }
    }

    /// Deletes in bulk where the store can. What does not exist counts as deleted.
    /// `gone` is told of each as soon as it is deleted: the future may be dropped before it has answered.
    pub(crate) async fn delete(&self, names: Vec<String>, gone: &(dyn Fn(&str) + Send + Sync)) -> Deleted {
        let mut deleted = Deleted::default();
        let mut left = std::collections::BTreeSet::new();
        let mut paths = Vec::with_capacity(names.len());
        for name in names {
            match self.path(&name) {
                Ok(path) => {
                    left.insert(path.to_string());
                    paths.push(Ok(path));
                }
                Err(fault) => {
                    deleted.fault = Some(fault);
                    deleted.left.push(name);
                }
            }
        }
        let mut outcomes = self.store().delete_stream(stream::iter(paths).boxed());
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(path) => {
                    left.remove(path.as_ref());
                    path.as_ref().strip_prefix(&self.prefix).into_iter().for_each(gone);
                }
                Err(error) => {
                    let fault = Fault::from_delete(&error);
                    match error {
                        object_store::Error::NotFound { path, .. }
                            if fault.sort == Sort::Missing && left.remove(&path) =>
                        {
                            path.strip_prefix(&self.prefix).into_iter().for_each(gone);
                        }
                        _ => deleted.fault = Some(fault),
                    }
                }
            }
        }
        let ours = left.iter().filter_map(|path| path.strip_prefix(&self.prefix));
        deleted.left.extend(ours.map(str::to_owned));
        deleted
    }

    pub(crate) fn list(&self, prefix: &str, after: Option<&str>) -> BoxStream<'static, Result<Found, Fault>> {
        let below = match self.path(prefix) {
            Ok(path) => path,
            Err(fault) => return stream::once(async { Err(fault) }).boxed(),
        };
        let below = (!below.as_ref().is_empty()).then_some(below);
        let metas = match after.map(|name| self.path(name)) {
            None => self.store().list(below.as_ref()),
            Some(Ok(after)) => self.store().list_with_offset(below.as_ref(), &after),
            Some(Err(fault)) => return stream::once(async { Err(fault) }).boxed(),
        };
        let ours = self.prefix.clone();
        metas
            .map_err(|error| Fault::from_store(&error))
            .try_filter_map(move |meta| {
                let name = meta.location.as_ref().strip_prefix(&ours).map(str::to_owned);
                std::future::ready(Ok(name.map(|name| found(name, &meta))))
            })
            .boxed()
    }
}

/// The answer to a HEAD has no body, so "not found" doesn't say whether the bucket is there: the answer to a GET does.
async fn missing(store: &dyn ObjectStore, path: &Path, fault: Fault) -> Fault {
    let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
    match store.get_opts(path, options).await {
        Err(error) => match Fault::from_store(&error) {
            // Something is there, however short.
            Fault { sort: Sort::Short, .. } => Fault { sort: Sort::Transient, ..fault },
            said => said,
        },
        Ok(_) => Fault { sort: Sort::Transient, ..fault },
    }
}

fn found(name: String, meta: &ObjectMeta) -> Found {
    Found { name, size: meta.size, modified: meta.last_modified.into() }
}

/// The answer's bytes in one piece: as they are if they came in one, else copied once into memory of the right size.
async fn collect(
    mut body: BoxStream<'static, object_store::Result<Bytes>>,
    want: u64,
) -> Result<Bytes, Fault> {
    let size = usize::try_from(want).map_err(|_| Fault::new(Sort::Refused, "range too large for memory"))?;
    let mut whole = BytesMut::new();
    while let Some(piece) = body.try_next().await.map_err(|e| Fault::from_store(&e))? {
        if whole.is_empty() && piece.len() == size {
            return Ok(piece);
        }
        if whole.len() + piece.len() > size {
            return Err(Fault::new(
                Sort::Truncated,
                format!("more than the {want} bytes asked for were answered"),
            ));
        }
        if whole.is_empty() {
            whole.reserve(size);
        }
        whole.extend_from_slice(&piece);
    }
    if whole.len() < size {
        let reason = format!("{} of the {want} bytes asked for were answered", whole.len());
        return Err(Fault::new(Sort::Truncated, reason));
    }
    Ok(whole.freeze())
}
