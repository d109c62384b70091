//! The invariants of the design's section 9: one file each. Some are checked after every step, some by the oracle at every entry of a log,
//! some at every answer that a client gets.

pub(super) mod erased;
pub(super) mod groups;
pub(super) mod levels;
pub(super) mod s1;
pub(super) mod s10;
pub(super) mod s11;
pub(super) mod s2;
pub(super) mod s3;
pub(super) mod s4;
pub(super) mod s5;
pub(super) mod s6;
pub(super) mod s7;
pub(super) mod s8;
pub(super) mod s9;

use std::fmt;

use siltstone_log::PartitionId;

use super::world::World;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which: its name in the design, or what the healing asks for.
    pub invariant: &'static str,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Fails with a violation.
pub(super) fn fail(invariant: &'static str, what: impl fmt::Display) -> Result<(), Violation> {
    Err(Violation { invariant, what: what.to_string() })
}

/// What the invariants remember between steps.
#[derive(Debug, Default)]
pub(super) struct Seen {
    s6: s6::Seen,
    s7: s7::Seen,
    s10: s10::Seen,
    erased: erased::Seen,
}

impl Seen {
    /// Offsets behind which compaction had left nothing in their extents, at the last look.
    pub(super) fn gaps(&self, partition: PartitionId) -> &[i64] {
        self.s7.compacted.gaps(partition)
    }

    /// A tombstone that a partition's rows had at the last look.
    pub(super) fn tombstones(&self, partition: PartitionId) -> Option<i64> {
        self.s7.compacted.tombstone(partition)
    }
}

/// Rows and segments are looked at every so many steps.
const SLOW_EVERY: u64 = 8;

/// Checks all that can be checked at any moment.
pub(super) fn after_step(world: &World) {
    let steps = {
        let mut counts = world.counts.borrow_mut();
        counts.steps += 1;
        counts.faulty_steps += u64::from(world.faults_on.get() > 0);
        counts.steps
    };
    world.check(all(world, steps % SLOW_EVERY == 0));
}

fn all(world: &World, slow: bool) -> Result<(), Violation> {
    let mut oracle = world.oracle.borrow_mut();
    oracle.catch_up()?;
    let mut seen = world.seen.borrow_mut();
    for (index, agent) in world.agents.iter().enumerate() {
        let Some(engine) = agent.engine() else { continue };
        s11::bounded(&engine)?;
        let life = (index, agent.lives());
        seen.s6.forward(life, &engine)?;
        seen.s7.same_state(world, &oracle, life, &engine)?;
    }
    groups::rows(world)?;
    levels::followed(&oracle)?;
    seen.s10.look(&oracle);
    if slow {
        seen.s7.rows(world, &oracle)?;
        seen.s10.published(&oracle)?;
        s8::kept(world, &oracle)?;
        seen.erased.receipts(world, &oracle)?;
    }
    let mut counts = world.counts.borrow_mut();
    (counts.entries, counts.voids) = oracle.entries;
    Ok(())
}
