//! The agent: produce, fetch and the Kafka protocol.
