//! ApiVersions, versions 0 to 4: what is served, and the finalized features (KIP-35, KIP-511, KIP-584).

use siltstone_configs::features;
use siltstone_kafka::api_versions::response::{ApiVersion, FinalizedFeature, SupportedFeature};
use siltstone_kafka::api_versions::{Request, Response};
use siltstone_kafka::{ApiKey, ErrorCode};

use super::context::Context;
use super::dispatch::SERVED;

/// The first version that names the client's software.
const NAMES_SOFTWARE: i16 = 3;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let named = [&request.client_software_name, &request.client_software_version];
    if version >= NAMES_SOFTWARE && !named.into_iter().all(|name| is_software_name(name)) {
        return Response { error_code: ErrorCode::InvalidRequest.code(), ..Response::default() };
    }
    let finalized = features::finalized().map(|feature| FinalizedFeature {
        name: feature.name.to_owned(),
        max_version_level: feature.level,
        min_version_level: feature.level,
    });
    let supported = features::supported(version).map(|feature| SupportedFeature {
        name: feature.name.to_owned(),
        min_version: feature.min,
        max_version: feature.max,
    });
    Response {
        api_keys: SERVED.iter().copied().map(entry).collect(),
        supported_features: supported.collect(),
        // Changes only when the features do, and then for all agents alike.
        finalized_features_epoch: i64::from(cx.engine().catalog().state().level()),
        finalized_features: finalized.collect(),
        ..Response::default()
    }
}

/// The answer to a version that isn't known: it is written in version 0, and tells which versions are (KIP-511).
pub(super) fn unsupported() -> Response {
    Response {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![entry(ApiKey::ApiVersions)],
        ..Response::default()
    }
}

fn entry(api: ApiKey) -> ApiVersion {
    let versions = api.advertised();
    ApiVersion { api_key: api.code(), min_version: *versions.start(), max_version: *versions.end() }
}

/// KIP-511: letters, digits, `-` and `.`, of which the last two neither begin nor end it.
fn is_software_name(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'.';
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|c| inner(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_as_kip_511_has_them() {
        for good in ["librdkafka", "apache-kafka-java", "4.2.0", "a", "a..b"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä", "a\n"] {
            assert!(!is_software_name(bad), "{bad:?}");
        }
    }
}
