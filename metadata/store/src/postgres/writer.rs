//! The task that commits: takes all commits that wait, sends them as one statement, tells what became of each.
//!
//! One statement is one transaction of PostgreSQL, so a group never waits in the middle for this process, however slow
//! or paused: the lock that puts commits in order is held by the server's own work alone.
//!
//! If the connection is lost meanwhile, the next one first removes the row of the writer that the lost one used. That takes the same lock, so
//! from then on the lost group has happened or never will, and its rows in `siltstone_commit` say which: what was committed is
//! answered, the rest is sent again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;

use super::reads::Reads;
use super::session::{Connector, Session, Trouble};
use super::steps::Steps;
use super::touched;
use crate::{Commit, CommitError, Committed, Stamp, Version};

const RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// Commits, and tells those who watch what was touched, and with which version ([`touched`]): the function itself would tell none.
const COMMIT: &str = "SELECT results, CASE WHEN $8::text IS NOT NULL THEN \
     pg_notify('siltstone_' || 'siltstone_commit'::regclass::oid, \
     $8 || '@' || (SELECT greatest(max(version), 0) FROM unnest(results) AS version))::text END \
     FROM (SELECT siltstone_commit_1($1, $2, $3, $4, $5, $6, $7, NULL) AS results OFFSET 0) AS done";
/// The commit function's word for a writer that was replaced.
const REPLACED: &str = "SI001";

/// A commit in the queue.
pub(super) struct Request {
    pub(super) commit: Commit,
    pub(super) bytes: usize,
    /// When it is refused if the server can't be reached.
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<Committed, CommitError>>,
    /// Its share of the queue, given back when it is answered.
    pub(super) _place: OwnedSemaphorePermit,
}

pub(super) struct Writer {
    connector: Connector,
    reads: Arc<Reads>,
    /// Under which id the open connection commits; of the last one, if none is open. Empty before the first.
    id: watch::Sender<Vec<u8>>,
    open: Option<(Session, Statement)>,
    /// The number of the next commit.
    number: i64,
}

/// A group whose result isn't known.
struct Lost {
    /// The number of its first commit.
    first: i64,
    /// The greatest version known before it was sent.
    before: Version,
    why: String,
}

impl Writer {
    pub(super) fn new(connector: Connector, reads: Arc<Reads>) -> Self {
        Writer { connector, reads, id: watch::Sender::new(Vec::new()), open: None, number: 0 }
    }

    /// The id under which it commits.
    pub(super) fn id(&self) -> watch::Receiver<Vec<u8>> {
        self.id.subscribe()
    }

