//! Time and chance, as arguments (style, rule 5): the simulation gives its own.
//!
//! Only the wall clock and randomness are here. Waiting goes through `tokio::time`, whose clock the simulation steers.

use std::sync::Arc;

/// The wall clock of this agent. May jump; nothing but timestamps rests on it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> i64;
}

/// A source of randomness.
pub trait Chance: Send + Sync {
    /// 128 random bits.
    fn next(&self) -> u128;
}

/// Both.
#[derive(Clone)]
pub struct Ambient {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub chance: Arc<dyn Chance>,
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ambient")
    }
}
