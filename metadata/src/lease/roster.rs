//! Which agents are alive, as this one last saw it. Other roles than agents are left out: no client has anything to ask them.
//!
//! Good for telling clients where to go; not for decisions that must be right, which read the registration itself.

use std::sync::{Arc, Mutex, PoisonError};

use siltstone_log::{RegistrationRow, Role};

/// The agents that were there when somebody last looked, by node id, each once: of two lives of one agent the later.
#[derive(Debug, Default)]
pub struct Roster(Mutex<Arc<Vec<RegistrationRow>>>);

impl Roster {
    /// As last told; empty before the first time.
    pub fn agents(&self) -> Arc<Vec<RegistrationRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in who is alive, of whatever role.
    pub fn tell(&self, mut agents: Vec<RegistrationRow>) {
        agents.retain(|row| row.role == Role::Agent);
        // The same on all agents that saw the same.
        agents.sort_by_key(|agent| (agent.node, std::cmp::Reverse(agent.started), agent.id));
        agents.dedup_by_key(|agent| agent.node);
        let agents = Arc::new(agents);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = agents;
    }
}

#[cfg(test)]
mod tests {
    use siltstone_log::RegistrationId;

    use super::*;

    #[test]
    fn a_former_life_is_not_listed_nor_is_what_is_no_agent() {
        let row = |id: u128, node: u32, started: i64, role: Role| RegistrationRow {
            id: RegistrationId(id),
            node,
            started,
            zone: String::new(),
            host: "h".to_owned(),
            port: 1,
            lowest_level: 1,
            highest_level: u32::MAX,
            role,
        };
        let roster = Roster::default();
        let compactor = row(4, u32::MAX, 10, Role::Compactor);
        roster.tell(vec![
            row(3, 2, 10, Role::Agent),
            row(2, 1, 10, Role::Agent),
            compactor,
            row(1, 2, 20, Role::Agent),
        ]);
        let listed: Vec<_> = roster.agents().iter().map(|agent| agent.id.0).collect();
        assert_eq!(listed, [2, 1]);
    }
}
