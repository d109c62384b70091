//! Configs, resolved once per version of the catalog and not once per request.
//!
//! Guarantees that what is answered belongs to the catalog as this agent knows it at the call. Bounded by the number of topics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_configs::{BrokerConfig, TopicConfig};
use siltstone_log::{TopicId, TopicRow};
use siltstone_metadata::catalog::CatalogState;

use super::context::Broker;

#[derive(Debug, Default)]
struct Known {
    /// What the rest was resolved with.
    catalog: Option<Arc<CatalogState>>,
    broker: Option<Arc<BrokerConfig>>,
    topics: BTreeMap<TopicId, Arc<TopicConfig>>,
}

/// The cache.
#[derive(Debug, Default)]
pub(super) struct Resolved(Mutex<Known>);

impl Resolved {
    /// Calls `f` with what is known of the present catalog.
    fn with<R>(&self, broker: &Broker, f: impl FnOnce(&mut Known) -> R) -> R {
        let now = broker.engine.catalog().state();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.catalog.as_ref().is_some_and(|catalog| Arc::ptr_eq(catalog, &now)) {
            *known = Known { catalog: Some(now), ..Known::default() };
        }
        f(&mut known)
    }

    pub(super) fn broker(&self, broker: &Broker) -> Arc<BrokerConfig> {
        self.with(broker, |known| {
            let resolve = || Arc::new(broker.with_layers(BrokerConfig::resolve));
            known.broker.get_or_insert_with(resolve).clone()
        })
    }

    pub(super) fn topic(&self, broker: &Broker, topic: &TopicRow) -> Arc<TopicConfig> {
        self.with(broker, |known| {
            let resolve =
                || Arc::new(broker.with_layers(|layers| TopicConfig::resolve(&topic.configs, layers)));
            known.topics.entry(topic.id).or_insert_with(resolve).clone()
        })
    }
}
