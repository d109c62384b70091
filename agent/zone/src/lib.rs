//! A zone's page cache: the agents of a zone read each page of a segment from the bucket once, and from each other after that.
//!
//! ```text
//! objects/cache ─ a page is missing ─▶ Zone ─ whose is it? ─┬─ ours, or nobody's ─────────▶ object store
//!                                                           └─ another agent's ─ Transport ─▶ its cache ─▶ object store
//!                                                                     └ late, or wrong: ───▶ object store
//! ```
//!
//! [`Zone`] is what stands between the page cache and the object store. Guarantees: a read succeeds whenever the object store alone could
//! have served it, later by no more than the patience with an owner; what an owner says is checked for length and checksum; an agent that serves another never asks a
//! third. Everything that it decides is advice about where to read bytes that never change, so that two agents may disagree about who is there.
//!
//! [`grpc`] is the transport of real agents; [`Transport`] is what a test or a simulation puts in its place. Deliberately not here: who is alive
//! (the caller says so), inline segments (they are read from the metadata store), blocks that are read by themselves: these are one partition's, and a partition has one agent in a zone.

mod circuit;
pub mod grpc;
mod hot;
mod owner;
mod source;
pub mod telemetry;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_peer::Ask;

pub use owner::{Neighbour, owner, page_key};
pub use source::{Zone, ZoneParts};

/// The agents of the zone as of now, this one among them if it serves others. Asked for with every page that is missing.
pub type Neighbours = Arc<dyn Fn() -> Arc<Vec<Neighbour>> + Send + Sync>;

/// Who an agent is to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: String,
    /// Its incarnation.
    pub incarnation: u128,
    /// This agent's life.
    pub own: RegistrationId,
}

/// How agents ask each other.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Asks an agent: exactly the bytes that were asked for, or an error. Ends by itself soon after the ask's patience has run out; may be dropped
    /// at any moment.
    async fn read(&self, neighbour: &Neighbour, ask: &Ask) -> Result<Bytes, AskError>;
}

/// Why another agent gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It is well, and could not read this. Read it yourself: you may reach what it does not.
    #[error("it could not read it: {0}")]
    Unread(String),
    /// It does not answer, answers rubbish, is full, or is somebody else. Read it yourself, and leave that agent alone for a while.
    #[error("{0}")]
    Failed(String),
}
