//! S8: no segment is missing that an extent refers to.

use std::collections::BTreeSet;

use super::{Violation, fail};
use crate::sim::oracle::Oracle;

const NAME: &str = "S8";

/// Every object of a live extent is in the bucket. (What is inline is deleted by nobody yet, and read by S4 and S1.)
pub(in crate::sim) fn kept(oracle: &Oracle) -> Result<(), Violation> {
    let names: BTreeSet<String> = oracle.bucket.names().into_iter().collect();
    for (id, log) in &oracle.logs {
        for extent in log.extents.values().filter(|extent| extent.end() > log.log_start) {
            let Some(segment) = extent.segment().filter(|segment| !segment.inline) else { continue };
            let name = segment.id.object_name();
            if !names.contains(&name) {
                return fail(NAME, format!("{id:?} at {}: {name} is gone", extent.base));
            }
        }
    }
    Ok(())
}
