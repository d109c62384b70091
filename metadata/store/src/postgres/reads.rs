//! Reading: a few connections, on each of which many reads are under way at once.
//!
//! Single keys and last versions that are asked for at the same time go in one statement ([`Gather`]). A snapshot is nothing but its version: every read says which one it wants, and is told the horizon with the answer, as of
//! the same moment. So a snapshot holds no transaction open, and outlives the connection that it was taken on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Row, Statement};

use super::gather::Gather;
use super::session::{Connector, Parameter, Session, Trouble};
use crate::{StoreError, Version};

/// Pause before a read is tried again on another connection, and before another is made after a failure.
const RETRY: Duration = Duration::from_millis(50);
/// Keys of one statement: a value has up to 100,000 bytes.
const GETS_AT_ONCE: usize = 64;
const HEADS_AT_ONCE: usize = 1 << 16;

const HEAD: &str =
    "SELECT coalesce((SELECT max(version) FROM siltstone_commit), 0), horizon FROM siltstone_meta";

const GETS: &str = "SELECT horizon, asked.place, (SELECT value FROM siltstone_entry entry WHERE entry.key = asked.key \
     AND entry.version <= asked.version ORDER BY entry.version DESC LIMIT 1) \
     FROM siltstone_meta, unnest($1::bytea[], $2::bigint[]) WITH ORDINALITY AS asked (key, version, place)";

const GET_LONG: &str = "SELECT horizon, (SELECT value FROM siltstone_long WHERE key = $1 AND version <= $2 \
     ORDER BY version DESC LIMIT 1) FROM siltstone_meta";

/// The reads that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    /// The last version, and the horizon.
    Head,
    /// Horizon, place and value of many keys, each at a version of its own.
    Gets,
    /// Horizon and value of a key that is too long for the index.
    GetLong,
    /// Horizon, whether there are long keys, key, value, and how many entries there are with it up to the limit.
    Range { long: bool, reverse: bool },
}

impl Query {
    const ALL: [Query; 7] = [
        Query::Head,
        Query::Gets,
        Query::GetLong,
        Query::Range { long: false, reverse: false },
        Query::Range { long: false, reverse: true },
        Query::Range { long: true, reverse: false },
        Query::Range { long: true, reverse: true },
    ];

    fn text(self) -> String {
        let table = |long| if long { "siltstone_long" } else { "siltstone_entry" };
        match self {
            Query::Head => HEAD.to_owned(),
            Query::Gets => GETS.to_owned(),
            Query::GetLong => GET_LONG.to_owned(),
            Query::Range { long, reverse } => range(table(long), reverse),
        }
    }
}

/// `$1` to `$2` at `$3`, at most `$4` entries, without those before which there are `$5` bytes. Each form goes along the index and
/// stops at the limit, whatever else the table holds.
fn range(table: &str, reverse: bool) -> String {
    let (live, order) = match reverse {
        false => (
            format!(
                "SELECT key, value FROM (SELECT DISTINCT ON (key) key, value FROM {table} \
                 WHERE key >= $1 AND key < $2 AND version <= $3 ORDER BY key, version DESC) latest \
                 WHERE value IS NOT NULL LIMIT $4"
            ),
            "key",
        ),
        true => (
            format!(
                "SELECT key, value FROM {table} e WHERE key >= $1 AND key < $2 AND version <= $3 AND value IS NOT NULL \
                 AND NOT EXISTS (SELECT FROM {table} n WHERE n.key = e.key AND n.version > e.version AND n.version <= $3) \
                 ORDER BY key DESC LIMIT $4"
            ),
            "key DESC",
        ),
    };
    format!(
        "SELECT m.horizon, EXISTS (SELECT FROM siltstone_long), r.key, r.value, r.total FROM siltstone_meta m \
         LEFT JOIN LATERAL (SELECT key, value, total FROM (SELECT key, value, count(*) OVER () AS total, \
         sum(octet_length(key) + octet_length(value)) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) \
         - octet_length(key) - octet_length(value) AS before FROM ({live}) live) summed WHERE before < $5) r ON true"
    )
}

/// The connections that read.
pub(super) struct Reads {
    connector: Connector,
    lanes: Vec<Lane>,
    next: AtomicUsize,
    heads: Arc<Gather<(), Version>>,
    gets: Arc<Gather<Asked, Found>>,
    /// The greatest version that this handle knows of.
    seen: AtomicU64,
}

/// A key, and the version as of which it is asked for.
pub(super) struct Asked {
    pub(super) key: Vec<u8>,
    pub(super) version: i64,
}

/// The horizon, and the value.
pub(super) type Found = (Version, Option<Bytes>);

struct Lane {
    slot: Mutex<Slot>,
    permits: Semaphore,
}

#[derive(Default)]
struct Slot {
    ready: Option<Arc<Ready>>,
    failed: Option<(Instant, String)>,
}

struct Ready {
    session: Session,
    statements: Vec<Statement>,
}

impl Ready {
    async fn new(session: Session) -> Result<Self, Trouble> {
        let texts = Query::ALL.map(Query::text);
        let statements = try_join_all(texts.iter().map(|text| session.prepare(text))).await?;
        Ok(Ready { session, statements })
    }

