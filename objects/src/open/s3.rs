//! S3 and what speaks its protocol. First decides, purely, where settings come from; then builds the store.
//!
//! Order of credentials: settings, profile from settings, keys in the environment, web identity, `AWS_PROFILE` or the profile
//! `default`, container, instance. Web identity comes before a profile that nobody named, as it is set for this very process.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

use super::aws_profile::Profile;
use super::connect::Connector;
use super::environment::Environment;
use super::remote::{client_options, no_retries};
use crate::options::Options;

/// Variables that are handed on as they are.
const HANDED_ON: [(&str, Key); 7] = [
    ("AWS_ENDPOINT_URL_STS", Key::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Key::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Key::MetadataEndpoint),
    ("AWS_METADATA_ENDPOINT", Key::MetadataEndpoint),
    ("AWS_IMDSV1_FALLBACK", Key::ImdsV1Fallback),
];

/// The first way to credentials that is there.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Anonymous,
    Keys {
        id: String,
        secret: String,
        token: Option<String>,
    },
    WebIdentity {
        token_file: String,
        role: String,
        session: Option<String>,
    },
    /// Container or instance: the builder finds out which.
    Surroundings,
}

/// Everything that settings, environment and profile decide together.
#[derive(Debug)]
struct Decided {
    way: Way,
    endpoint: Option<String>,
    region: Option<String>,
    unsigned: bool,
    virtual_host: bool,
}

/// Builds the store. The error lists problems.
pub(super) fn open(
    bucket: &str,
    options: &Options,
    environment: &Environment,
    connector: Connector,
) -> Result<Arc<dyn ObjectStore>, Vec<String>> {
    let decided = decide(bucket, options, environment)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_retry(no_retries())
        .with_client_options(client_options(options))
        .with_http_connector(connector)
        .with_allow_http(options.allow_http)
        .with_unsigned_payload(decided.unsigned)
        .with_virtual_hosted_style_request(decided.virtual_host);
    for (variable, key) in HANDED_ON {
        if let Some(value) = environment.get(variable) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = decided.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = decided.region {
        builder = builder.with_region(region);
    }
    builder = match decided.way {
        Way::Anonymous => builder.with_skip_signature(true),
        Way::Keys { id, secret, token } => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            token.into_iter().fold(builder, |builder, token| builder.with_token(token))
        }
        Way::WebIdentity { token_file, role, session } => {
            let builder =
                builder.with_config(Key::WebIdentityTokenFile, token_file).with_config(Key::RoleArn, role);
            session.into_iter().fold(builder, |builder, name| builder.with_config(Key::RoleSessionName, name))
        }
        Way::Surroundings => builder,
    };
    let store = builder.build().map_err(|error| vec![format!("s3: {error}")])?;
    Ok(Arc::new(store))
}

fn decide(bucket: &str, options: &Options, environment: &Environment) -> Result<Decided, Vec<String>> {
    let (way, profile) = way(options, environment).map_err(|problem| vec![problem])?;
    let from_profile = |setting: &str| profile.as_ref().and_then(|p| p.get(setting)).map(str::to_owned);
    let variable = |name: &str| environment.get(name).map(str::to_owned);
    let endpoint = options.endpoint.clone();
    let endpoint =
        endpoint.or_else(|| variable("AWS_ENDPOINT_URL_S3")).or_else(|| variable("AWS_ENDPOINT_URL"));
    let endpoint = endpoint.or_else(|| from_profile("endpoint_url"));
    let plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:"));
    if plain && !options.allow_http {
        return Err(vec!["allow_http: must be set for an endpoint without TLS".into()]);
    }
    let virtual_host = options.virtual_host.unwrap_or(endpoint.is_none() && !bucket.contains('.'));
    // The builder wants the bucket in the endpoint then.
    let endpoint = match (&endpoint, virtual_host) {
        (Some(given), true) => Some(with_bucket(given, bucket)),
        _ => endpoint,
    };
    let region = options.region.clone().or_else(|| variable("AWS_REGION"));
    let region = region.or_else(|| variable("AWS_DEFAULT_REGION")).or_else(|| from_profile("region"));
    Ok(Decided { way, endpoint, region, unsigned: options.unsigned_payload.unwrap_or(!plain), virtual_host })
}

fn with_bucket(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{}", host.trim_end_matches('/')),
        None => endpoint.to_owned(),
    }
}

/// The way to credentials, and the profile that was looked at: it may also know region and endpoint.
fn way(options: &Options, environment: &Environment) -> Result<(Way, Option<Profile>), String> {
    let named = options.profile.as_deref().or_else(|| environment.get("AWS_PROFILE"));
    let profile = Profile::read(named.unwrap_or("default"), environment)?;
    if let (Some(named), None) = (named, &profile) {
        return Err(format!("profile: {named} is in neither of AWS's files"));
    }
    let usable = |profile: &Profile| profile.unusable().map_or(Ok(()), Err);
    if options.anonymous {
        return Ok((Way::Anonymous, profile));
    }
    if let Some(keys) = &options.credentials {
        let token = keys.session_token.as_ref().map(|token| token.expose().to_owned());
        let secret = keys.secret_access_key.expose().to_owned();
        return Ok((Way::Keys { id: keys.access_key_id.clone(), secret, token }, profile));
    }
    if let (Some(named), Some(found)) = (&options.profile, &profile) {
        usable(found)?;
        let way = of_profile(found)
            .ok_or_else(|| format!("profile: {named} holds neither keys nor a web identity"))?;
        return Ok((way, profile));
    }
    if let Some(way) = of_variables(environment)? {
        return Ok((way, profile));
    }
    if let Some(found) = &profile {
        usable(found)?;
        if let Some(way) = of_profile(found) {
            return Ok((way, profile));
        }
    }
    Ok((Way::Surroundings, profile))
}

fn of_variables(environment: &Environment) -> Result<Option<Way>, String> {
    let variable = |name: &str| environment.get(name).map(str::to_owned);
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            return Ok(Some(Way::Keys { id, secret, token: variable("AWS_SESSION_TOKEN") }));
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err("AWS_SECRET_ACCESS_KEY: is missing, though AWS_ACCESS_KEY_ID is set".into());
        }
        (None, Some(_)) => {
            return Err("AWS_ACCESS_KEY_ID: is missing, though AWS_SECRET_ACCESS_KEY is set".into());
        }
    }
    Ok(match (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN")) {
        (Some(token_file), Some(role)) => {
            Some(Way::WebIdentity { token_file, role, session: variable("AWS_ROLE_SESSION_NAME") })
        }
        _ => None,
    })
}

fn of_profile(profile: &Profile) -> Option<Way> {
    let setting = |name: &str| profile.get(name).map(str::to_owned);
    if let (Some(id), Some(secret)) = (setting("aws_access_key_id"), setting("aws_secret_access_key")) {
        return Some(Way::Keys { id, secret, token: setting("aws_session_token") });
    }
    let (token_file, role) = (setting("web_identity_token_file")?, setting("role_arn")?);
    Some(Way::WebIdentity { token_file, role, session: setting("role_session_name") })
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
