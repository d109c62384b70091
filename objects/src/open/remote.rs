//! Google's and Azure's stores, and what all HTTP stores share.

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::{ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};

use super::connect::Connector;
use super::environment::Environment;
use crate::options::Options;

/// Retrying is ours (see `attempt`), so that deadlines, hedges and jitter are in one place.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// The rest of them is the [`Connector`]'s.
pub(super) fn client_options(options: &Options) -> ClientOptions {
    ClientOptions::new().with_allow_http(options.allow_http)
}

pub(super) fn open_google(
    bucket: &str,
    options: &Options,
    environment: &Environment,
    connector: Connector,
) -> Result<Arc<dyn ObjectStore>, Vec<String>> {
    refuse_s3_options(options)?;
    if options.credentials.is_some() {
        return Err(vec!["credentials: gs:// takes google_service_account instead".into()]);
    }
    let mut builder = GoogleCloudStorageBuilder::new();
    for (variable, value) in environment.beginning("GOOGLE_") {
        if let Ok(key) = variable.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let file = environment.get("SERVICE_ACCOUNT").map(str::to_owned);
    let file = options.google_service_account.as_ref().map(|path| path.display().to_string()).or(file);
    if let Some(file) = file {
        builder = builder.with_service_account_path(file);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if options.anonymous {
        // Skipping the signature is not enough: its puts ask for a token all the same.
        let nobody = GcpCredential { bearer: String::new() };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
    }
    let builder = builder
        .with_bucket_name(bucket)
        .with_skip_signature(options.anonymous)
        .with_retry(no_retries())
        .with_client_options(client_options(options))
        .with_http_connector(connector);
    Ok(Arc::new(builder.build().map_err(|error| vec![format!("gs: {error}")])?))
}

pub(super) fn open_azure(
    container: &str,
    options: &Options,
    environment: &Environment,
    connector: Connector,
) -> Result<Arc<dyn ObjectStore>, Vec<String>> {
    refuse_s3_options(options)?;
    let mut builder = MicrosoftAzureBuilder::new();
    for (variable, value) in environment.beginning("AZURE_") {
        if let Ok(key) = variable.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = environment.get("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    if let Some(keys) = &options.credentials {
        builder = builder.with_account(&keys.access_key_id).with_access_key(keys.secret_access_key.expose());
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let mut builder = builder
        .with_container_name(container)
        .with_retry(no_retries())
        .with_client_options(client_options(options))
        .with_http_connector(connector);
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    Ok(Arc::new(builder.build().map_err(|error| vec![format!("az: {error}")])?))
}

/// An option that would be passed over is an error: who set it meant something.
fn refuse_s3_options(options: &Options) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let set = [
        ("region", options.region.is_some()),
        ("profile", options.profile.is_some()),
        ("virtual_host", options.virtual_host.is_some()),
        ("unsigned_payload", options.unsigned_payload.is_some()),
    ];
    for (name, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
        problems.push(format!("{name}: has a meaning only for s3://"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
