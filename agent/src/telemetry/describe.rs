//! What each metric of the agent means.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Describes the metrics of this crate and of those below it.
pub(super) fn all() {
    siltstone_objects::telemetry::describe();
    siltstone_zone::telemetry::describe();
    siltstone_store::counted::describe();
    siltstone_metadata::follow::telemetry::describe();
    produce();
    kafka();
}

fn kafka() {
    describe_counter!("siltstone_kafka_requests_total", "Requests answered, by api.");
    describe_histogram!(
        "siltstone_kafka_request_seconds",
        Unit::Seconds,
        "Time from a request's arrival to its answer, waiting for new records included, by api."
    );
    describe_counter!(
        "siltstone_kafka_errors_total",
        "Errors answered, one for each partition or request that got one, by api and error."
    );
    describe_gauge!("siltstone_kafka_connections", "Open connections.");
    describe_counter!("siltstone_kafka_received_bytes_total", Unit::Bytes, "Bytes of requests.");
    describe_counter!("siltstone_kafka_sent_bytes_total", Unit::Bytes, "Bytes of answers.");
    describe_counter!(
        "siltstone_kafka_zone_bytes_total",
        Unit::Bytes,
        "Bytes of Produce requests (direction received) and of fetched records (sent), by zone: that of the client is the same, another, or unknown."
    );
}

fn produce() {
    describe_gauge!(
        "siltstone_produce_buffered_bytes",
        Unit::Bytes,
        "Bytes of batches in the buffer, in no flush yet."
    );
    describe_histogram!(
        "siltstone_produce_buffer_seconds",
        Unit::Seconds,
        "Age of a flush's oldest batch when the flush began."
    );
    describe_histogram!(
        "siltstone_produce_build_seconds",
        Unit::Seconds,
        "Time from the beginning of a flush that goes into an object until its segment is put together, compressed where that pays."
    );
    describe_histogram!(
        "siltstone_produce_upload_seconds",
        Unit::Seconds,
        "Time to put a segment into the object store, retries included."
    );
    describe_histogram!(
        "siltstone_produce_commit_seconds",
        Unit::Seconds,
        "Time of a transaction that commits flushes."
    );
    describe_histogram!(
        "siltstone_produce_fold_seconds",
        Unit::Seconds,
        "Time from sending a commit until the own fold has passed it."
    );
    describe_counter!("siltstone_produce_flushes_total", "Flushes, by kind: inline or object.");
    describe_counter!(
        "siltstone_produce_flushed_bytes_total",
        Unit::Bytes,
        "Bytes of flushed segments, by kind: inline or object."
    );
    describe_counter!(
        "siltstone_produce_failed_flushes_total",
        "Flushes whose upload was given up; their producers were told to send again."
    );
    describe_gauge!(
        "siltstone_produce_circuit_open",
        "1 while nothing goes into object storage and producers are told so at once, by why: the store fails, or refuses."
    );
    describe_counter!(
        "siltstone_produce_turned_away_total",
        "Batches whose producers were told at once to send them again, because the object store takes nothing."
    );
}
