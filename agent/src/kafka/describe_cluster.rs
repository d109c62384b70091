//! DescribeCluster, versions 0 to 2.
//!
//! This is a listener for clients: who asks it for controllers is refused, as by a Kafka broker. No agent is ever fenced and listed.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_cluster::{Request, Response, response};

use super::context::Context;
use super::topics;
use crate::placement::Broker;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "This endpoint answers for brokers, not for controllers.";
            return refuse(ErrorCode::MismatchedEndpointType, message);
        }
        _ => return refuse(ErrorCode::UnsupportedEndpointType, "There is no such type of endpoint."),
    }
    let placement = topics::placement(cx);
    let broker = |broker: &Broker| response::Broker {
        broker_id: broker.node,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        rack: broker.zone.clone(),
        is_fenced: false,
    };
    let operations = if request.include_cluster_authorized_operations {
        topics::CLUSTER_OPERATIONS
    } else {
        topics::NO_OPERATIONS
    };
    Response {
        endpoint_type: BROKERS,
        cluster_id: cx.engine().cluster().cluster_id.clone(),
        controller_id: placement.controller().map_or(-1, |broker| broker.node),
        brokers: placement.brokers().iter().map(broker).collect(),
        cluster_authorized_operations: operations,
        ..Response::default()
    }
}

fn refuse(code: ErrorCode, message: &str) -> Response {
    Response { error_code: code.code(), error_message: Some(message.to_owned()), ..Response::default() }
}
