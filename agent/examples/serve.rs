//! A server for trying things out, until the command exists: `serve PORT DIR`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use siltstone_agent::engine::{Engine, EngineSettings, Foundations};
use siltstone_agent::kafka::{Broker, ServerLimits, run};
use siltstone_agent::produce::{BlockCompression, PolicySettings, WriteSettings};
use siltstone_metadata::ambient::{Ambient, Chance, Clock};
use siltstone_objects::{Environment, Objects, Options};
use siltstone_store::redb::{Options as RedbOptions, RedbStore};

struct Wall;

impl Clock for Wall {
    fn now(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
    }
}

struct Counter(AtomicU64);

impl Chance for Counter {
    fn next(&self) -> u128 {
        let n = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mix = |z: u64| (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u128::from(mix(n)) << 64 | u128::from(mix(!n))
    }
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().unwrap().parse().unwrap();
    let dir = args.next().unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    let objects = format!("file://{}/objects", std::fs::canonicalize(&dir).unwrap().display());
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let foundations = Foundations {
        store: Arc::new(RedbStore::open(format!("{dir}/metadata"), RedbOptions::default()).unwrap()),
        objects: Objects::open(&objects, &Options::default(), &Environment::of_process(), seed).unwrap(),
        ambient: Ambient { clock: Arc::new(Wall), chance: Arc::new(Counter(AtomicU64::new(seed))) },
    };
    let settings = EngineSettings {
        node: 1,
        zone: String::new(),
        host: "127.0.0.1".into(),
        port,
        shards: 16,
        write: WriteSettings {
            policy: PolicySettings::local(),
            compression: BlockCompression::Off,
            buffer_bytes: 64 << 20,
            upload_timeout: Duration::from_secs(30),
        },
        cache_bytes: 64 << 20,
        page_bytes: 1 << 20,
        checkpoint: Default::default(),
        lease: Duration::from_secs(10),
        exclusive: true,
    };
    let engine = Engine::start(foundations, settings).await.unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("listening on {port}");
    let broker = Broker::new(engine.clone(), Default::default());
    run(listener, broker, ServerLimits::default(), async { drop(tokio::signal::ctrl_c().await) }).await;
    engine.stop(Duration::from_secs(10)).await;
}
