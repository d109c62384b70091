//! Changing configs, for AlterConfigs and IncrementalAlterConfigs.
//!
//! Every resource is changed as a whole or not at all, in one transaction that decides on what it read. A resource that a request names twice is not
//! changed. The answer comes once this agent's catalog has what was changed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use siltstone_configs::{
    AlterError, BrokerLayers, Change, Level, Operation, Overrides, alter_broker, alter_topic, replace_broker,
    replace_topic, topic_name,
};
use siltstone_kafka::ErrorCode;
use siltstone_metadata::catalog::CatalogError;
use tokio::time::Instant;

use super::context::Context;
use super::refused::Refused;
use super::topics;

/// These requests carry no timeout.
const PATIENCE: Duration = Duration::from_secs(30);

/// What configs belong to, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Topic,
    Broker,
    Logger,
    ClientMetrics,
    Group,
}

impl Resource {
    pub(super) fn from_wire(number: i8) -> Option<Resource> {
        match number {
            2 => Some(Resource::Topic),
            4 => Some(Resource::Broker),
            8 => Some(Resource::Logger),
            16 => Some(Resource::ClientMetrics),
            32 => Some(Resource::Group),
            _ => None,
        }
    }

    /// Why configs of this kind are neither shown nor changed.
    pub(super) fn why_not(self) -> &'static str {
        match self {
            Resource::Topic | Resource::Broker => "",
            Resource::Logger => "What an agent logs is set by its own settings, not by requests.",
            Resource::ClientMetrics => {
                "Client metrics are not collected here: there is nothing to configure."
            }
            Resource::Group => "Groups have no configs of their own here.",
        }
    }
}

/// The answer to a kind of resource that Kafka doesn't have.
pub(super) fn unknown(number: i8) -> Refused {
    Refused::new(ErrorCode::InvalidRequest, format!("Unknown resource type {number}"))
}

/// Whose configs a broker resource's name means: this agent's, or with `None` those of all.
pub(super) fn broker(cx: &Context, name: &str) -> Result<Option<String>, Refused> {
    if name.is_empty() {
        return Ok(None);
    }
    let node = cx.engine().registration().node;
    match name.parse::<u32>() {
        Ok(number) if number == node => Ok(Some(node.to_string())),
        Ok(number) => {
            let message = format!("Unexpected broker id {number}: this is {node}; empty means all.");
            Err(Refused::new(ErrorCode::InvalidRequest, message))
        }
        Err(_) => Err(Refused::new(ErrorCode::InvalidRequest, "A broker id must be a whole number.")),
    }
}

/// What to do with a resource's configs.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    /// Exactly these are set afterwards.
    Replace(Vec<(String, Option<String>)>),
    /// These are changed, the others stay.
    Change(Vec<(String, Operation, Option<String>)>),
}

impl Edit {
    fn topic(&self, current: &Overrides, layers: BrokerLayers<'_>) -> Result<Overrides, AlterError> {
        match self {
            Edit::Replace(entries) => replace_topic(&pairs(entries), layers),
            Edit::Change(changes) => alter_topic(current, &borrowed(changes), layers),
        }
    }

    fn broker(&self, level: Level, layers: BrokerLayers<'_>) -> Result<Overrides, AlterError> {
        match self {
            Edit::Replace(entries) => replace_broker(level, &pairs(entries), layers),
            Edit::Change(changes) => alter_broker(level, &borrowed(changes), layers),
        }
    }
}

fn pairs(entries: &[(String, Option<String>)]) -> Vec<(&str, Option<&str>)> {
    entries.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
}

fn borrowed(changes: &[(String, Operation, Option<String>)]) -> Vec<Change<'_>> {
    changes
        .iter()
        .map(|(name, operation, value)| Change { name, operation: *operation, value: value.as_deref() })
        .collect()
}

/// One resource of a request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) kind: i8,
    pub(super) name: String,
    /// What to do, or why that is nothing that can be done.
    pub(super) edit: Result<Edit, Refused>,
}

