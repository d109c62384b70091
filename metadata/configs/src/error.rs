//! Why a config, or a change of configs, is refused.

use thiserror::Error;

/// How much of a refused value an error repeats, in characters.
const SHOWN: usize = 120;

/// A config that can't be what somebody wants it to be. The caller tells its client; trying again doesn't help.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no config of this name.
    #[error("Unknown {resource} config name: {name}")]
    Unknown {
        /// "topic" or "broker".
        resource: &'static str,
        /// What was asked for, shortened if it is long.
        name: String,
    },
    /// The value is not of the config's kind, or not one that the config allows.
    #[error("Invalid value {value} for configuration {name}: {allowed}")]
    Invalid {
        /// The config.
        name: &'static str,
        /// The value, shortened if it is long, hidden if it is secret.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// Kafka allows the value; Siltstone would not do what it promises.
    #[error("Configuration {name} cannot be {value} here, only its default ({default}): {reason}")]
    Refused {
        /// The config.
        name: &'static str,
        /// The value, shortened if it is long, hidden if it is secret.
        value: String,
        /// The only value that is taken; "empty" and "unset" in words.
        default: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Two configs contradict each other.
    #[error("Configuration {low_name} ({low}) must not be greater than {high_name} ({high})")]
    Conflict {
        /// The config that must be the smaller one.
        low_name: &'static str,
        /// Its value.
        low: i64,
        /// The config that must be the larger one.
        high_name: &'static str,
        /// Its value.
        high: i64,
    },
}

/// Which of Kafka's two error codes a refused change is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// `INVALID_REQUEST`.
    InvalidRequest,
    /// `INVALID_CONFIG`.
    InvalidConfig,
}

/// Why a change of a topic's or broker's configs was refused. Nothing of the change applies.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AlterError {
    /// A value is missing where one is needed.
    #[error("A null value is not supported for: {}", .0.join(", "))]
    NullValues(Vec<String>),
    /// A config is named more than once in one change.
    #[error("The same config must not be named twice in one change: {}", .0.join(", "))]
    Duplicates(Vec<String>),
    /// APPEND or SUBTRACT on a config that is not a list.
    #[error("Can't {operation} to {name}: its type is not LIST")]
    NotAList {
        /// "APPEND" or "SUBTRACT".
        operation: &'static str,
        /// The config.
        name: &'static str,
    },
    /// A broker config that only the agent's own settings change, at its next start.
    #[error("Cannot update this config while the broker runs: {0}")]
    ReadOnly(&'static str),
    /// A broker config that is set for one broker, not for all.
    #[error("Cannot update this config for all brokers, a broker id must be given: {0}")]
    PerBroker(&'static str),
    /// A topic config that can't be so.
    #[error(transparent)]
    Topic(ConfigError),
    /// A broker config that can't be so.
    #[error(transparent)]
    Broker(ConfigError),
}

impl AlterError {
    /// The kind of error code that Kafka answers: a bad value is `INVALID_CONFIG` on a topic, `INVALID_REQUEST` on a broker.
    pub fn class(&self) -> ErrorClass {
        match self {
            AlterError::Topic(_) | AlterError::NotAList { .. } => ErrorClass::InvalidConfig,
            _ => ErrorClass::InvalidRequest,
        }
    }
}

/// The beginning of a text from outside, for use in an error: bounded, without control characters.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push_str("...");
    }
    short
}
