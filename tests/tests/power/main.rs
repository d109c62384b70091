//! Power failures of a whole server: an engine over an embedded store and a directory that both keep only what was synced.
//!
//! A life writes, small and large, until the power fails, at some operation on either disk. What was not synced is then lost (or each
//! sector and file by chance), and the next life must find: everything acknowledged at its offset, nothing twice, no gap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[path = "../../../metadata/store/tests/disk/mod.rs"]
mod disk;
mod life;

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::{Crash, SimDisk};
use life::{Acknowledged, Found, Life, Written};
use siltstone_objects::Options;
use siltstone_objects::testing::DiscardingDir;
use siltstone_store::memory::Chance;
use siltstone_store::redb::RedbStore;

const LIVES: u64 = 4;
/// Seeds in every run; `SILTSTONE_POWER_SEEDS` says otherwise.
const SEEDS: u64 = 10;

/// What all lives of one server know of its log.
#[derive(Debug, Default)]
struct Log {
    sent: BTreeMap<u32, u32>,
    acknowledged: Vec<Acknowledged>,
}

impl Log {
    fn learn(&mut self, written: Written) {
        self.sent.extend(written.sent);
        self.acknowledged.extend(written.acknowledged);
    }

    /// What is wrong with what was read: (partition, offset, checksum) of every batch.
    fn judge(&self, found: &[(u32, i64, u32)]) -> Result<(), String> {
        let at: BTreeMap<(u32, i64), u32> =
            found.iter().map(|(partition, offset, crc)| ((*partition, *offset), *crc)).collect();
        for Acknowledged { partition, offset, crc } in &self.acknowledged {
            let there = at.get(&(*partition, *offset));
            if there != Some(crc) {
                return Err(format!("acknowledged at {partition}/{offset}: {crc}, and there is {there:?}"));
            }
        }
        let mut times = BTreeMap::new();
        for (partition, offset, crc) in found {
            if self.sent.get(crc) != Some(partition) {
                return Err(format!("at {partition}/{offset} is what nobody sent there: {crc}"));
            }
            if let Some(before) = times.insert(crc, offset) {
                return Err(format!("{crc} is in {partition} twice, at {before} and at {offset}"));
            }
        }
        Ok(())
    }
}

/// A server's disks, over all lives.
struct Machine {
    disk: SimDisk,
    dir: DiscardingDir,
    _folder: tempfile::TempDir,
    chance: Chance,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let dir = DiscardingDir::new(folder.path().to_owned(), seed);
        Machine { disk: SimDisk::new(seed), dir, _folder: folder, chance: Chance::new(seed) }
    }

    /// One life, on a runtime of its own: when that is gone, nothing of the life does anything any more. Gives what was read at its
    /// start, and what was written.
    fn live(&mut self, number: u64, power_fails: bool) -> Result<(Found, Written), String> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = RedbStore::open_on(Arc::new(self.disk.clone()), Default::default());
        let store = Arc::new(store.map_err(|error| error.to_string())?);
        let objects = self.dir.open(&Options::default()).unwrap();
        let seed = self.chance.any();
        let plan = power_fails.then(|| life::Plan {
            disk_operations: 30 + self.chance.below(600),
            dir_steps: 5 + self.chance.below(150),
        });
        let life = Life { number, seed, disk: self.disk.clone(), dir: self.dir.clone(), plan };
        runtime.block_on(life.run(store, objects))
    }

    fn lose_power(&mut self, crash: Crash) {
        self.disk = self.disk.after(crash, &mut self.chance);
        self.dir.crash().unwrap();
    }
}

/// All lives of one seed. Gives the number of batches acknowledged, or what was wrong.
fn lives(seed: u64, crash: Crash) -> Result<usize, String> {
    let (mut machine, mut log) = (Machine::new(seed), Log::default());
    for number in 0..=LIVES {
        let context = |why: String| format!("{crash:?}, seed {seed}, life {number}: {why}");
        let (found, written) = machine.live(number, number < LIVES).map_err(context)?;
        log.judge(&found).map_err(context)?;
        log.learn(written);
        machine.lose_power(crash);
    }
    Ok(log.acknowledged.len())
}

fn seeds() -> u64 {
    std::env::var("SILTSTONE_POWER_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

fn all(crash: Crash) {
    let mut acknowledged = 0;
    for seed in 0..seeds() {
        match lives(seed, crash) {
            Ok(count) => acknowledged += count,
            Err(why) => panic!("{why}"),
        }
    }
    println!("{crash:?}: {} seeds, {acknowledged} batches acknowledged, all there", seeds());
    assert!(acknowledged as u64 > seeds() * 20, "only {acknowledged} batches were acknowledged");
}

#[test]
fn what_was_acknowledged_survives_disks_that_keep_only_what_was_synced() {
    all(Crash::Discard);
}

#[test]
fn what_was_acknowledged_survives_torn_writes() {
    all(Crash::Tear);
}

/// The test itself: without syncing something acknowledged is missed.
#[test]
fn a_disk_that_lies_about_syncing_is_caught() {
    let (mut machine, mut log) = (Machine::new(1), Log::default());
    let (_, written) = machine.live(0, false).unwrap();
    log.learn(written);
    machine.disk.lie();
    let (found, written) = machine.live(1, true).unwrap();
    log.judge(&found).unwrap();
    assert!(!written.acknowledged.is_empty());
    log.learn(written);
    machine.lose_power(Crash::Discard);
    // Damage so great that it does not open is noticed as well.
    let judged = machine.live(2, false).and_then(|(found, _)| log.judge(&found));
    assert!(judged.is_err());
}
