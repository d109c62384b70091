//! The FoundationDB backend runs the contract, on a real server: `SILTSTONE_TEST_FDB` names its cluster file. Without it the clauses say that they were
//! passed over. Each has a prefix of its own, and leaves what it wrote: the server is one for tests.
//!
//! ```console
//! $ SILTSTONE_TEST_FDB=/path/fdb.cluster FDB_CLIENT_LIB_PATH=/path/lib LD_LIBRARY_PATH=/path/lib cargo test -p siltstone-store --features foundationdb --test foundationdb
//! ```
#![cfg(feature = "foundationdb")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use siltstone_store::Store;
use siltstone_store::contract::Subject;
use siltstone_store::fdb::{Address, FdbStore, Options};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A key space of its own for each clause.
struct Space(String);

impl Space {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock past 1970");
        Space(format!("test-{:x}-{}-{number}/", since.as_micros(), std::process::id()))
    }
}

fn cluster_file() -> Option<String> {
    std::env::var("SILTSTONE_TEST_FDB").ok().filter(|path| !path.is_empty())
}

#[async_trait]
impl Subject for Space {
    fn missing(&self) -> Option<String> {
        cluster_file().is_none().then(|| "SILTSTONE_TEST_FDB names no cluster file".to_owned())
    }

    async fn open(&self) -> Arc<dyn Store> {
        let path = cluster_file().expect("a cluster file");
        let address = Address::parse(&format!("fdb://{path}?prefix={}", self.0)).expect("an address");
        Arc::new(FdbStore::open(address, Options::default()).await.expect("the store opens"))
    }
}

siltstone_store::contract_tests!(Space::new());
