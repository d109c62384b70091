//! What every API handler is given.

use std::net::SocketAddr;
use std::sync::Arc;

use siltstone_configs::{BrokerConfig, BrokerLayers, Overrides, TopicConfig};
use siltstone_log::TopicRow;

use super::resolved::Resolved;
use crate::engine::Engine;

/// What all connections of a listener share.
#[derive(Debug)]
pub struct Broker {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Broker configs that come from this agent's settings, under Kafka's names.
    pub fixed: Overrides,
    resolved: Resolved,
}

impl Broker {
    /// A broker over an engine, with the broker configs of this agent's settings.
    pub fn new(engine: Arc<Engine>, fixed: Overrides) -> Arc<Self> {
        Arc::new(Broker { engine, fixed, resolved: Resolved::default() })
    }

    /// Calls `f` with the layers of broker configs as they are now.
    pub fn with_layers<R>(&self, f: impl FnOnce(BrokerLayers<'_>) -> R) -> R {
        let catalog = self.engine.catalog().state();
        let empty = Overrides::new();
        let node = self.engine.registration().node.to_string();
        let broker = catalog.broker(&node);
        let cluster = catalog.broker("");
        f(BrokerLayers {
            broker: broker.map_or(&empty, |configs| configs),
            cluster: cluster.map_or(&empty, |configs| configs),
            fixed: &self.fixed,
        })
    }

    /// The broker's configs as they are now.
    pub fn broker_config(&self) -> Arc<BrokerConfig> {
        self.resolved.broker(self)
    }

    /// A topic's configs, all layers taken into account.
    pub fn topic_config(&self, topic: &TopicRow) -> Arc<TopicConfig> {
        self.resolved.topic(self, topic)
    }
}

/// Who asks, and of whom.
#[derive(Debug, Clone)]
pub struct Context {
    /// What all connections share.
    pub broker: Arc<Broker>,
    /// Number of the connection, unique in this process.
    pub connection: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// The request's client id.
    pub client_id: Option<String>,
}

impl Context {
    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.broker.engine
    }

    /// Calls `f` with the layers of broker configs as they are now.
    pub fn with_layers<R>(&self, f: impl FnOnce(BrokerLayers<'_>) -> R) -> R {
        self.broker.with_layers(f)
    }
}
