//! UpdateFeatures, versions 0 to 2: the levels that clients see are those of Kafka 4.2 and fixed.
//!
//! Asking for the level that holds succeeds, so that upgrade scripts pass; anything else is refused. Siltstone's own feature level is another matter
//! and not raised by this request.

use siltstone_configs::features;
use siltstone_kafka::ErrorCode;
use siltstone_kafka::update_features::{Request, Response, request, response};

use super::context::Context;
use super::refused::{Refused, outcome};

/// From this version on there is one code for all features.
const ONE_CODE: i16 = 2;

pub(super) async fn handle(_cx: &Context, version: i16, request: Request) -> Response {
    let judged: Vec<(String, Result<(), Refused>)> = request
        .feature_updates
        .into_iter()
        .map(|update| {
            let result = judge(&update);
            (update.feature, result)
        })
        .collect();
    if version >= ONE_CODE {
        let first = judged.iter().find(|(_, result)| result.is_err());
        let (error_code, error_message) =
            first.map_or_else(|| (ErrorCode::None.code(), None), |(_, result)| outcome(result));
        return Response { error_code, error_message, ..Response::default() };
    }
    let results = judged.into_iter().map(|(feature, result)| {
        let (error_code, error_message) = outcome(&result);
        response::Feature { feature, error_code, error_message }
    });
    Response { results: results.collect(), error_message: None, ..Response::default() }
}

fn judge(update: &request::FeatureUpdate) -> Result<(), Refused> {
    let name = &update.feature;
    match features::find(name) {
        Some(feature) if feature.level == update.max_version_level => Ok(()),
        Some(feature) => {
            let message = format!("The level of feature {name} is {} and can't be changed.", feature.level);
            Err(Refused::new(ErrorCode::FeatureUpdateFailed, message))
        }
        None => {
            let message = format!("There is no feature {name} here.");
            Err(Refused::new(ErrorCode::InvalidUpdateVersion, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(feature: &str, max_version_level: i16) -> Option<ErrorCode> {
        let update =
            request::FeatureUpdate { feature: feature.to_owned(), max_version_level, ..Default::default() };
        judge(&update).err().map(|refused| refused.code)
    }

    #[test]
    fn only_the_level_that_holds_can_be_asked_for() {
        assert_eq!(judged("transaction.version", 2), None);
        assert_eq!(judged("transaction.version", 1), Some(ErrorCode::FeatureUpdateFailed));
        assert_eq!(judged("share.version", 1), Some(ErrorCode::InvalidUpdateVersion));
    }
}
