//! AlterConfigs, versions 0 to 2: the older call, which replaces all that is set for a resource.

use siltstone_kafka::alter_configs::{Request, Response, request, response};

use super::config_change::{self, Asked, Edit};
use super::context::Context;
use super::refused::outcome;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let asked: Vec<Asked> = request.resources.into_iter().map(asked).collect();
    let results = config_change::apply(cx, &asked, request.validate_only).await;
    let responses = asked.into_iter().zip(results).map(|(asked, result)| {
        let (error_code, error_message) = outcome(&result);
        response::Resource { error_code, error_message, resource_type: asked.kind, resource_name: asked.name }
    });
    Response { responses: responses.collect(), ..Response::default() }
}

fn asked(resource: request::Resource) -> Asked {
    let entries = resource.configs.into_iter().map(|config| (config.name, config.value)).collect();
    Asked { kind: resource.resource_type, name: resource.resource_name, edit: Ok(Edit::Replace(entries)) }
}
