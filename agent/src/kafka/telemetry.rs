//! What an operator sees of the protocol.
//!
//! `siltstone_kafka_requests_total{api}`, `siltstone_kafka_request_seconds{api}`, `siltstone_kafka_errors_total{api,error}` (one for each
//! partition or request that got the error), `siltstone_kafka_connections`, `siltstone_kafka_received_bytes_total`,
//! `siltstone_kafka_sent_bytes_total`, `siltstone_kafka_zone_bytes_total{direction,zone}`.

use siltstone_kafka::{ApiKey, ErrorCode, Response};
use tokio::time::Instant;

/// A request came.
pub(super) fn received(bytes: usize) {
    metrics::counter!("siltstone_kafka_received_bytes_total").increment(bytes as u64 + 4);
}

/// Answers leave.
pub(super) fn sent(bytes: usize) {
    metrics::counter!("siltstone_kafka_sent_bytes_total").increment(bytes as u64);
}

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Produced.
    Received,
    /// Fetched.
    Sent,
}

/// Where a client is, seen from this agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distance {
    /// In the same zone.
    Same,
    /// In another zone: somebody pays for what crosses.
    Other,
    /// The client's zone is not known, or this agent has none.
    Unknown,
}

impl Distance {
    /// Between a client's zone and an agent's.
    pub(super) fn between(client: Option<&str>, agent: &str) -> Distance {
        match client {
            Some(_) if agent.is_empty() => Distance::Unknown,
            Some(client) if client == agent => Distance::Same,
            Some(_) => Distance::Other,
            None => Distance::Unknown,
        }
    }
}

/// Data went between this agent and a client: Produce requests, and the records of answers to Fetch.
pub(super) fn crossed(direction: Direction, distance: Distance, bytes: usize) {
    if bytes == 0 {
        return;
    }
    let direction = match direction {
        Direction::Received => "received",
        Direction::Sent => "sent",
    };
    let zone = match distance {
        Distance::Same => "same",
        Distance::Other => "other",
        Distance::Unknown => "unknown",
    };
    metrics::counter!("siltstone_kafka_zone_bytes_total", "direction" => direction, "zone" => zone)
        .increment(bytes as u64);
}

/// A request was answered.
pub(super) fn answered(api: ApiKey, began: Instant) {
    metrics::counter!("siltstone_kafka_requests_total", "api" => api.name()).increment(1);
    metrics::histogram!("siltstone_kafka_request_seconds", "api" => api.name())
        .record(began.elapsed().as_secs_f64());
}

/// Counts a response's errors.
pub(super) fn errors(response: &Response) {
    let api = response.api().name();
    let count = |code: i16| {
        if code != 0 {
            let name = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError).name();
            metrics::counter!("siltstone_kafka_errors_total", "api" => api, "error" => name).increment(1);
        }
    };
    match response {
        Response::Produce(r) => {
            r.responses.iter().flat_map(|t| &t.partition_responses).for_each(|p| count(p.error_code));
        }
        Response::Fetch(r) => {
            count(r.error_code);
            r.responses.iter().flat_map(|t| &t.partitions).for_each(|p| count(p.error_code));
        }
        Response::ListOffsets(r) => {
            r.topics.iter().flat_map(|t| &t.partitions).for_each(|p| count(p.error_code));
        }
        Response::Metadata(r) => r.topics.iter().for_each(|t| count(t.error_code)),
        Response::OffsetForLeaderEpoch(r) => {
            r.topics.iter().flat_map(|t| &t.partitions).for_each(|p| count(p.error_code));
        }
        Response::CreateTopics(r) => r.topics.iter().for_each(|t| count(t.error_code)),
        Response::DeleteTopics(r) => r.responses.iter().for_each(|t| count(t.error_code)),
        Response::ApiVersions(r) => count(r.error_code),
        Response::InitProducerId(r) => count(r.error_code),
        _ => {}
    }
}

/// An open connection, as long as it lives.
pub(super) struct Connected;

impl Connected {
    pub(super) fn new() -> Self {
        metrics::gauge!("siltstone_kafka_connections").increment(1.0);
        Connected
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        metrics::gauge!("siltstone_kafka_connections").decrement(1.0);
    }
}
