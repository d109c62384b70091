//! The broker configs of Kafka 4.2 that clients and tools look at, and all that can be changed while a broker runs.
//!
//! Not here, and so unknown: what only concerns the inside of a Kafka broker (its controllers' timing, purgatories, files of its
//! metadata log, internal retries), delegation tokens, share and streams groups, and TLS and SASL configs that are read at start only.

use crate::definition::Definition;
use crate::error::{ConfigError, shorten};
use std::sync::LazyLock;

pub(crate) mod files;
pub(crate) mod general;
pub(crate) mod groups;
pub(crate) mod log;
pub(crate) mod network;
pub(crate) mod replicas;
pub(crate) mod security;
pub(crate) mod transactions;

static SORTED: LazyLock<Vec<&'static Definition>> = LazyLock::new(|| {
    crate::sorted(&[
        files::TABLE,
        general::TABLE,
        groups::TABLE,
        log::TABLE,
        network::TABLE,
        replicas::TABLE,
        security::TABLE,
        transactions::TABLE,
    ])
});

/// All broker configs, by name.
pub fn definitions() -> &'static [&'static Definition] {
    &SORTED
}

/// The broker config of a name.
///
/// # Errors
/// [`ConfigError::Unknown`].
pub fn find(name: &str) -> Result<&'static Definition, ConfigError> {
    crate::search(&SORTED, name)
        .ok_or_else(|| ConfigError::Unknown { resource: "broker", name: shorten(name) })
}
