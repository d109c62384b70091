//! Groups of consumers, and their offsets: the drivers around the machines of `metadata/group`.
//!
//! ```text
//! API ─▶ Groups ─▶ slot of the group (one at a time) ─▶ machine ─▶ rows, committed under the group's lease ─▶ answers
//!                    └ loaded from rows, under a lease              offsets go past the machine, which only says who may
//! ```
//!
//! Guarantees: nothing is answered before what it rests on is durable; every write reads the group's owner, so that of two agents that take
//! themselves for its coordinator at most one changes anything (S10); a write whose outcome is unknown costs the loaded state, never the rows. Committed
//! offsets are read from the store, not from memory. It deliberately holds nothing of value: an agent that dies leaves rows from which another goes on.

mod consumer;
mod error;
mod expiry;
mod handover;
mod list;
mod members;
mod offsets;
mod orphans;
mod pending;
mod rows;
mod slot;
mod stored_offsets;
mod timers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_configs::BrokerConfig;
use siltstone_log::RegistrationId;
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::catalog::{Catalog, CatalogState};
use siltstone_metadata::group::consumer::assign::Assignor;
use siltstone_metadata::group::{self, classic, consumer as machine};
use siltstone_metadata::level::Level;
use siltstone_store::Store;
use tokio::time::Instant;

pub use error::GroupError;
pub use list::Listed;
pub use offsets::{NewOffset, OffsetCommitter, OffsetTransaction};
use slot::Slot;
pub use stored_offsets::CommittedOffset;
use timers::Timers;

/// Longest group id, bytes: it is part of keys.
pub const MAX_GROUP_ID: usize = 1000;

/// What groups work with.
pub(crate) struct GroupsParts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registration: RegistrationId,
    pub(crate) ambient: Ambient,
    pub(crate) catalog: Arc<Catalog>,
}

/// The groups that this agent coordinates.
pub struct Groups {
    parts: GroupsParts,
    started: Instant,
    tokens: AtomicU64,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    timers: Timers,
    /// The agent takes no group any more.
    leaving: Level<bool>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Groups")
    }
}

/// What machines are told: the time, and the configs and topics as they are now.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    pub(crate) since_start: Duration,
    pub(crate) wall: i64,
    pub(crate) settings: group::Settings,
    pub(crate) catalog: Arc<CatalogState>,
}

impl Now {
    pub(crate) fn context(&self) -> group::Context<'_> {
        group::Context {
            now: self.since_start,
            wall: self.wall,
            settings: &self.settings,
            catalog: &self.catalog,
        }
    }
}

impl Groups {
    pub(crate) fn new(parts: GroupsParts) -> Arc<Self> {
        Arc::new(Groups {
            parts,
            started: Instant::now(),
            tokens: AtomicU64::new(0),
            slots: Mutex::default(),
            timers: Timers::default(),
            leaving: Level::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self) -> classic::Token {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    fn now(&self, config: &BrokerConfig) -> Now {
        Now {
            since_start: self.started.elapsed(),
            wall: self.parts.ambient.clock.now(),
            settings: group::Settings {
                classic: classic_settings(config),
                consumer: consumer_settings(config),
            },
            catalog: self.parts.catalog.state(),
        }
    }

    /// Whether this can be the id of a group that has members. Offsets alone may be kept, shown and deleted under the empty id too, as in Kafka.
    ///
    /// # Errors
    /// [`GroupError::InvalidId`].
    pub fn check_member_id(group: &str) -> Result<(), GroupError> {
        if group.is_empty() { Err(GroupError::InvalidId) } else { Groups::check_id(group) }
    }

    /// Whether this can be a group's id.
    ///
    /// # Errors
    /// [`GroupError::InvalidId`].
    pub fn check_id(group: &str) -> Result<(), GroupError> {
        if group.len() > MAX_GROUP_ID { Err(GroupError::InvalidId) } else { Ok(()) }
    }
}

fn classic_settings(config: &BrokerConfig) -> classic::Settings {
    let groups = &config.classic_groups;
    classic::Settings {
        initial_delay: Duration::from_millis(groups.initial_rebalance_delay_ms),
        min_session: Duration::from_millis(groups.min_session_timeout_ms),
        max_session: Duration::from_millis(groups.max_session_timeout_ms),
        max_size: groups.max_size as usize,
        // Known once it is known which group.
        key_bytes: MAX_GROUP_ID,
    }
}

fn consumer_settings(config: &BrokerConfig) -> machine::Settings {
    let groups = &config.consumer_groups;
    let assignors: Vec<Assignor> =
        groups.assignors.iter().filter_map(|name| Assignor::by_name(name)).collect();
    machine::Settings {
        session_timeout: Duration::from_millis(groups.session_timeout_ms),
        heartbeat_interval: Duration::from_millis(groups.heartbeat_interval_ms),
        max_size: groups.max_size as usize,
        classic_max_size: config.classic_groups.max_size as usize,
        assignors: if assignors.is_empty() { Assignor::ALL.to_vec() } else { assignors },
        upgrade: groups.upgrade,
        downgrade: groups.downgrade,
    }
}
