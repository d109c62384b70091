//! What the cluster is: one key.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `01` | [`siltstone_log::ClusterRow`] | the first start of a cluster; a restore; raising the feature level | every start; in the read set of every transaction (incarnation) | for ever |

use bytes::Bytes;

use super::{Key, family};

/// The key.
pub fn key() -> Bytes {
    Key::new(family::CLUSTER).done()
}
