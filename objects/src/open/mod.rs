//! From a URL, options and an environment to a store.

mod aws_profile;
mod connect;
mod environment;
mod remote;
mod s3;
mod url;

use std::sync::Arc;

use object_store::memory::InMemory;

use connect::Connector;
pub use environment::Environment;
pub use url::StoreUrl;

use crate::backend::Backend;
use crate::chance::Chance;
use crate::dir::Dir;
use crate::error::OpenError;
use crate::objects::Objects;
use crate::options::Options;
use crate::remote::{Remote, Reopen};

impl Objects {
    /// Opens `file:///dir`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `memory://`.
    ///
    /// Sends nothing yet: see [`Objects::check`]. A `file://` directory is made if it does not exist (this blocks for moments);
    /// every `memory://` is a store of its own. `seed` should be random, except in tests: jitter and temporary names come from it.
    pub fn open(
        url: &str,
        options: &Options,
        environment: &Environment,
        seed: u64,
    ) -> Result<Self, OpenError> {
        let failed = |problems: Vec<String>| OpenError { url: url.to_owned(), problems };
        let mut problems = options.validate();
        let parsed = match StoreUrl::parse(url) {
            Ok(parsed) => parsed,
            Err(problem) => {
                problems.push(problem);
                return Err(failed(problems));
            }
        };
        if !problems.is_empty() {
            return Err(failed(problems));
        }
        let backend = match &parsed {
            StoreUrl::File { dir } => Dir::open(dir, seed)
                .map(Backend::Dir)
                .map_err(|error| failed(vec![format!("url: {}: {error}", dir.display())]))?,
            StoreUrl::Memory => Backend::Remote(Remote::new(Arc::new(InMemory::new()), "")),
            StoreUrl::S3 { prefix, .. }
            | StoreUrl::Google { prefix, .. }
            | StoreUrl::Azure { prefix, .. } => {
                let chance = Arc::new(Chance::new(seed));
                let reopen = reopening(parsed.clone(), options.clone(), environment.clone(), chance);
                Backend::Remote(Remote::reopening(reopen, prefix).map_err(failed)?)
            }
        };
        let at = options.endpoint.as_ref().map_or(String::new(), |endpoint| format!(" at {endpoint}"));
        Ok(Self::over(backend, format!("{parsed}{at}"), &options.requests, seed))
    }
}

/// Opens a cloud's store again and again: profiles, token files and whoever gives credentials out are asked anew each time.
fn reopening(url: StoreUrl, options: Options, environment: Environment, chance: Arc<Chance>) -> Reopen {
    Arc::new(move || {
        let connector = Connector::new(&options, Arc::clone(&chance));
        match &url {
            StoreUrl::S3 { bucket, .. } => s3::open(bucket, &options, &environment, connector),
            StoreUrl::Google { bucket, .. } => remote::open_google(bucket, &options, &environment, connector),
            StoreUrl::Azure { container, .. } => {
                remote::open_azure(container, &options, &environment, connector)
            }
            StoreUrl::File { .. } | StoreUrl::Memory => Err(vec!["url: names no cloud".to_owned()]),
        }
    })
}
