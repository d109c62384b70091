//! The memory store runs the contract: as it is, counted, and with the delays and version jumps of a calm cluster.

use std::sync::Arc;

use async_trait::async_trait;
use siltstone_store::Store;
use siltstone_store::contract::Subject;
use siltstone_store::counted::counted;
use siltstone_store::memory::{Faults, MemoryStore};

struct Memory(MemoryStore);

#[async_trait]
impl Subject for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.handle(7))
    }
}

mod faultless {
    use super::*;
    siltstone_store::contract_tests!(Memory(MemoryStore::new(1, Faults::none())));
}

struct Counted(Memory);

#[async_trait]
impl Subject for Counted {
    async fn open(&self) -> Arc<dyn Store> {
        counted(self.0.open().await)
    }
}

mod while_counted {
    use super::*;
    siltstone_store::contract_tests!(Counted(Memory(MemoryStore::new(3, Faults::none()))));
}

mod jumping {
    use super::*;
    siltstone_store::contract_tests!(Memory(MemoryStore::new(
        2,
        Faults { version_jump: 1_000_000, ..Faults::none() }
    )));
}
