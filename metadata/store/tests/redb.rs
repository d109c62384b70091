//! The embedded store runs the contract, on a real file.

use std::sync::Arc;

use async_trait::async_trait;
use siltstone_store::Store;
use siltstone_store::contract::Subject;
use siltstone_store::redb::{Options, RedbStore};
use tempfile::TempDir;

struct Embedded {
    directory: TempDir,
    options: Options,
}

impl Embedded {
    fn new(options: Options) -> Self {
        Embedded { directory: tempfile::tempdir().expect("a directory"), options }
    }
}

#[async_trait]
impl Subject for Embedded {
    async fn open(&self) -> Arc<dyn Store> {
        let path = self.directory.path().join("metadata.redb");
        Arc::new(RedbStore::open(path, self.options.clone()).expect("the store opens"))
    }
}

siltstone_store::contract_tests!(Embedded::new(Options::default()));

/// With bounds so small that they are always met.
mod cramped {
    use super::*;

    fn options() -> Options {
        Options {
            cache_bytes: 64 << 10,
            queue_bytes: 8 << 10,
            group_commits: 2,
            group_bytes: 1,
            ..Options::default()
        }
    }

    siltstone_store::contract_tests!(Embedded::new(options()));
}
