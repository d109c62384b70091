//! Feature levels: whoever is registered follows the level that the cluster is at (design, section 2), so that nobody who serves has to halt.

use siltstone_log::{ClusterRow, RegistrationRow};
use siltstone_metadata::keys::{cluster, registration};

use super::{Violation, fail, s8};
use crate::sim::oracle::{Oracle, at_once};

/// The level that the cluster is at.
pub(in crate::sim) fn of_cluster(oracle: &Oracle) -> Option<u32> {
    let found = at_once(oracle.store.peek().get(&cluster::key())).ok()??;
    ClusterRow::decode(&found).ok().map(|row| row.level)
}

/// Nobody is registered who can't follow it.
pub(super) fn followed(oracle: &Oracle) -> Result<(), Violation> {
    let Some(level) = of_cluster(oracle) else { return Ok(()) };
    for (_, value) in s8::all(oracle.store.peek().as_ref(), &registration::all()) {
        let Ok(row) = RegistrationRow::decode(&value) else { continue };
        if !(row.lowest_level..=row.highest_level).contains(&level) {
            let known = format!("{} to {}", row.lowest_level, row.highest_level);
            return fail(
                "feature levels",
                format!("{:?} follows {known}, and the cluster is at {level}", row.id),
            );
        }
    }
    Ok(())
}
