//! Coordinators: which agent may change a group.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `60`, group | registration 16 and a counter u64 of takeovers, as of a lease's owner | at takeover only | in the read set of every write of the coordinator; FindCoordinator | for ever |
//!
//! There is no beat: the coordinator's registration is its proof of life.

use bytes::Bytes;

use super::{Key, family};

/// The key of a group's coordinator.
pub fn key(group: &str) -> Bytes {
    Key::new(family::GROUP_OWNER).text(group).done()
}
