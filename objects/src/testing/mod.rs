//! Test doubles, for this crate's tests, the simulation and fault tests. Not built into the product.
//!
//! [`FaultyStore`] is an object store with faults from a seed; [`DiscardingDir`] is a directory on a disk that forgets, when it
//! crashes, what was not synced.

mod discarding;
mod faulty;
mod model;

pub use discarding::DiscardingDir;
pub use faulty::{Counts, Faults, FaultyStore};
