//! What every API handler is given.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_configs::{BrokerConfig, BrokerLayers, Overrides, TopicConfig};
use siltstone_log::TopicRow;
use siltstone_records::Scratch;

use super::held::Room;
use super::resolved::Resolved;
use super::sessions::Sessions;
use super::telemetry::Distance;
use crate::engine::Engine;
use crate::zones::Client;

/// Bytes that unsent fetch answers of all connections may hold, unless settings say otherwise.
const ANSWER_BYTES: usize = 256 << 20;
const DESCRIPTION_BYTES: usize = 64 << 20;

/// What all connections share, whichever listener they came through: one for each engine.
#[derive(Debug)]
pub struct Broker {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Broker configs that come from this agent's settings, under Kafka's names.
    pub fixed: Overrides,
    resolved: Resolved,
    connections: AtomicU64,
    pub(super) sessions: Sessions,
    /// For answers with records.
    pub(super) answers: Arc<Room>,
    /// For the others that are large.
    pub(super) descriptions: Arc<Room>,
    pub(super) scratches: Scratches,
}

impl Broker {
    /// A broker over an engine, with the broker configs of this agent's settings.
    pub fn new(engine: Arc<Engine>, fixed: Overrides) -> Arc<Self> {
        Self::with_memory(engine, fixed, ANSWER_BYTES, DESCRIPTION_BYTES)
    }

    /// The same, with bounds on the bytes that unsent answers may hold: those of fetches, and others that are large.
    pub fn with_memory(
        engine: Arc<Engine>,
        fixed: Overrides,
        answer_bytes: usize,
        description_bytes: usize,
    ) -> Arc<Self> {
        let broker = Arc::new(Broker {
            engine,
            fixed,
            resolved: Resolved::default(),
            connections: AtomicU64::new(1),
            sessions: Sessions::default(),
            answers: Room::new("limits.answer_bytes", answer_bytes),
            descriptions: Room::new("limits.description_bytes", description_bytes),
            scratches: Scratches::default(),
        });
        let weak = Arc::downgrade(&broker);
        let config = move || weak.upgrade().map(|broker| broker.broker_config());
        let engine = &broker.engine;
        engine.run(engine.groups().clone().run(config.clone()));
        engine.run(engine.groups().clone().expire(config.clone()));
        engine.run(engine.sweeper().run(config));
        broker
    }

    /// A number for a connection that no other has: the writer goes by it.
    pub(super) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
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
    /// The listener that the client came through; the first one has no name.
    pub listener: Arc<str>,
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

    /// How far the client is from this agent.
    pub(super) fn zones(&self, rack: Option<&str>) -> Distance {
        Distance::between(self.zone(rack), &self.engine().settings().zone)
    }

    /// The zone that the client is in, if it is known; `rack` is its `client.rack`, where the request tells it.
    pub fn zone<'a>(&'a self, rack: Option<&'a str>) -> Option<&'a str> {
        let (address, id) = (self.peer.ip(), self.client_id.as_deref());
        let client = Client { address, listener: &self.listener, id, rack };
        self.engine().settings().presence.zones.zone(&client)
    }
}

/// Decompressors that wait for their next use, few enough that they never weigh.
#[derive(Default)]
pub(super) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    const MOST: usize = 8;

    /// Takes one, or makes it.
    pub(super) fn take(&self) -> Scratch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives it back.
    pub(super) fn put(&self, scratch: Scratch) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < Self::MOST {
            idle.push(scratch);
        }
    }
}

impl std::fmt::Debug for Scratches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratches")
    }
}
