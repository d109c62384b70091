//! Object stores by URL: durable puts, retry, hedging, and a page cache over what was written.
//!
//! [`Objects`] is one bucket (or directory) and a prefix in it. It guarantees that a put that answered Ok survives a crash,
//! that every request ends by its caller's deadline, and that requests in flight are bounded. [`cache::PageCache`] keeps bytes
//! of segments in memory within a bound, with one fetch per page however many readers want it.
//!
//! It deliberately knows nothing of what is in the objects, checks no checksums of its own, never writes a name with two
//! different contents, and keeps no list of what it stored: names belong to the caller.
//!
//! For the simulation: sleeping is `tokio::time`'s, chance comes from one seed, and nothing here reads a wall clock.

pub mod cache;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod attempt;
mod backend;
mod chance;
mod check;
mod dir;
mod error;
mod fault;
mod gates;
mod latency;
mod objects;
mod open;
mod options;
mod pace;
mod remote;
mod said;
mod streak;
pub mod telemetry;

pub use check::CheckError;
pub use error::{DeleteError, OpenError, PutError, ReadError, StoreError};
pub use objects::{ObjectInfo, Objects, Trouble};
pub use open::{Environment, StoreUrl};
pub use options::{Credentials, Hedge, Options, Requests, Secret};
