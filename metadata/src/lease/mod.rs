//! Leases without clocks (design, section 6), and registrations, which are leases on an agent's own life.
//!
//! A lease has an *owner*, read by every write of its holder and changed only at takeover, and a *beat*, which the holder changes now and
//! then. A challenger takes over after watching both unchanged for the lease time on its own monotonic clock; its transaction
//! has both in its read set, so that a beat in between makes it fail (S10).

mod group;
mod membership;
mod observe;
mod present;
mod registration;
mod restore;
mod ring;
mod roster;
mod standing;
mod task;

pub use group::{
    Acquired, GroupHold, acquire as acquire_group, coordinator, coordinator_row, release as release_group,
};
pub use membership::Membership;
pub use observe::Observer;
pub use registration::{
    RegisterError, end, existing_cluster, join, list, look_again, open_cluster, register,
};
pub use restore::{RestoreError, Restored, restored};
pub use roster::Roster;
pub use standing::{Member, members, seen_by_all, stand};
pub use task::{Held, TaskLease};
