//! Where a server keeps things: its metadata, in a file or a store that agents share, and the object store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use siltstone_objects::{Environment, Objects};
use siltstone_store::Store;
use siltstone_store::redb::{OpenError, RedbStore};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::settings::Settings;
use crate::settings::metadata_url::MetadataUrl;

/// The file of the metadata in the data directory.
pub(crate) const METADATA: &str = "metadata.redb";
/// How long the object store may take to answer at start.
const CHECK: Duration = Duration::from_secs(20);

/// Opens the metadata: the store that is named, or else the embedded one. What is asked of it is counted.
pub(in crate::command) async fn metadata(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    let store = match &settings.metadata_url {
        Some(url) => shared(settings, url).await,
        None => embedded(settings),
    };
    store.map(siltstone_store::counted::counted)
}

async fn shared(settings: &Settings, url: &MetadataUrl) -> Result<Arc<dyn Store>, Failure> {
    let store = match url.is_foundationdb() {
        true => foundationdb(url).await,
        false => postgres(settings, url).await,
    };
    store.map_err(|why| Failure::new(format!("the metadata store can't be used: {why}")))
}

#[cfg(feature = "postgres")]
async fn postgres(settings: &Settings, url: &MetadataUrl) -> Result<Arc<dyn Store>, String> {
    use siltstone_store::postgres::{Address, Options, PostgresStore};
    let mut address = Address::parse(url.whole().expose())?;
    if let Some(password) = &settings.metadata_password {
        address = address.with_password(password.expose());
    }
    let store = PostgresStore::open(address, Options::default()).await;
    Ok(Arc::new(store.map_err(|error| error.to_string())?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &Settings, url: &MetadataUrl) -> Result<Arc<dyn Store>, String> {
    Err(format!("this program was built without what {url} needs"))
}

#[cfg(feature = "foundationdb")]
async fn foundationdb(url: &MetadataUrl) -> Result<Arc<dyn Store>, String> {
    use siltstone_store::fdb::{Address, FdbStore, Options};
    let address = Address::parse(url.whole().expose())?;
    let store = FdbStore::open(address, Options::default()).await;
    Ok(Arc::new(store.map_err(|error| error.to_string())?))
}

#[cfg(not(feature = "foundationdb"))]
async fn foundationdb(url: &MetadataUrl) -> Result<Arc<dyn Store>, String> {
    Err(format!("this program was built without what {url} needs"))
}

/// Opens the metadata in the data directory, which is made if it is not there.
fn embedded(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    let data = Path::new(&settings.data);
    std::fs::create_dir_all(data)
        .map_err(|error| Failure::new(format!("the directory {} can't be made: {error}", data.display())))?;
    let store = RedbStore::open(data.join(METADATA), settings.metadata()).map_err(|error| match error {
        OpenError::InUse { .. } => Failure::new(format!(
            "another server runs on {}: stop it, or choose another directory with --data",
            data.display()
        )),
        other => Failure::new(other.to_string()),
    })?;
    Ok(Arc::new(store))
}

/// Opens the object store, and asks it for a sign of life if it is across a network.
pub(in crate::command) async fn objects(settings: &Settings) -> Result<Objects, Failure> {
    let options = settings.objects();
    let objects = Objects::open(&settings.store_url, &options, &Environment::of_process(), rand::random());
    let objects = objects.map_err(|error| Failure::new(error.to_string()))?;
    if settings.store_check && !settings.store_is_local() {
        objects.check(Instant::now() + CHECK).await.map_err(|error| Failure::new(error.to_string()))?;
    }
    Ok(objects)
}
