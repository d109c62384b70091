//! Kafka record batches (magic 2): views, validation, compression, building.
