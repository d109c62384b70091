//! ListConfigResources, versions 0 and 1: what has configs. Version 0 asks for client metrics only, and there are none.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::list_config_resources::{Request, Response, response};

use super::config_change::Resource;
use super::context::Context;
use super::topics;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let asked: Vec<Option<Resource>> =
        request.resource_types.iter().map(|number| Resource::from_wire(*number)).collect();
    if asked.contains(&None) {
        return refuse(ErrorCode::UnsupportedVersion);
    }
    if version == 0 {
        return Response::default();
    }
    let wanted = |kind| asked.is_empty() || asked.contains(&Some(kind));
    let mut config_resources = Vec::new();
    if wanted(Resource::Topic) {
        match topics::catalog(cx).await {
            Ok(catalog) => config_resources.extend(catalog.topics().keys().map(|name| resource(2, name))),
            Err(refused) => return refuse(refused.code),
        }
    }
    if wanted(Resource::Broker) {
        let agents = cx.engine().agents();
        config_resources.extend(agents.iter().map(|agent| resource(4, &agent.row.node.to_string())));
    }
    Response { config_resources, ..Response::default() }
}

fn resource(resource_type: i8, name: &str) -> response::ConfigResource {
    response::ConfigResource { resource_name: name.to_owned(), resource_type }
}

fn refuse(code: ErrorCode) -> Response {
    Response { error_code: code.code(), ..Response::default() }
}
