//! Topics and their configs.

use siltstone_kafka::{
    create_partitions, create_topics, delete_topics, describe_configs, incremental_alter_configs,
};

use super::cluster::PATIENCE;
use super::error::check;
use super::{Client, Error};

/// Kafka's number for "a topic" among the things that have configs.
const TOPIC: i8 = 2;
/// The last version of DeleteTopics that takes plain names.
const DELETE_BY_NAME: i16 = 5;

/// A topic to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None`: the server's default.
    pub partitions: Option<i32>,
    /// The replication factor; `None`: the server's default.
    pub replication: Option<i16>,
    /// Configs, by name.
    pub configs: Vec<(String, String)>,
}

/// A change of one config: a value, or `None` to go back to the default.
pub type ConfigChange = (String, Option<String>);

/// A config as a server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it has none or may not be shown.
    pub value: Option<String>,
    /// Where the value is from, as Kafka numbers it: 1 is the topic itself, 5 the default.
    pub source: i8,
}

impl ConfigEntry {
    /// Whether it is set on the topic itself.
    pub fn is_own(&self) -> bool {
        self.source == 1
    }

    /// The source in words.
    pub fn source_name(&self) -> &'static str {
        match self.source {
            1 => "topic",
            2 => "broker",
            3 => "cluster",
            4 => "server settings",
            5 => "default",
            _ => "unknown",
        }
    }
}

fn timeout() -> i32 {
    i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX)
}

impl Client {
    /// Creates a topic.
    ///
    /// # Errors
    /// Why not.
    pub async fn create_topic(&self, new: &NewTopic) -> Result<(), Error> {
        let config = |(name, value): &(String, String)| create_topics::request::Config {
            name: name.clone(),
            value: Some(value.clone()),
        };
        let topic = create_topics::request::Topic {
            name: new.name.clone(),
            num_partitions: new.partitions.unwrap_or(-1),
            replication_factor: new.replication.unwrap_or(-1),
            configs: new.configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request =
            create_topics::Request { topics: vec![topic], timeout_ms: timeout(), validate_only: false };
        let answer = self.ask(&request, i16::MAX).await?;
        let result = |topic: &create_topics::response::Topic| {
            check(
                || format!("topic {} was not created", new.name),
                topic.error_code,
                topic.error_message.as_deref(),
            )
        };
        answer.topics.iter().try_for_each(result)
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// Why not.
    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let request = delete_topics::Request {
            topic_names: vec![name.to_owned()],
            timeout_ms: timeout(),
            ..Default::default()
        };
        let answer = self.ask(&request, DELETE_BY_NAME).await?;
        let result = |topic: &delete_topics::response::Topic| {
            check(
                || format!("topic {name} was not deleted"),
                topic.error_code,
                topic.error_message.as_deref(),
            )
        };
        answer.responses.iter().try_for_each(result)
    }

    /// Raises a topic's number of partitions to `count`.
    ///
    /// # Errors
    /// Why not.
    pub async fn grow_topic(&self, name: &str, count: i32) -> Result<(), Error> {
        let topic = create_partitions::request::Topic { name: name.to_owned(), count, ..Default::default() };
        let request = create_partitions::Request {
            topics: vec![create_partitions::request::Topic { assignments: None, ..topic }],
            timeout_ms: timeout(),
            validate_only: false,
        };
        let answer = self.ask(&request, i16::MAX).await?;
        let result = |topic: &create_partitions::response::Topic| {
            check(
                || format!("topic {name} was not changed"),
                topic.error_code,
                topic.error_message.as_deref(),
            )
        };
        answer.results.iter().try_for_each(result)
    }

    /// Changes a topic's configs, all or none.
    ///
    /// # Errors
    /// Why not.
    pub async fn alter_topic(&self, name: &str, changes: &[ConfigChange]) -> Result<(), Error> {
        use incremental_alter_configs::request::{Config, Resource};
        let config = |(name, value): &ConfigChange| Config {
            name: name.clone(),
            config_operation: i8::from(value.is_none()),
            value: value.clone(),
        };
        let resource = Resource {
            resource_type: TOPIC,
            resource_name: name.to_owned(),
            configs: changes.iter().map(config).collect(),
        };
        let request = incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
        let answer = self.ask(&request, i16::MAX).await?;
        let result = |done: &incremental_alter_configs::response::Resource| {
            check(|| format!("topic {name} was not changed"), done.error_code, done.error_message.as_deref())
        };
        answer.responses.iter().try_for_each(result)
    }

    /// A topic's configs, all of them, by name.
    ///
    /// # Errors
    /// Why not.
    pub async fn topic_configs(&self, name: &str) -> Result<Vec<ConfigEntry>, Error> {
        use describe_configs::request::Resource;
        let resource =
            Resource { resource_type: TOPIC, resource_name: name.to_owned(), configuration_keys: None };
        let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
        let answer = self.ask(&request, i16::MAX).await?;
        let mut configs = Vec::new();
        for found in answer.results {
            check(|| format!("configs of topic {name}"), found.error_code, found.error_message.as_deref())?;
            configs.extend(found.configs.into_iter().map(|config| ConfigEntry {
                name: config.name,
                value: config.value,
                source: config.config_source,
            }));
        }
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(configs)
    }
}