    async fn run(&self, query: Query, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Trouble> {
        let at = Query::ALL.iter().position(|known| *known == query);
        let statement = at.and_then(|at| self.statements.get(at));
        let statement = statement.ok_or_else(|| Trouble::Lost("a statement is missing".to_owned()))?;
        self.session.query(statement, parameters).await
    }
}

impl Reads {
    pub(super) fn new(connector: Connector) -> Self {
        let permits = connector.options.reads_per_connection.clamp(1, 1 << 16);
        let lane = |_| Lane { slot: Mutex::default(), permits: Semaphore::new(permits) };
        let lanes = (0..connector.options.readers.max(1)).map(lane).collect();
        let (heads, gets) = (Gather::new(HEADS_AT_ONCE), Gather::new(GETS_AT_ONCE));
        Reads { connector, lanes, next: AtomicUsize::new(0), heads, gets, seen: AtomicU64::new(0) }
    }

    /// The greatest version that this handle was told of.
    pub(super) fn seen(&self) -> Version {
        Version(self.seen.load(Ordering::Acquire))
    }

    /// A version that the server has committed.
    pub(super) fn saw(&self, version: Version) {
        self.seen.fetch_max(version.0, Ordering::AcqRel);
    }

    /// The version of the last commit.
    pub(super) async fn head(self: &Arc<Self>) -> Result<Version, StoreError> {
        let reads = self.clone();
        let all = move |asked: Vec<()>| {
            let reads = reads.clone();
            async move { Ok(vec![reads.read_head().await?; asked.len()]) }
        };
        self.heads.ask((), all).await
    }

    async fn read_head(&self) -> Result<Version, StoreError> {
        let before = self.seen();
        let rows = self.run(Query::Head, &[]).await?;
        let version = version(&rows, 0)?;
        if version < before {
            // What was durable is gone: the server lost it, or is another one. Going on would hide it.
            let why = format!("the server is at version {}, but {} was committed", version.0, before.0);
            return Err(StoreError::Corrupt(why));
        }
        self.saw(version);
        Ok(version)
    }

    /// The value of a key that the index takes.
    pub(super) async fn get(self: &Arc<Self>, asked: Asked) -> Result<Found, StoreError> {
        let reads = self.clone();
        let all = move |asked: Vec<Asked>| {
            let reads = reads.clone();
            async move { reads.read_all(&asked).await }
        };
        self.gets.ask(asked, all).await
    }

    async fn read_all(&self, asked: &[Asked]) -> Result<Vec<Found>, StoreError> {
        let keys: Vec<&[u8]> = asked.iter().map(|asked| asked.key.as_slice()).collect();
        let versions: Vec<i64> = asked.iter().map(|asked| asked.version).collect();
        let rows = self.run(Query::Gets, &[&keys, &versions]).await?;
        let horizon = version(&rows, 0)?;
        let mut found = vec![(horizon, None); asked.len()];
        for row in &rows {
            let place = row.try_get::<_, i64>(1).ok().and_then(|place| usize::try_from(place - 1).ok());
            let slot = place.and_then(|place| found.get_mut(place));
            let value = row.try_get::<_, Option<&[u8]>>(2).map_err(|_| corrupt("a value is not bytes"))?;
            let (_, slot) = slot.ok_or_else(|| corrupt("a place is no number"))?;
            *slot = value.map(Bytes::copy_from_slice);
        }
        Ok(found)
    }

    /// The rows of a query. Tries again on a new connection, for as long as the settings say: reading twice does no harm.
    pub(super) async fn run(
        &self,
        query: Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let deadline = Instant::now() + self.connector.options.patience;
        loop {
            let lane = &self.lanes[self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len()];
            match self.attempt(lane, query, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(Trouble::Lost(_)) if Instant::now() < deadline => sleep(RETRY).await,
                Err(trouble) => return Err(StoreError::Unavailable(trouble.text())),
            }
        }
    }

    async fn attempt(
        &self,
        lane: &Lane,
        query: Query,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Trouble> {
        let closed = |_| Trouble::Lost("the store is closed".to_owned());
        let _permit = lane.permits.acquire().await.map_err(closed)?;
        self.ready(lane).await?.run(query, parameters).await
    }

    /// The lane's connection, made anew if it is gone. Who waits for one that can't be made learns it with the one who tried.
    async fn ready(&self, lane: &Lane) -> Result<Arc<Ready>, Trouble> {
        let mut slot = lane.slot.lock().await;
        if let Some(ready) = slot.ready.as_ref().filter(|ready| !ready.session.is_over()) {
            return Ok(ready.clone());
        }
        slot.ready = None;
        if let Some((at, why)) = &slot.failed
            && at.elapsed() < RETRY
        {
            return Err(Trouble::Lost(why.clone()));
        }
        match self.connect().await {
            Ok(ready) => {
                slot.failed = None;
                Ok(slot.ready.insert(Arc::new(ready)).clone())
            }
            Err(why) => {
                slot.failed = Some((Instant::now(), why.clone()));
                Err(Trouble::Lost(why))
            }
        }
    }

    async fn connect(&self) -> Result<Ready, String> {
        let session = self.connector.connect(|_| {}).await?;
        Ready::new(session).await.map_err(|trouble| trouble.text())
    }
}

/// The version in a column of the first row.
pub(super) fn version(rows: &[Row], column: usize) -> Result<Version, StoreError> {
    let row = rows.first().ok_or_else(|| corrupt("siltstone_meta is empty"))?;
    let number: i64 = row.try_get(column).map_err(|_| corrupt("a version is not a number"))?;
    u64::try_from(number).map(Version).map_err(|_| corrupt("a version is negative"))
}

pub(super) fn corrupt(why: &str) -> StoreError {
    StoreError::Corrupt(why.to_owned())
}
