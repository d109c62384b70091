//! The Kafka protocol: listener, connections, one file per API.
//!
//! An API's file holds `handle(cx, version, request) -> response`, its versions on the first lines, and what of Kafka's behaviour it
//! keeps. Error codes are made in `errors` alone. Nothing here holds state that outlives a connection, but for fetch sessions.

mod context;

pub use context::{Broker, Context};
