//! From a URL, options and an environment to a store.

mod aws_profile;
mod environment;
mod remote;
mod s3;
mod url;

use std::sync::Arc;

use object_store::memory::InMemory;

pub use environment::Environment;
pub use url::StoreUrl;

use crate::backend::Backend;
use crate::dir::Dir;
use crate::error::OpenError;
use crate::objects::Objects;
use crate::options::Options;
use crate::remote::Remote;

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
            StoreUrl::S3 { bucket, prefix } => {
                let store = s3::open(bucket, options, environment).map_err(failed)?;
                Backend::Remote(Remote::new(store, prefix))
            }
            StoreUrl::Google { bucket, prefix } => {
                let store = remote::open_google(bucket, options, environment).map_err(failed)?;
                Backend::Remote(Remote::new(store, prefix))
            }
            StoreUrl::Azure { container, prefix } => {
                let store = remote::open_azure(container, options, environment).map_err(failed)?;
                Backend::Remote(Remote::new(store, prefix))
            }
        };
        let at = options.endpoint.as_ref().map_or(String::new(), |endpoint| format!(" at {endpoint}"));
        Ok(Self::over(backend, format!("{parsed}{at}"), &options.requests, seed))
    }
}
