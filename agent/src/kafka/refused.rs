//! What is wrong with one item of a request: the code and the message of that item's answer.

use siltstone_configs::AlterError;
use siltstone_configs::topic_name::TopicNameError;
use siltstone_kafka::ErrorCode;
use siltstone_metadata::catalog::{CatalogError, CatalogReadError};
use siltstone_metadata::erase::EraseError;
use siltstone_metadata::follow::ShardError;
use siltstone_metadata::trim::TrimError;

use super::errors;

/// A topic, partition or resource that a request named, and that was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// For programs.
    pub(super) code: ErrorCode,
    /// For people.
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Refused { code, message: message.into() }
    }

    /// There is no topic of this name.
    pub(super) fn no_topic(name: &str) -> Self {
        Refused::new(ErrorCode::UnknownTopicOrPartition, format!("There is no topic '{name}'."))
    }

    /// What was asked for may still happen.
    pub(super) fn late() -> Self {
        Refused::new(ErrorCode::RequestTimedOut, "Not done within the request's timeout; it may still be.")
    }
}

/// The error code and message of an answer's item.
pub(super) fn outcome<T>(result: &Result<T, Refused>) -> (i16, Option<String>) {
    match result {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(refused) => (refused.code.code(), Some(refused.message.clone())),
    }
}

impl From<CatalogError> for Refused {
    fn from(error: CatalogError) -> Self {
        Refused::new(errors::catalog(&error), error.to_string())
    }
}

impl From<CatalogReadError> for Refused {
    fn from(error: CatalogReadError) -> Self {
        Refused::new(errors::catalog_read(&error), error.to_string())
    }
}

impl From<ShardError> for Refused {
    fn from(error: ShardError) -> Self {
        Refused::new(errors::shard(&error), error.to_string())
    }
}

impl From<EraseError> for Refused {
    fn from(error: EraseError) -> Self {
        Refused::new(errors::erase(&error), error.to_string())
    }
}

impl From<AlterError> for Refused {
    fn from(error: AlterError) -> Self {
        Refused::new(errors::alter(&error), error.to_string())
    }
}

impl From<TopicNameError> for Refused {
    fn from(error: TopicNameError) -> Self {
        Refused::new(errors::topic_name(&error), error.to_string())
    }
}

impl From<TrimError> for Refused {
    fn from(error: TrimError) -> Self {
        Refused::new(errors::trim(&error), error.to_string())
    }
}
