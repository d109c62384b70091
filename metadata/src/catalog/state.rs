//! The catalog in memory: a fold over rows and log entries. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_log::{CatalogEntry, Configs, Position, TopicId, TopicRow};

/// The catalog as of a position in its log. Cheap to clone: readers keep the version that they began with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogState {
    position: Position12,
    topics: BTreeMap<String, Arc<TopicRow>>,
    ids: BTreeMap<TopicId, Arc<TopicRow>>,
    brokers: BTreeMap<String, Arc<Configs>>,
    level: u32,
}

/// [`Position`] with a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position12(Position);

impl Default for Position12 {
    fn default() -> Self {
        Position12(Position::ZERO)
    }
}

impl CatalogState {
    /// An empty catalog as of `position`.
    pub fn new(position: Position, level: u32) -> Self {
        CatalogState { position: Position12(position), level, ..CatalogState::default() }
    }

    /// Entries up to here are in.
    pub fn position(&self) -> Position {
        self.position.0
    }

    /// The feature level.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// A topic by its name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicRow>> {
        self.topics.get(name)
    }

    /// A topic by its id.
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<TopicRow>> {
        self.ids.get(&id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> &BTreeMap<String, Arc<TopicRow>> {
        &self.topics
    }

    /// Configs set for a node, or with an empty name for all.
    pub fn broker(&self, node: &str) -> Option<&Arc<Configs>> {
        self.brokers.get(node)
    }

    /// Takes an entry in; one that is in already changes nothing.
    pub fn apply(&mut self, position: Position, entry: CatalogEntry) {
        if position <= self.position.0 {
            return;
        }
        self.position = Position12(position);
        match entry {
            CatalogEntry::Topic(row) => self.put(row),
            CatalogEntry::Removed { id, name } => self.remove(id, &name),
            CatalogEntry::Broker { node, configs } => self.put_broker(node, configs),
            CatalogEntry::Feature { level } => self.level = self.level.max(level),
        }
    }

    /// Puts a topic in, replacing the one of that name.
    pub fn put(&mut self, row: TopicRow) {
        let row = Arc::new(row);
        if let Some(old) = self.topics.insert(row.name.clone(), row.clone()) {
            self.ids.remove(&old.id);
        }
        self.ids.insert(row.id, row);
    }

    fn remove(&mut self, id: TopicId, name: &str) {
        self.ids.remove(&id);
        if self.topics.get(name).is_some_and(|row| row.id == id) {
            self.topics.remove(name);
        }
    }

    /// Sets a node's configs; empty ones remove it.
    pub fn put_broker(&mut self, node: String, configs: Configs) {
        if configs.is_empty() {
            self.brokers.remove(&node);
        } else {
            self.brokers.insert(node, Arc::new(configs));
        }
    }
}
