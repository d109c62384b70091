//! Power failures seen by clients: a whole server, its listener too, on disks that lose what was not synced.
//!
//! Idempotent producers write over TCP until the power fails, at a moment that the seed chooses among the operations of either disk, that of
//! the objects or that of the metadata. What was not synced is discarded, or some of it is kept. A new server begins on what is left:
//! everything acknowledged must be fetched at its offset, once, in order, without gaps. Producers then send again what they had no answer
//! for, and the next life begins; at the end they are answered all.
//!
//! `SILTSTONE_POWER_SEEDS=500 cargo test -p siltstone-tests --test blackout` tries so many seeds; `SILTSTONE_POWER_SEED=17` that one.
//! `tests/power` does the same without listener and producers, with checkpoints in between.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../../../metadata/store/tests/disk/mod.rs"]
mod disk;
#[allow(dead_code, reason = "shared with the agent's own tests, which use more of it")]
#[path = "../../../agent/tests/data_plane/kit.rs"]
mod kit;
mod machine;
mod writers;

use disk::Crash;
use machine::Machine;
use writers::Producers;

const LIVES: usize = 3;
const SEEDS: u64 = 12;

/// What the seeds met, so that a test of nothing shows.
#[derive(Debug, Default)]
struct Met {
    acknowledged: usize,
    unanswered: usize,
    stopped_by_objects: usize,
}

async fn survive(crash: Crash, seed: u64, met: &mut Met) {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(folder.path(), seed);
    let mut producers = Producers::default();
    for life in 0..LIVES {
        let server = machine.start().await;
        producers.begin(&server).await;
        producers.check(&server, &format!("{crash:?}, seed {seed}, life {life}")).await;
        let by_objects = producers.write(&server, machine.trap()).await;
        met.stopped_by_objects += usize::from(by_objects);
        machine.crash(server, crash).await;
    }
    let server = machine.start().await;
    let context = format!("{crash:?}, seed {seed}, at the end");
    producers.check(&server, &context).await;
    met.unanswered += producers.unanswered();
    producers.finish(&server).await;
    producers.check(&server, &context).await;
    met.acknowledged += producers.acknowledged();
}

async fn many(crash: Crash) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("SILTSTONE_POWER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SILTSTONE_POWER_SEEDS").unwrap_or(SEEDS),
    };
    let (count, mut met) = (seeds.end - seeds.start, Met::default());
    for seed in seeds {
        survive(crash, seed, &mut met).await;
    }
    assert!(met.acknowledged as u64 > 20 * count, "too little was written to show anything: {met:?}");
    if count >= SEEDS {
        assert!(
            met.unanswered > 0 && met.stopped_by_objects > 0,
            "crashes came at the wrong moments: {met:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_disks_that_keep_only_what_was_synced() {
    many(Crash::Discard).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_disks_that_keep_some_of_what_was_not_synced() {
    many(Crash::Tear).await;
}

/// The test can fail: a metadata disk that syncs nothing and says that it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "that was acknowledged")]
async fn a_disk_that_lies_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(folder.path(), 1);
    let mut producers = Producers::default();
    let server = machine.start().await;
    producers.begin(&server).await;
    machine.lie();
    producers.write(&server, machine.trap()).await;
    machine.crash(server, Crash::Discard).await;
    let server = machine.start().await;
    producers.check(&server, "after the lie").await;
}
