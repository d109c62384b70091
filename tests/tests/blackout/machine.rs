//! A machine with two disks whose power can fail.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use siltstone_agent::engine::Foundations;
use siltstone_objects::Options;
use siltstone_objects::testing::DiscardingDir;
use siltstone_store::memory::{Chance, Faults, MemoryStore};
use siltstone_store::redb::{self, RedbStore};

use crate::disk::{Crash, SimDisk};
use crate::kit::{Server, foundations};

/// How often it is looked whether the power has failed on one of the disks.
const LOOK: Duration = Duration::from_millis(1);

pub struct Machine {
    metadata: SimDisk,
    objects: DiscardingDir,
    chance: Chance,
    lives: u64,
}

impl Machine {
    pub fn new(folder: &Path, seed: u64) -> Machine {
        Machine {
            metadata: SimDisk::new(seed),
            objects: DiscardingDir::new(folder.to_path_buf(), seed),
            chance: Chance::new(seed),
            lives: 0,
        }
    }

    /// A server on what the disks hold.
    pub async fn start(&mut self) -> Server {
        let options = redb::Options { cache_bytes: 256 << 10, ..redb::Options::default() };
        let store = RedbStore::open_on(Arc::new(self.metadata.clone()), options).expect("the metadata opens");
        let objects = self.objects.open(&Options::default()).expect("the objects open");
        let memory = foundations(MemoryStore::new(1, Faults::none()));
        // The numbers of a process begin anew; registrations may not.
        self.lives += 1;
        for _ in 0..self.lives * 1000 {
            memory.ambient.chance.next();
        }
        Server::over(Foundations { store: Arc::new(store), objects, ..memory }, 64 << 20).await
    }

    /// The metadata's disk stops syncing and says nothing.
    pub fn lie(&self) {
        self.metadata.lie();
    }

    /// The power will fail after some operations of one of the disks, then on both. Resolves to whether it was the objects' that came first.
    pub fn trap(&mut self) -> tokio::task::JoinHandle<bool> {
        let (metadata, objects) = (self.metadata.clone(), self.objects.clone());
        let by_objects = self.chance.below(2) == 0;
        let halt = if by_objects { objects.steps() + 1 + self.chance.below(150) } else { u64::MAX };
        objects.halt_at(halt);
        if !by_objects {
            metadata.crash_after(self.chance.below(1500));
        }
        tokio::spawn(async move {
            while !metadata.is_dead() && objects.steps() < halt {
                tokio::time::sleep(LOOK).await;
            }
            metadata.crash_after(0);
            objects.halt_at(0);
            by_objects
        })
    }

    /// Ends the server as a power failure does, and leaves what is there when it is switched on again.
    pub async fn crash(&mut self, server: Server, crash: Crash) {
        server.served.abort();
        server.engine.stop(Duration::ZERO).await;
        self.metadata = self.metadata.after(crash, &mut self.chance);
        self.objects.crash().expect("the directory is as it was");
    }
}
