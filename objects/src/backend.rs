//! One attempt at a store, whichever it is.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::PutPayload;
use tokio::time::Instant;

use crate::dir::Dir;
use crate::fault::Fault;
use crate::remote::Remote;

/// An object as a listing shows it; `name` is without the prefix.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub name: String,
    pub size: u64,
    pub modified: SystemTime,
}

/// What was deleted, and what stood in the way of the rest.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    pub left: Vec<String>,
    pub fault: Option<Fault>,
}

/// The stores: a directory, which we sync ourselves, and everything that the `object_store` crate speaks.
pub(crate) enum Backend {
    Dir(Dir),
    Remote(Remote),
}

impl Backend {
    pub(crate) async fn put(&self, name: &str, payload: PutPayload) -> Result<(), Fault> {
        match self {
            Self::Dir(dir) => dir.put(name, payload).await,
            Self::Remote(remote) => remote.put(name, payload).await,
        }
    }

    pub(crate) async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, Fault> {
        match self {
            Self::Dir(dir) => dir.get(name, range).await,
            Self::Remote(remote) => remote.get(name, range).await,
        }
    }

    /// See [`Remote::renew`].
    pub(crate) async fn renew(&self, begun: Instant) -> bool {
        match self {
            Self::Dir(_) => false,
            Self::Remote(remote) => remote.renew(begun).await,
        }
    }

    pub(crate) async fn head(&self, name: &str) -> Result<Found, Fault> {
        match self {
            Self::Dir(dir) => dir.head(name).await,
            Self::Remote(remote) => remote.head(name).await,
        }
    }

    /// Deletes objects. `gone` may be told of some of them before all are: an attempt that is given up has its effect, too.
    pub(crate) async fn delete(&self, names: Vec<String>, gone: &(dyn Fn(&str) + Send + Sync)) -> Deleted {
        match self {
            Self::Dir(dir) => dir.delete(names).await,
            Self::Remote(remote) => remote.delete(names, gone).await,
        }
    }

    /// Objects below `prefix`, after `after` if the store lists in order.
    pub(crate) fn list(&self, prefix: &str, after: Option<&str>) -> BoxStream<'static, Result<Found, Fault>> {
        match self {
            Self::Dir(dir) => dir.list(prefix, after),
            Self::Remote(remote) => remote.list(prefix, after),
        }
    }
}