    /// Runs until nobody can send any more.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(group) = self.take(&mut queue).await {
            self.write(group).await;
        }
    }

    /// Waits for a first commit and takes all that wait with it, up to the limits.
    async fn take(&self, queue: &mut mpsc::Receiver<Request>) -> Option<Vec<Request>> {
        let options = &self.connector.options;
        let first = queue.recv().await?;
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < options.group_commits && bytes < options.group_bytes {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.bytes;
            group.push(next);
        }
        Some(group)
    }

    /// Commits a group, however often it takes, until its deadline.
    async fn write(&mut self, mut group: Vec<Request>) {
        let Some(deadline) = group.iter().map(|request| request.deadline).max() else { return };
        let mut pause = RETRY;
        while !group.is_empty() {
            let trouble = match self.connected(deadline).await {
                Ok(()) => match self.send(&group).await {
                    Ok(results) => return answer(group, &results),
                    Err(Failure::Lost(lost)) => {
                        let why = lost.why.clone();
                        group = self.learn(group, lost, deadline).await;
                        why
                    }
                    Err(Failure::Refused(code, why)) => {
                        if code.code() == REPLACED || code == SqlState::READ_ONLY_SQL_TRANSACTION {
                            self.open = None;
                        } else if !is_passing(&code) {
                            return refuse(group, &CommitError::Unavailable(why));
                        }
                        why
                    }
                },
                Err(why) => why,
            };
            if Instant::now() >= deadline {
                return refuse(group, &CommitError::Unavailable(trouble));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }

    /// Makes sure that there is a connection, under an id of its own, and that the one before can do nothing any more.
    async fn connected(&mut self, deadline: Instant) -> Result<(), String> {
        if self.open.as_ref().is_some_and(|(session, _)| !session.is_over()) {
            return Ok(());
        }
        self.open = None;
        let old = self.id.borrow().clone();
        let connecting = async {
            let session = self.connector.connect(|_| {}).await?;
            let statement = session.prepare(COMMIT).await.map_err(|trouble| trouble.text())?;
            let row = session.row("SELECT siltstone_writer_1($1)", &[&old]).await;
            let id: Vec<u8> = row.map_err(|trouble| trouble.text())?.get(0);
            Ok((session, statement, id))
        };
        // At least one attempt, however late it is.
        let deadline = deadline.max(Instant::now() + self.connector.options.connect_timeout);
        let late = |_| Err("the metadata server does not answer".to_owned());
        let (session, statement, id) = timeout_at(deadline, connecting).await.unwrap_or_else(late)?;
        self.open = Some((session, statement));
        self.id.send_replace(id);
        Ok(())
    }

    async fn send(&mut self, group: &[Request]) -> Result<Vec<i64>, Failure> {
        let commits = || group.iter().map(|request| &request.commit);
        let (steps, touched) = (Steps::of(commits()), touched::text(commits()));
        let (first, before) = (self.number, self.reads.seen());
        self.number += i64::try_from(group.len()).unwrap_or(i64::MAX);
        let lost = |why| Failure::Lost(Lost { first, before, why });
        let id = self.id.borrow().clone();
        let Some((session, statement)) = &self.open else { return Err(lost("not connected".to_owned())) };
        let Steps { kinds, numbers, a, b, c } = &steps;
        let sent = session.query(statement, &[&id, &first, kinds, numbers, a, b, c, &touched]).await;
        let rows = match sent {
            Ok(rows) => rows,
            Err(Trouble::Lost(why)) => return Err(lost(why)),
            Err(Trouble::Refused(code, why)) => return Err(Failure::Refused(code, why)),
        };
        let results: Option<Vec<i64>> = rows.first().and_then(|row| row.try_get(0).ok());
        let results = results.filter(|results| results.len() == group.len());
        let results = results.ok_or_else(|| lost("the server's answer can't be read".to_owned()))?;
        let last = results.iter().filter_map(|result| u64::try_from(*result).ok()).max();
        self.reads.saw(Version(last.unwrap_or(0)));
        Ok(results)
    }

    /// After a lost connection: learns what became of the group and tells it. Returns what never happened and never will.
    async fn learn(&mut self, group: Vec<Request>, lost: Lost, deadline: Instant) -> Vec<Request> {
        tracing::warn!(server = %self.connector.address(), why = lost.why, "lost the connection in a commit");
        self.open = None;
        let mut pause = RETRY;
        let old = self.id.borrow().clone();
        loop {
            match self.ask(&old, &lost, deadline).await {
                Ok(Some(done)) => return answer_done(group, &done, lost.first),
                // Too long ago.
                Ok(None) => break,
                Err(_) if Instant::now() < deadline => sleep(pause).await,
                Err(_) => break,
            }
            pause = (pause * 2).min(LONGEST_RETRY);
        }
        tracing::error!(server = %self.connector.address(), why = lost.why, "a metadata write has an unknown result");
        refuse(group, &CommitError::Unknown(lost.why));
        Vec::new()
    }

    /// Numbers and versions of what the writer `old` committed of the lost group; `None` if the server does not remember.
    async fn ask(
        &mut self,
        old: &[u8],
        lost: &Lost,
        deadline: Instant,
    ) -> Result<Option<HashMap<i64, i64>>, String> {
        // From here on the old writer is gone.
        self.connected(deadline).await?;
        let Some((session, _)) = &self.open else { return Err("not connected".to_owned()) };
        let text = "SELECT told, array(SELECT number FROM siltstone_commit WHERE version > $1 AND writer = $2 ORDER BY version), \
                    array(SELECT version FROM siltstone_commit WHERE version > $1 AND writer = $2 ORDER BY version) \
                    FROM siltstone_meta";
        let before = i64::try_from(lost.before.0).unwrap_or(i64::MAX);
        let row = session.row(text, &[&before, &old]).await.map_err(|trouble| trouble.text())?;
        let (told, numbers, versions): (i64, Vec<i64>, Vec<i64>) = (row.get(0), row.get(1), row.get(2));
        let own = numbers.into_iter().zip(versions).filter(|(number, _)| *number >= lost.first);
        Ok((told <= before).then(|| own.collect()))
    }
}

/// Why a group has no results.
enum Failure {
    Lost(Lost),
    Refused(SqlState, String),
}

/// Whether what the server refused may succeed the next time: it was overtaken, had no time, or was told to stop.
fn is_passing(code: &SqlState) -> bool {
    let passing = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
    ];
    passing.contains(code)
}

fn answer(group: Vec<Request>, results: &[i64]) {
    for (request, result) in group.into_iter().zip(results) {
        let answer = match *result {
            -1 => Err(CommitError::Conflict),
            -2 => Err(CommitError::TooOld),
            -3 => Err(CommitError::TooLarge("the read version is in the future".to_owned())),
            version => Ok(committed(version)),
        };
        // An error means that nobody waits any more.
        let _ = request.answer.send(answer);
    }
}

/// Answers what is done; returns the rest.
fn answer_done(group: Vec<Request>, done: &HashMap<i64, i64>, first: i64) -> Vec<Request> {
    let mut rest = Vec::new();
    for (number, request) in (first..).zip(group) {
        match done.get(&number) {
            // An error means that nobody waits any more.
            Some(version) => drop(request.answer.send(Ok(committed(*version)))),
            None => rest.push(request),
        }
    }
    rest
}

fn refuse(group: Vec<Request>, error: &CommitError) {
    for request in group {
        let _ = request.answer.send(Err(error.clone()));
    }
}

fn committed(version: i64) -> Committed {
    let version = Version(u64::try_from(version).unwrap_or(0));
    Committed { version, stamp: Stamp::new(version, 0) }
}
