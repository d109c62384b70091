//! gRPC between agents: HTTP/2, over TLS with certificates on both sides where that is configured.
//!
//! [`Links`] asks, [`serve`] answers. Guarantees of the listener: connections, requests of each, the size of messages and the bytes of answers on their way are
//! bounded; a request is over by its asker's deadline; one who says nothing, or reads nothing, is let go. Without TLS whoever reaches the
//! listener can read segments.

mod activity;
mod links;
mod server;
mod service;
mod tls;

pub use links::Links;
pub use server::{ServerLimits, serve};
pub use service::Pages;
pub use tls::{Tls, TlsError, TlsFiles};
