//! Every topic config of Kafka 4.2, and Siltstone's own `siltstone.write`.

use crate::definition::Definition;
use crate::error::{ConfigError, shorten};
use std::sync::LazyLock;

pub(crate) mod cleaning;
pub(crate) mod messages;
pub(crate) mod storage;

static SORTED: LazyLock<Vec<&'static Definition>> =
    LazyLock::new(|| crate::sorted(&[cleaning::TABLE, messages::TABLE, storage::TABLE]));

/// All topic configs, by name.
pub fn definitions() -> &'static [&'static Definition] {
    &SORTED
}

/// The topic config of a name.
///
/// # Errors
/// [`ConfigError::Unknown`].
pub fn find(name: &str) -> Result<&'static Definition, ConfigError> {
    crate::search(&SORTED, name)
        .ok_or_else(|| ConfigError::Unknown { resource: "topic", name: shorten(name) })
}
