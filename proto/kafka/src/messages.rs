//! The generated messages, one module per API, and the tables over them.
#![allow(clippy::too_many_lines, reason = "generated: as long as the message has fields")]

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
