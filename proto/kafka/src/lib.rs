//! Kafka's protocol messages, generated from definitions of our own.
