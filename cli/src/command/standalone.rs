//! `siltstone standalone`: a whole server in one process.
//!
//! ```text
//! settings ▸ metadata file ▸ object store ▸ listeners ▸ engine ▸ serve … registration over? a new engine, same listeners … stop
//! ```
//!
//! It ends with status 0 after SIGTERM or SIGINT, with 1 and a sentence if it can't begin, and with 128 + the signal's number if a second
//! signal asks for an end at once.

pub(super) mod ambient;
mod greeting;
pub(super) mod listeners;
pub(super) mod place;
pub(super) mod signals;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone_agent::engine::{Engine, Foundations, StartError};
use siltstone_agent::kafka::{self, Broker};
use siltstone_agent::neighbours::Peering;
use siltstone_agent::telemetry::{self, Metrics, Ready};
use siltstone_compactor::worker::Compactor;
use siltstone_zone::grpc::{self, Links, Tls};
use tokio::task::JoinSet;

use crate::args::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::logs;
use crate::settings::value::HostPort;
use crate::settings::{Settings, load};
use listeners::Listeners;
pub(crate) use place::METADATA;
use signals::Signals;

/// Threads that may block at once, on the disk mostly.
const BLOCKING_THREADS: usize = 32;
/// Pause before a new engine is tried again.
const RESTART: Duration = Duration::from_millis(200);
const LONGEST_RESTART: Duration = Duration::from_secs(5);

/// Runs the command.
pub(crate) fn run(args: &ServerArgs) -> Outcome {
    let settings = load(&args.flags())?.settings;
    if let Some(url) = &settings.metadata_url {
        return Err(Failure::new(format!(
            "a standalone server keeps its metadata to itself: for {url}, which others may share, run `siltstone agent`"
        )));
    }
    run_with(settings)
}

/// Runs a server with these settings, until a signal comes.
pub(super) fn run_with(settings: Settings) -> Outcome {
    logs::for_server(&settings);
    let runtime = runtime(&settings)?;
    let outcome = runtime.block_on(serve(settings));
    // Nothing is left that matters: the store closes with the last handle on it, in `serve`.
    runtime.shutdown_timeout(RESTART);
    outcome
}

/// The threads of a process that serves.
pub(super) fn runtime(settings: &Settings) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers(settings))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("siltstone")
        .enable_all()
        .build()
}

fn workers(settings: &Settings) -> usize {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    if settings.workers == 0 { processors.max(2) } else { settings.workers }
}

async fn serve(settings: Settings) -> Outcome {
    let mut signals = Signals::new()?;
    let metrics = Metrics::install().map_err(|error| Failure::new(error.to_string()))?;
    siltstone_compactor::describe_metrics();
    let store = place::metadata(&settings).await?;
    let objects = place::objects(&settings).await?;
    let listeners = Listeners::bind(&settings)?;
    let foundations = Foundations { store, objects, ambient: ambient::of_process() };
    let advertised = settings.advertised(&listeners.kafka_address);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut background = JoinSet::new();
    if settings.compactor {
        let Foundations { store, objects, ambient } = foundations.clone();
        let compactor = Compactor { store, objects, ambient, settings: settings.compactor() };
        let until = async {
            // A dropped sender means the same.
            let _ = stopped.await;
        };
        background.spawn(compactor.run_until(until));
    }
    let tls = settings.peer_tls().map(Tls::open).transpose();
    let tls = tls.map_err(|error| Failure::new(format!("peer.certificate: {error}")))?.map(Arc::new);
    let mut watchers = JoinSet::new();
    if let Some(tls) = &tls {
        watchers.spawn(tls.clone().keep_fresh());
    }
    let server = Server { settings, foundations, listeners, advertised, tls, state: Arc::default() };
    let http = server.listeners.http()?;
    let state = server.state.clone();
    watchers.spawn(metrics.clone().upkeep());
    watchers.spawn(telemetry::serve(http, metrics, Arc::new(move || state.ready())));
    let patience = server.settings.shutdown_timeout;
    let outcome = server.run(&mut signals).await;
    drop(stop);
    let clean = async { while background.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, clean).await.is_err() {
        background.shutdown().await;
    }
    watchers.shutdown().await;
    outcome
}

/// What `/ready` goes by.
#[derive(Debug, Default)]
struct State {
    engine: Mutex<Option<Arc<Engine>>>,
    stopping: AtomicBool,
}

