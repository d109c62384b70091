//! Which agents are alive, as this one last saw it. Other roles than agents are left out: no client has anything to ask them.
//!
//! Good for telling clients where to go; not for decisions that must be right, which read the registration itself.

use std::sync::{Arc, Mutex, PoisonError};

use siltstone_log::Role;
use tokio::time::Instant;

use super::Member;

/// The agents that were there when somebody last looked, by node id, each once: of two lives of one agent the later.
#[derive(Debug)]
pub struct Roster {
    agents: Mutex<Arc<Vec<Member>>>,
    in_touch: Mutex<Instant>,
}

impl Default for Roster {
    fn default() -> Self {
        Roster { agents: Mutex::default(), in_touch: Mutex::new(Instant::now()) }
    }
}

impl Roster {
    /// When this agent last gave a sign of life that others can see; when it began, before the first. After a lease's time without one, others do its work.
    pub fn in_touch(&self) -> Instant {
        *self.in_touch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of life was given now.
    pub(super) fn touched(&self) {
        *self.in_touch.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// As last told; empty before the first time. As long as nothing changes it is the same list, in the same place.
    pub fn agents(&self) -> Arc<Vec<Member>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in who is alive, of whatever role.
    pub fn tell(&self, mut agents: Vec<Member>) {
        agents.retain(|agent| agent.row.role == Role::Agent);
        // The same on all agents that saw the same.
        agents.sort_by_key(|Member { row, .. }| (row.node, std::cmp::Reverse(row.started), row.id));
        agents.dedup_by_key(|agent| agent.row.node);
        let mut known = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if **known != agents {
            *known = Arc::new(agents);
        }
    }
}

#[cfg(test)]
mod tests {
    use siltstone_log::{RegistrationId, RegistrationRow, Standing};

    use super::*;
    use crate::tests::kit::registration_row;

    fn member(id: u128, node: u32, started: i64, role: Role) -> Member {
        let row = RegistrationRow { node, started, role, ..registration_row(RegistrationId(id)) };
        Member { row, standing: Standing::FULL }
    }

    #[test]
    fn a_former_life_is_not_listed_nor_is_what_is_no_agent() {
        let roster = Roster::default();
        let all = vec![
            member(3, 2, 10, Role::Agent),
            member(2, 1, 10, Role::Agent),
            member(4, u32::MAX, 10, Role::Compactor),
            member(1, 2, 20, Role::Agent),
        ];
        roster.tell(all.clone());
        let first = roster.agents();
        assert_eq!(first.iter().map(|agent| agent.row.id.0).collect::<Vec<_>>(), [2, 1]);
        roster.tell(all.into_iter().rev().collect());
        assert!(Arc::ptr_eq(&first, &roster.agents()), "nothing has changed");
        let drains = Member { standing: Standing::DRAINING, ..first[0].clone() };
        roster.tell(vec![drains.clone()]);
        assert_eq!(*roster.agents(), [drains]);
    }
}
