//! ListPartitionReassignments, version 0: there never are any, as partitions have no replicas that could move.

use siltstone_kafka::list_partition_reassignments::{Request, Response};

use super::context::Context;

pub(super) async fn handle(_cx: &Context, _version: i16, _request: Request) -> Response {
    Response { error_message: None, ..Response::default() }
}
