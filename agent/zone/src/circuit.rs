//! Who is not asked for a while, because it failed. Pure: time is an argument, since whatever moment.

use std::collections::BTreeMap;
use std::time::Duration;

use siltstone_log::RegistrationId;

/// So many failures in a row, and an agent is left alone.
const MOST_FAILURES: u32 = 3;
/// For so long at first; twice as long after each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// More agents than are there now, and those that went are forgotten.
const SPARE: usize = 16;

/// One agent's failures.
#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    /// Not to be asked before this.
    until: Duration,
}

impl Circuit {
    fn pause(&self) -> Duration {
        let further = self.failures.saturating_sub(MOST_FAILURES);
        FIRST_PAUSE.saturating_mul(1 << further.min(10)).min(LONGEST_PAUSE)
    }
}

/// The failures of all agents that have failed.
#[derive(Debug, Default)]
pub(crate) struct Circuits {
    failed: BTreeMap<RegistrationId, Circuit>,
}

impl Circuits {
    /// Whether to ask an agent. Of one that was left alone for its time one caller at a time finds out whether it is well.
    pub(crate) fn may_ask(&mut self, agent: RegistrationId, now: Duration) -> bool {
        let Some(circuit) = self.failed.get_mut(&agent) else { return true };
        if circuit.failures < MOST_FAILURES {
            return true;
        }
        let due = now >= circuit.until;
        if due {
            // Whatever becomes of this one, another may try after the pause.
            circuit.until = now + circuit.pause();
        }
        due
    }

    /// It answered.
    pub(crate) fn succeeded(&mut self, agent: RegistrationId) {
        self.failed.remove(&agent);
    }

    /// It did not. Whether it is left alone from now on, and was not before. `there`: the agents that are there now.
    pub(crate) fn failed(
        &mut self,
        agent: RegistrationId,
        now: Duration,
        there: impl Fn(RegistrationId) -> bool,
        count: usize,
    ) -> bool {
        if self.failed.len() > count + SPARE {
            self.failed.retain(|id, _| there(*id));
        }
        let circuit = self.failed.entry(agent).or_default();
        circuit.failures = circuit.failures.saturating_add(1);
        if circuit.failures >= MOST_FAILURES {
            circuit.until = circuit.until.max(now + circuit.pause());
        }
        circuit.failures == MOST_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: RegistrationId = RegistrationId(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(circuits: &mut Circuits, now: Duration) -> bool {
        circuits.failed(A, now, |_| true, 1)
    }

    #[test]
    fn three_failures_and_it_is_left_alone_for_a_while() {
        let mut circuits = Circuits::default();
        assert!(!fail(&mut circuits, at(0)) && !fail(&mut circuits, at(0)));
        assert!(circuits.may_ask(A, at(0)));
        assert!(fail(&mut circuits, at(1)), "now it is");
        assert!(!circuits.may_ask(A, at(2)));
        assert!(circuits.may_ask(A, at(3)), "one may try");
        assert!(!circuits.may_ask(A, at(3)), "one");
        assert!(!fail(&mut circuits, at(4)), "it was before");
        assert!(!circuits.may_ask(A, at(7)) && circuits.may_ask(A, at(8)), "for longer now");
        circuits.succeeded(A);
        assert!(circuits.may_ask(A, at(8)) && circuits.may_ask(A, at(8)));
        assert!(circuits.may_ask(RegistrationId(2), at(0)), "others are not concerned");
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let mut circuits = Circuits::default();
        for agent in 0..1000 {
            circuits.failed(RegistrationId(agent), at(0), |id| id == A, 1);
        }
        assert!(circuits.failed.len() <= 1 + SPARE + 1, "{}", circuits.failed.len());
        assert!(circuits.failed.contains_key(&A));
    }

    proptest! {
        #[test]
        fn nobody_is_left_alone_for_longer_than_the_longest_pause(events in prop::collection::vec((any::<bool>(), 0u64..40), 1..60)) {
            let mut circuits = Circuits::default();
            let mut now = 0;
            for (failure, later) in events {
                now += later;
                if failure {
                    fail(&mut circuits, at(now));
                } else {
                    circuits.may_ask(A, at(now));
                }
                let until = circuits.failed.get(&A).map_or(Duration::ZERO, |circuit| circuit.until);
                prop_assert!(until <= at(now) + LONGEST_PAUSE);
            }
        }
    }
}