/// Changes the resources, each or not. Results are in their order.
pub(super) async fn apply(cx: &Context, asked: &[Asked], validate_only: bool) -> Vec<Result<(), Refused>> {
    let deadline = Instant::now() + PATIENCE;
    let key = |asked: &Asked| (asked.kind, asked.name.clone());
    let twice = &topics::twice(asked.iter().map(key));
    let act = |asked: &Asked| {
        // Owned: a future that borrows from the request is one that the compiler can't prove to be Send.
        let asked = asked.clone();
        async move {
            if twice.contains(&(asked.kind, asked.name.clone())) {
                let message = "Each resource must appear at most once.";
                return Err(Refused::new(ErrorCode::InvalidRequest, message));
            }
            topics::in_time(deadline, one(cx, asked, validate_only)).await
        }
    };
    let mut results = topics::each(asked.iter().collect(), act).await;
    if validate_only || results.iter().all(Result::is_err) {
        return results;
    }
    if let Err(refused) = topics::in_time(deadline, cx.engine().catalog().fresh()).await {
        results.iter_mut().filter(|result| result.is_ok()).for_each(|result| *result = Err(refused.clone()));
    }
    results
}

async fn one(cx: &Context, asked: Asked, validate_only: bool) -> Result<(), Refused> {
    let edit = asked.edit?;
    match Resource::from_wire(asked.kind) {
        Some(Resource::Topic) => topic(cx, &asked.name, &edit, validate_only).await,
        Some(Resource::Broker) => {
            let node = broker(cx, &asked.name)?;
            of_broker(cx, node.as_deref(), &edit, validate_only).await
        }
        Some(other) => Err(Refused::new(ErrorCode::InvalidRequest, other.why_not())),
        None => Err(unknown(asked.kind)),
    }
}

async fn topic(cx: &Context, name: &str, edit: &Edit, validate_only: bool) -> Result<(), Refused> {
    if name.is_empty() {
        return Err(Refused::new(ErrorCode::InvalidRequest, "A topic's configs need the topic's name."));
    }
    topic_name::validate(name)?;
    let judge = |current: &Overrides| cx.with_layers(|layers| edit.topic(current, layers));
    if validate_only {
        let catalog = topics::catalog(cx).await?;
        let row = catalog.topic(name).ok_or_else(|| Refused::no_topic(name))?;
        return judge(&row.configs).map(drop).map_err(Refused::from);
    }
    let verdict = Verdict::default();
    let change = |row: &mut siltstone_log::TopicRow| {
        row.configs = verdict.keep(judge(&row.configs))?;
        Ok(())
    };
    let changed = cx.engine().changes().alter(name, change).await;
    match changed {
        Err(CatalogError::NoTopic) => Err(Refused::no_topic(name)),
        other => verdict.tell(other.map(drop)),
    }
}

async fn of_broker(
    cx: &Context,
    node: Option<&str>,
    edit: &Edit,
    validate_only: bool,
) -> Result<(), Refused> {
    let level = if node.is_some() { Level::Broker } else { Level::Cluster };
    let node = node.unwrap_or_default();
    let judge = |current: &Overrides| {
        cx.with_layers(|layers| {
            let layers = match level {
                Level::Broker => BrokerLayers { broker: current, ..layers },
                Level::Cluster => BrokerLayers { cluster: current, ..layers },
            };
            edit.broker(level, layers)
        })
    };
    if validate_only {
        let catalog = topics::catalog(cx).await?;
        let none = BTreeMap::new();
        let current = catalog.broker(node).map_or(&none, AsRef::as_ref);
        return judge(current).map(drop).map_err(Refused::from);
    }
    let verdict = Verdict::default();
    let change = |configs: &mut Overrides| {
        *configs = verdict.keep(judge(configs))?;
        Ok(())
    };
    let changed = cx.engine().changes().alter_broker(node, change).await;
    verdict.tell(changed)
}

/// Why a change was refused, kept beside the transaction, whose error says it in words only.
#[derive(Debug, Default)]
struct Verdict(Mutex<Option<AlterError>>);

impl Verdict {
    fn keep<T>(&self, judged: Result<T, AlterError>) -> Result<T, CatalogError> {
        judged.map_err(|error| {
            let text = error.to_string();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            CatalogError::Refused(text)
        })
    }

    fn tell(self, changed: Result<(), CatalogError>) -> Result<(), Refused> {
        match (changed, self.0.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            (Err(CatalogError::Refused(_)), Some(error)) => Err(error.into()),
            (other, _) => other.map_err(Refused::from),
        }
    }
}
