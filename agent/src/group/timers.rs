//! When which group has to be looked at, though no request comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone_configs::BrokerConfig;
use tokio::sync::Notify;

use super::Groups;

/// Groups that are looked at at once.
const AT_ONCE: usize = 32;

/// Times by group. Too early is harmless: then it is looked again later.
#[derive(Default)]
pub(super) struct Timers {
    due: Mutex<Due>,
    news: Notify,
}

#[derive(Default)]
struct Due {
    by_group: BTreeMap<String, Duration>,
    order: BTreeSet<(Duration, String)>,
}

impl Timers {
    /// Looks at the group at this time, or earlier.
    pub(super) fn arm(&self, group: &str, at: Duration) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        match due.by_group.get(group).copied() {
            Some(armed) if armed <= at => return,
            Some(armed) => _ = due.order.remove(&(armed, group.to_owned())),
            None => {}
        }
        due.by_group.insert(group.to_owned(), at);
        let first = due.order.first().is_none_or(|(first, _)| at < *first);
        due.order.insert((at, group.to_owned()));
        if first {
            self.news.notify_one();
        }
    }

    /// Groups whose time has come, taken out; else when the next one's comes.
    fn take(&self, now: Duration) -> Result<Vec<String>, Option<Duration>> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        while taken.len() < AT_ONCE
            && let Some((at, group)) = due.order.pop_first()
        {
            if at > now {
                due.order.insert((at, group));
                break;
            }
            due.by_group.remove(&group);
            taken.push(group);
        }
        if taken.is_empty() { Err(due.order.first().map(|(at, _)| *at)) } else { Ok(taken) }
    }
}

impl Groups {
    /// Lets time pass in all groups, also in those that have lost their coordinator. `config` gives the configs as they are; ends when there are none
    /// any more.
    pub async fn run(self: Arc<Self>, config: impl Fn() -> Option<Arc<BrokerConfig>> + Send + Sync) {
        tokio::select! {
            biased;
            () = self.look_when_due(&config) => {}
            () = self.take_orphans(&config) => {}
        }
    }

    async fn look_when_due(
        self: &Arc<Self>,
        config: &(impl Fn() -> Option<Arc<BrokerConfig>> + Send + Sync),
    ) {
        loop {
            match self.timers.take(self.started.elapsed()) {
                Ok(groups) => {
                    let Some(config) = config() else { return };
                    futures::future::join_all(groups.iter().map(|group| self.look(&config, group))).await;
                }
                Err(next) => {
                    let pause = async {
                        match next {
                            Some(at) => tokio::time::sleep_until(self.started + at).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = self.timers.news.notified() => {}
                        () = pause => {}
                    }
                }
            }
        }
    }

    async fn look(self: &Arc<Self>, config: &BrokerConfig, group: &str) {
        if !self.lock().contains_key(group) {
            return;
        }
        let looked =
            self.with(config, group, false, |loaded, now| loaded.machine.expire(&now.context())).await;
        if let Err(error) = looked {
            tracing::debug!(group, %error, "a group was not looked at");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_of_a_group_counts() {
        let timers = Timers::default();
        let at = Duration::from_secs;
        assert_eq!(timers.take(at(100)), Err(None));
        timers.arm("a", at(5));
        timers.arm("b", at(3));
        timers.arm("a", at(9));
        timers.arm("b", at(2));
        assert_eq!(timers.take(at(1)), Err(Some(at(2))));
        assert_eq!(timers.take(at(2)), Ok(vec!["b".to_owned()]));
        assert_eq!(timers.take(at(4)), Err(Some(at(5))));
        assert_eq!(timers.take(at(10)), Ok(vec!["a".to_owned()]));
        assert_eq!(timers.take(at(10)), Err(None));
    }
}
