//! The control plane, over an agent with stores in memory: what its APIs answer, and that what they answer has happened.

mod configs;
mod kit;
mod records;
mod refusals;
mod topics;
mod zones;
