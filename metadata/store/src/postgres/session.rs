//! One connection to the server, set up for its work, and how a failed statement is understood.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, Row, Statement};

use super::options::{Address, Options, cause};
use super::tls::Tls;

/// Plans are forced to go by the indexes: every query here is made for one, and fresh tables have no statistics to choose by. (PostgreSQL 13 has no
/// setting for what remembers what was looked up in a statement, nor such a thing: here nothing is looked up twice.)
const SETTINGS: &str = "\
    SET default_transaction_isolation = 'read committed';\
    SET client_min_messages = 'error';\
    SET lock_timeout = '5s';\
    SET idle_in_transaction_session_timeout = '5s';\
    SET enable_seqscan = off;\
    SET enable_bitmapscan = off;\
    SET enable_hashjoin = off;\
    SET enable_mergejoin = off;\
    SET enable_sort = off;\
    SET jit = off;\
    SET plan_cache_mode = force_generic_plan;\
    SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'enable_memoize';\
    SELECT set_config('synchronous_commit', 'on', false) \
        WHERE current_setting('synchronous_commit') IN ('off', 'local');";

/// How much longer than the server's own limit an answer is waited for.
const MARGIN: Duration = Duration::from_secs(2);

/// What a parameter of a statement is.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    address: Address,
    tls: Tls,
    pub(super) options: Arc<Options>,
}

/// How a statement failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is gone or does not answer: what became of the statement isn't known.
    Lost(String),
    /// The server refused; nothing was done.
    Refused(SqlState, String),
}

impl Trouble {
    /// For a log or an error: what happened. Never a value or a password.
    pub(super) fn text(&self) -> String {
        match self {
            Trouble::Lost(why) => why.clone(),
            Trouble::Refused(code, why) => format!("{why} ({})", code.code()),
        }
    }

    fn of(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // Fatal ones end the connection, and one that comes while a commit is being replicated may follow a commit.
            Some(refusal) if matches!(refusal.severity(), "FATAL" | "PANIC") => {
                Trouble::Lost(refusal.message().to_owned())
            }
            Some(refusal) => Trouble::Refused(refusal.code().clone(), refusal.message().to_owned()),
            None => Trouble::Lost(cause(error)),
        }
    }
}

impl Connector {
    pub(super) fn new(address: Address, options: Options) -> Result<Self, String> {
        let tls = match address.config.get_ssl_mode() {
            SslMode::Disable => Tls::off(),
            _ => Tls::new(address.roots.as_deref())?,
        };
        Ok(Connector { address, tls, options: Arc::new(options) })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// A new connection. Notifications go to `heard`.
    pub(super) async fn connect(&self, heard: impl FnMut(&str) + Send + 'static) -> Result<Session, String> {
        let all = async {
            let connected = self.address.config.connect(self.tls.clone()).await;
            let (client, connection) = connected.map_err(|error| cause(&error))?;
            let driver = tokio::spawn(drive(connection, heard)).abort_handle();
            let patience = self.options.statement_timeout + MARGIN;
            let session = Session { client, driver, patience };
            let limit = self.options.statement_timeout.as_millis();
            let settings = format!("SET statement_timeout = {limit}; {SETTINGS}");
            session.batch(&settings).await.map_err(|trouble| trouble.text())?;
            Ok(session)
        };
        let late = |_| Err(format!("no answer in {:?}", self.options.connect_timeout));
        timeout(self.options.connect_timeout, all).await.unwrap_or_else(late)
    }
}

async fn drive<S, T>(mut connection: Connection<S, T>, mut heard: impl FnMut(&str))
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // An error ends it, and whoever waits for an answer learns of it there.
    while let Some(Ok(message)) = futures::future::poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            heard(notification.payload());
        }
    }
}

/// A connection. Dropping it cuts it.
pub(super) struct Session {
    client: Client,
    driver: tokio::task::AbortHandle,
    /// The server ends a statement before this; so does a client that hears nothing.
    patience: Duration,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Whether the connection is known to be gone.
    pub(super) fn is_over(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) async fn prepare(&self, text: &str) -> Result<Statement, Trouble> {
        self.within(self.client.prepare(text)).await
    }

    pub(super) async fn query(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Trouble> {
        self.within(self.client.query(statement, parameters)).await
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, text: &str) -> Result<(), Trouble> {
        self.within(self.client.batch_execute(text)).await
    }

    /// The one row of a query that is not used often.
    pub(super) async fn row(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Row, Trouble> {
        self.within(self.client.query_one(text, parameters)).await
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(self.patience, work).await {
            Ok(done) => done.map_err(|error| Trouble::of(&error)),
            Err(_) => {
                // Nothing more may come of it.
                self.driver.abort();
                Err(Trouble::Lost(format!("no answer in {:?}", self.patience)))
            }
        }
    }
}
