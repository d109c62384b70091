//! S11: memory has a bound.

use std::sync::Arc;

use siltstone_agent::engine::Engine;

use super::{Violation, fail};
use crate::sim::setup::{BUFFER_BYTES, CACHE_BYTES};

const NAME: &str = "S11";

/// What an engine holds is within its limits.
pub(in crate::sim) fn bounded(engine: &Arc<Engine>) -> Result<(), Violation> {
    let (buffered, reserved) = (engine.writer().buffered(), engine.writer().budget().used());
    if buffered > reserved || reserved > BUFFER_BYTES {
        return fail(NAME, format!("{buffered} bytes buffered, {reserved} reserved, limit {BUFFER_BYTES}"));
    }
    let cached = engine.cache().bytes();
    if cached > CACHE_BYTES {
        return fail(NAME, format!("{cached} bytes cached, limit {CACHE_BYTES}"));
    }
    Ok(())
}
