//! The PostgreSQL backend runs the contract, on a real server: see `siltstone_store::postgres::testing` for which.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use siltstone_store::Store;
use siltstone_store::contract::Subject;
use siltstone_store::postgres::testing::Server;
use siltstone_store::postgres::{Address, Options, PostgresStore};
use tokio::sync::OnceCell;

/// A database of its own for each clause.
struct Database {
    url: OnceCell<String>,
    options: Options,
}

impl Database {
    fn new(options: Options) -> Self {
        Database { url: OnceCell::new(), options }
    }
}

#[async_trait]
impl Subject for Database {
    fn missing(&self) -> Option<String> {
        Server::shared().err().map(str::to_owned)
    }

    async fn open(&self) -> Arc<dyn Store> {
        let server = Server::shared().expect("a server");
        let url = self.url.get_or_init(|| server.database()).await;
        let address = Address::parse(url).expect("an address");
        Arc::new(PostgresStore::open(address, self.options.clone()).await.expect("the store opens"))
    }
}

siltstone_store::contract_tests!(Database::new(Options::default()));

/// With bounds so small that they are always met, and history removed as soon as it may be.
mod cramped {
    use super::*;

    fn options() -> Options {
        Options {
            readers: 1,
            reads_per_connection: 1,
            queue_bytes: 8 << 10,
            group_commits: 2,
            group_bytes: 1,
            tidy_interval: Duration::from_millis(20),
            ..Options::default()
        }
    }

    siltstone_store::contract_tests!(Database::new(options()));
}
