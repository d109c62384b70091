//! IncrementalAlterConfigs, versions 0 and 1: changes what it names and leaves the rest.

use siltstone_configs::Operation;
use siltstone_kafka::ErrorCode;
use siltstone_kafka::incremental_alter_configs::{Request, Response, request, response};

use super::config_change::{self, Asked, Edit};
use super::context::Context;
use super::refused::{Refused, outcome};

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
    let edit = resource.configs.into_iter().map(change).collect::<Result<_, _>>().map(Edit::Change);
    Asked { kind: resource.resource_type, name: resource.resource_name, edit }
}

fn change(config: request::Config) -> Result<(String, Operation, Option<String>), Refused> {
    match Operation::from_wire(config.config_operation) {
        Some(operation) => Ok((config.name, operation, config.value)),
        None => {
            let message = format!("Unknown config operation {}", config.config_operation);
            // Kafka's code for it.
            Err(Refused::new(ErrorCode::UnknownServerError, message))
        }
    }
}
