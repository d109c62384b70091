//! The service as it is generated from `protos/pages.proto`.
#![allow(missing_docs, clippy::all, reason = "generated; the .proto file says what it means")]

include!(concat!(env!("OUT_DIR"), "/siltstone.peer.v1.rs"));