impl State {
    fn set(&self, engine: Option<Arc<Engine>>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    fn ready(&self) -> Ready {
        if self.stopping.load(Ordering::Relaxed) {
            return Ready::No("stopping".to_owned());
        }
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(engine) = engine else { return Ready::No("starting".to_owned()) };
        match (engine.trouble(), engine.writer().outage()) {
            (Some(trouble), _) => Ready::No(trouble),
            (None, Some(outage)) => Ready::But(outage),
            (None, None) => Ready::Yes,
        }
    }
}

struct Server {
    settings: Settings,
    foundations: Foundations,
    listeners: Listeners,
    advertised: HostPort,
    /// For other agents.
    tls: Option<Arc<Tls>>,
    state: Arc<State>,
}

/// How an engine's life ended.
enum Life {
    /// A signal came.
    Stopped,
    /// Its registration is over: others took it for dead, or the metadata was not to be had for long.
    Over,
}

impl Server {
    /// Serves, under one registration after the other, until a signal comes.
    async fn run(self, signals: &mut Signals) -> Outcome {
        let mut first = true;
        loop {
            let engine = tokio::select! {
                biased;
                _ = signals.next() => return Ok(()),
                engine = self.begin(first) => engine?,
            };
            if first {
                greeting::print(&self.settings, &self.listeners, &self.advertised, &self.foundations)?;
            }
            first = false;
            let name = format!("{:?}", engine.registration().id);
            tracing::info!(registration = name, node = engine.registration().node, advertised = %self.advertised, "serving");
            match self.live(engine, signals).await? {
                Life::Stopped => return Ok(()),
                Life::Over => {
                    tracing::warn!(registration = name, "the registration is over: a new one begins")
                }
            }
        }
    }

    /// A new engine. Only the first one may fail: later the stores are known to be right, and come back.
    async fn begin(&self, first: bool) -> Result<Arc<Engine>, Failure> {
        let mut pause = RESTART;
        loop {
            let error = match self.start().await {
                Ok(engine) => return Ok(engine),
                Err(error) => error,
            };
            if first {
                return Err(Failure::new(format!("the server can't start: {error}")));
            }
            tracing::error!(%error, "no new engine yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RESTART);
        }
    }

    async fn start(&self) -> Result<Arc<Engine>, StartError> {
        let bound = self.listeners.peer_address.as_ref();
        let peer = bound.and_then(|bound| self.settings.peer_advertised(bound));
        let peering = peer.is_some().then(|| Peering {
            transport: Arc::new(Links::new(self.tls.clone())),
            patience: self.settings.peer_patience,
        });
        let settings = self.settings.engine(&self.advertised, self.listeners.others.clone(), peer);
        Engine::start_beside(self.foundations.clone(), settings, peering).await
    }

    /// Gives pages to other agents, if they may ask, until it is dropped.
    fn serve_others(&self, engine: &Engine) -> Result<JoinSet<()>, Failure> {
        let mut serving = JoinSet::new();
        if let Some(listener) = self.listeners.peer()? {
            let pages = engine.pages(self.settings.peer_answer_bytes.0);
            serving.spawn(grpc::serve(listener, pages, self.tls.clone(), grpc::ServerLimits::default()));
        }
        Ok(serving)
    }

    async fn live(&self, engine: Arc<Engine>, signals: &mut Signals) -> Result<Life, Failure> {
        let node = engine.registration().node;
        let fixed = self.settings.fixed(node, &self.listeners.kafka_address, &self.advertised);
        let (answers, descriptions) = (&self.settings.answer_bytes, &self.settings.description_bytes);
        let broker = Broker::with_memory(engine.clone(), fixed, answers.bytes(), descriptions.bytes());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async {
            // A dropped sender means the same.
            let _ = stopped.await;
        };
        let mut server = JoinSet::new();
        server.spawn(kafka::run_all(self.listeners.kafka()?, broker, self.settings.limits(), shutdown));
        let _others = self.serve_others(&engine)?;
        self.state.set(Some(engine.clone()));
        let life = tokio::select! {
            biased;
            _ = signals.next() => Life::Stopped,
            () = engine.ended() => Life::Over,
        };
        self.state.set(None);
        match life {
            Life::Over => {
                // The server closes its connections by itself: nothing that still waits can be answered better than so. The engine
                // must outlive them.
                let closed = async { while server.join_next().await.is_some() {} };
                if tokio::time::timeout(LONGEST_RESTART, closed).await.is_err() {
                    server.shutdown().await;
                }
                engine.stop(Duration::ZERO).await;
            }
            Life::Stopped => {
                self.state.stopping.store(true, Ordering::Relaxed);
                tokio::select! {
                    biased;
                    () = self.stop(stop, &mut server, &engine) => {}
                    number = signals.next() => signals::end_at_once(number),
                }
            }
        }
        Ok(life)
    }

    /// Beside others: has clients go to them before anything ends. Where nobody else is, clients wait for the next start.
    async fn leave(&self, engine: &Arc<Engine>) {
        let drain = self.settings.drain;
        if drain.is_zero() || !engine.has_company() {
            return;
        }
        tracing::info!("leaving: clients are sent to other agents");
        engine.withdraw(drain).await;
        engine.see_off(drain).await;
        engine.depart(drain).await;
        engine.quiet(drain).await;
    }

    /// Takes no more, flushes, answers, ends the registration.
    async fn stop(
        &self,
        stop: tokio::sync::oneshot::Sender<()>,
        server: &mut JoinSet<()>,
        engine: &Arc<Engine>,
    ) {
        let patience = self.settings.shutdown_timeout;
        self.leave(engine).await;
        tracing::info!("stopping: flushing and answering what is under way");
        self.listeners.close();
        drop(stop);
        let clean = async { while server.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, clean).await.is_err() {
            server.shutdown().await;
        }
        engine.stop(patience).await;
        tracing::info!("stopped");
    }
}
