//! Reading: a few connections, on each of which many reads are under way at once.
//!
//! Keys and beginnings of ranges that are asked for at the same time go in one statement, and so do last versions ([`Gather`]). A snapshot is nothing but its version: every read says which one it wants, and is told the horizon with the answer, as of
//! the same moment. So a snapshot holds no transaction open, and outlives the connection that it was taken on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Row, Statement};

use super::gather::Gather;
use super::ranges;
use super::session::{Connector, Parameter, Session, Trouble};
use super::together::{self, Asked, Found};
use crate::{StoreError, Version};

/// Pause before a read is tried again on another connection, and before another is made after a failure.
const RETRY: Duration = Duration::from_millis(50);
/// Questions of one statement.
const AT_ONCE: usize = 32;
const HEADS_AT_ONCE: usize = 1 << 16;

const HEAD: &str =
    "SELECT coalesce((SELECT max(version) FROM siltstone_commit), 0), horizon FROM siltstone_meta";

const GET_LONG: &str = "SELECT horizon, (SELECT value FROM siltstone_long WHERE key = $1 AND version <= $2 \
     ORDER BY version DESC LIMIT 1) FROM siltstone_meta";

/// The reads that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    /// The last version, and the horizon.
    Head,
    /// Many keys and beginnings of ranges ([`together`]).
    Together,
    /// Horizon and value of a key that is too long for the index.
    GetLong,
    /// Horizon, whether there are long keys, key, value, and how many entries there are with it up to the limit.
    Range { long: bool, reverse: bool },
}

impl Query {
    const ALL: [Query; 7] = [
        Query::Head,
        Query::Together,
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
            Query::Together => together::TOGETHER.to_owned(),
            Query::GetLong => GET_LONG.to_owned(),
            Query::Range { long, reverse } => ranges::statement(table(long), reverse),
        }
    }
}

/// The connections that read.
pub(super) struct Reads {
    connector: Connector,
    lanes: Vec<Lane>,
    next: AtomicUsize,
    heads: Arc<Gather<(), Version>>,
    together: Arc<Gather<Asked, Found>>,
    /// The greatest version that this handle knows of.
    seen: AtomicU64,
}

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
        Reads {
            connector,
            lanes,
            next: AtomicUsize::new(0),
            heads: Gather::new(HEADS_AT_ONCE),
            together: Gather::new(AT_ONCE),
            seen: AtomicU64::new(0),
        }
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

    /// What the index has, together with what others ask for.
    pub(super) async fn ask(self: &Arc<Self>, asked: Asked) -> Result<Found, StoreError> {
        let reads = self.clone();
        let all = move |asked: Vec<Asked>| {
            let reads = reads.clone();
            async move { reads.read_all(&asked).await }
        };
        self.together.ask(asked, all).await
    }

    async fn read_all(&self, asked: &[Asked]) -> Result<Vec<Found>, StoreError> {
        let first: Vec<&[u8]> = asked.iter().map(|asked| asked.first.as_ref()).collect();
        let after: Vec<Option<&[u8]>> = asked.iter().map(|asked| asked.after.as_deref()).collect();
        let versions: Vec<i64> = asked.iter().map(|asked| asked.version).collect();
        // One more than wanted, to know whether there is more.
        let most = asked.iter().map(|asked| asked.most).max().unwrap_or(0);
        let most = i64::try_from(most).map_or(i64::MAX, |most| most.saturating_add(1));
        let rows = self.run(Query::Together, &[&first, &after, &versions, &most]).await?;
        together::found(&rows, asked)
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
