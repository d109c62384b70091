//! `siltstone compactor`: the background half of a cluster in a process of its own, of which any number may run.
//!
//! It takes a server's settings: those of the metadata, the object store, the HTTP port and `compactor.*` matter. It ends as a server does:
//! status 0 after SIGTERM or SIGINT, with its leases given up.

mod plan;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use siltstone_agent::telemetry::{self, Metrics};
use siltstone_compactor::worker::{Compactor, Progress};
use siltstone_log::ClusterRow;
use siltstone_metadata::lease;
use siltstone_objects::Objects;
use siltstone_store::Store;
use siltstone_store::redb::{OpenError, RedbStore};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::standalone::signals::{Signals, end_at_once};
use super::standalone::{METADATA, ambient, listeners, place, runtime};
use crate::args::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::logs;
use crate::settings::value::HostPort;
use crate::settings::{Settings, load};

/// How long what still runs at the end may take to notice.
const LAST: Duration = Duration::from_millis(200);

/// Arguments.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CompactorArgs {
    #[command(subcommand)]
    command: Option<CompactorCommand>,
    #[command(flatten)]
    server: ServerArgs,
}

/// What to do instead of working.
#[derive(Debug, Subcommand)]
pub enum CompactorCommand {
    /// Show what a compactor would do now, and why, without doing it.
    Plan(plan::PlanArgs),
}

/// Runs the command.
pub(crate) fn run(args: CompactorArgs) -> Outcome {
    if let Some(CompactorCommand::Plan(plan)) = args.command {
        return crate::client(plan::run(plan));
    }
    let settings = load(&args.server.flags())?.settings;
    logs::for_server(&settings);
    let runtime = runtime(&settings)?;
    let outcome = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(LAST);
    outcome
}

/// Whether another process has the embedded metadata open.
fn in_use(settings: &Settings) -> bool {
    let path = Path::new(&settings.data).join(METADATA);
    path.exists() && matches!(RedbStore::open(&path, settings.metadata()), Err(OpenError::InUse { .. }))
}

/// Opens metadata and objects of a cluster, for something that works beside its servers, or while they are stopped.
pub(crate) async fn open(settings: &Settings, what: &str) -> Result<(Arc<dyn Store>, Objects), Failure> {
    // Opening makes what is not there: a directory mistyped would become a cluster's.
    if settings.metadata_url.is_none() && !Path::new(&settings.data).join(METADATA).exists() {
        return Err(no_cluster(settings));
    }
    let store = place::metadata(settings).await.map_err(|failure| {
        if !in_use(settings) {
            return failure;
        }
        Failure::new(format!(
            "a running server has the metadata in {} open, and nobody can share that file with it: stop the server first{what}",
            settings.data
        ))
    })?;
    Ok((store, place::objects(settings).await?))
}

/// What the cluster is that `store` holds.
pub(crate) async fn cluster(store: &dyn Store, settings: &Settings) -> Result<ClusterRow, Failure> {
    let found = lease::existing_cluster(store).await.map_err(|error| Failure::new(error.to_string()))?;
    found.ok_or_else(|| no_cluster(settings))
}

fn no_cluster(settings: &Settings) -> Failure {
    let (place, what) = match &settings.metadata_url {
        Some(url) => (url.to_string(), "the metadata store of its agents with --metadata"),
        None => (settings.data.clone(), "a server's directory with --data"),
    };
    Failure::new(format!("no cluster was ever made in {place}: name {what}"))
}

async fn serve(settings: Settings) -> Outcome {
    let mut signals = Signals::new()?;
    let metrics = Metrics::install().map_err(|error| Failure::new(error.to_string()))?;
    siltstone_compactor::describe_metrics();
    let hint = "; it compacts by itself unless compactor.enabled=false";
    let (store, objects) = open(&settings, hint).await?;
    let (http, address) = listeners::http(&settings)?;
    greet(&settings, &address, objects.place())?;
    let progress = Arc::new(Progress::default());
    let mut watchers = JoinSet::new();
    let ready = progress.clone();
    watchers.spawn(metrics.clone().upkeep());
    watchers.spawn(telemetry::serve(
        TcpListener::from_std(http)?,
        metrics,
        Arc::new(move || ready.trouble().into()),
    ));
    let patience = settings.shutdown_timeout;
    let ambient = ambient::of_process();
    let compactor = Compactor { store, objects, ambient, settings: settings.compactor() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut work = JoinSet::new();
    work.spawn(async move {
        let until = async {
            // A dropped sender means the same.
            let _ = stopped.await;
        };
        compactor.run_watched(until, &progress).await;
    });
    signals.next().await;
    tracing::info!("stopping: giving up leases and registration");
    drop(stop);
    let clean = async { while work.join_next().await.is_some() {} };
    tokio::select! {
        biased;
        _ = tokio::time::timeout(patience, clean) => {}
        number = signals.next() => end_at_once(number),
    }
    work.shutdown().await;
    watchers.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

fn greet(settings: &Settings, http: &HostPort, objects: &str) -> Outcome {
    let (version, data) = (env!("CARGO_PKG_VERSION"), &settings.data);
    let text = format!(
        "siltstone {version}, a compactor\n\
         http      http://{http} (/metrics, /health, /ready)\n\
         metadata  {data}\n\
         objects   {objects}\n"
    );
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Nobody has to read this.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}
