//! The check of the layers; see `tests/layers.rs`.
