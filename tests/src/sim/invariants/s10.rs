//! S10: at most one holder's writes take effect; for registrations: none after the end.

use std::collections::BTreeSet;

use siltstone_log::{Append, RegistrationId};

use super::{Violation, fail};

/// An append takes effect: its registration must not have ended in that shard.
pub(in crate::sim) fn alive(append: &Append, ended: &BTreeSet<RegistrationId>) -> Result<(), Violation> {
    if ended.contains(&append.registration) {
        return fail("S10", format!("{:?} appends after its end", append.registration));
    }
    Ok(())
}
