//! `siltstone features` on the real binary: what it shows, what holds a level down, and that it is raised once nothing does.
#![allow(clippy::unwrap_used, reason = "a test: helpers outside of test functions count as code")]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod kit;

use std::path::Path;

use kit::{Server, plain, siltstone};
use serde_json::Value;
use siltstone_log::{ClusterRow, RegistrationRow};
use siltstone_metadata::keys::{cluster, registration};
use siltstone_metadata::lease;
use siltstone_metadata::shard::MAX_LEVEL;
use siltstone_store::redb::{Options, RedbStore};
use siltstone_store::{Commit, Mutation, Store};

/// Makes the cluster one of an older program, and what is registered with it too.
async fn age(data: &Path) -> RegistrationRow {
    let store = RedbStore::open(data.join("metadata.redb"), Options::default()).unwrap();
    let found = store.snapshot().await.unwrap().get(&cluster::key()).await.unwrap().unwrap();
    let row = ClusterRow { level: MAX_LEVEL - 1, ..ClusterRow::decode(&found).unwrap() };
    let old = lease::list(&store).await.unwrap().remove(0);
    let old = RegistrationRow { highest_level: MAX_LEVEL - 1, ..old };
    let mutations = vec![
        Mutation::Set { key: cluster::key(), value: row.encode().into() },
        Mutation::Set { key: registration::key(old.id), value: old.encode().into() },
    ];
    store.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    old
}

#[test]
fn a_level_is_shown_and_raised_once_nobody_is_there_who_does_not_follow_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let none = plain(&["features", "--data", data]);
    assert!(none.status == 1 && none.err.contains("no cluster was ever made"), "{none:?}");
    let mut server = Server::start(dir.path());
    assert_eq!(siltstone(&server.kafka, &["topic", "create", "t"], "").status, 0);
    let running = plain(&["features", "--raise", "--data", data]);
    assert!(running.status == 1 && running.err.contains("it raises the level by itself"), "{running:?}");
    // Killed: its registration stays until another server finds that it is silent.
    server.kill();
    let old = runtime.block_on(age(dir.path()));
    let shown = plain(&["features", "--data", data]);
    let level = format!("is at feature level {};", MAX_LEVEL - 1);
    assert!(shown.status == 0 && shown.out.contains(&level), "{shown:?}");
    assert!(shown.out.contains(&format!("{}:{}", old.host, old.port)), "{shown:?}");
    let held = plain(&["features", "--raise", "--json", "--data", data]);
    let told: Value = serde_json::from_str(&held.out).unwrap();
    assert_eq!(told["level"], MAX_LEVEL - 1);
    assert_eq!(told["processes"][0]["highest_level"], MAX_LEVEL - 1);
    assert!(held.status == 1 && held.err.contains("must be replaced by a newer program first"), "{held:?}");
    runtime.block_on(async {
        let store = RedbStore::open(dir.path().join("metadata.redb"), Options::default()).unwrap();
        assert!(lease::end(&store, old.id, 16, None).await.unwrap());
    });
    let raised = plain(&["features", "--raise", "--data", data]);
    assert!(raised.status == 0 && raised.out.contains(&format!("level {MAX_LEVEL};")), "{raised:?}");
}
