//! Agents: a cache, what it reads from, and a listener.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::{RegistrationId, SegmentId, SegmentPlace, mix64};
use siltstone_objects::cache::{PageCache, SegmentSource};
use siltstone_objects::testing::FaultyStore;
use siltstone_objects::{Objects, Options, ReadError};
use siltstone_zone::grpc::{Links, Pages, ServerLimits, Tls, serve};
use siltstone_zone::{Identity, Neighbour, Zone, ZoneParts};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub const PAGE: u64 = 64 << 10;
/// Bytes of a segment: some pages, and a part of one.
pub const LENGTH: u64 = 7 * PAGE + 1234;
pub const PAGES: u64 = 8;
/// No step of a test may take longer.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The bucket alone.
struct Direct(Objects);

#[async_trait]
impl SegmentSource for Direct {
    async fn fetch(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        self.0.get(&segment.id.object_name(), range, Instant::now() + DEADLINE).await
    }
}

/// The agents that are there, as all of them see it.
#[derive(Clone, Default)]
pub struct Members(pub Arc<Mutex<Arc<Vec<Neighbour>>>>);

impl Members {
    pub fn add(&self, neighbour: Neighbour) {
        let mut members = self.0.lock().unwrap();
        *members = Arc::new(members.iter().cloned().chain([neighbour]).collect());
    }
}

pub struct World {
    pub store: Arc<FaultyStore>,
    pub objects: Objects,
    pub members: Members,
}

pub struct Agent {
    pub neighbour: Neighbour,
    pub cache: PageCache,
    pub pages: Pages,
    served: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// How an agent is.
pub struct Plan {
    pub node: u32,
    pub cache_bytes: u64,
    pub answer_bytes: u64,
    pub patience: Duration,
    pub tls: Option<Arc<Tls>>,
    /// Requests of one connection that it works on at once.
    pub requests: u32,
    pub cluster: &'static str,
}

impl Plan {
    /// An agent that waits for others as long as a loaded machine may take.
    pub fn new(node: u32) -> Self {
        let (cache_bytes, answer_bytes) = (64 << 20, 8 << 20);
        let requests = ServerLimits::default().requests;
        Plan { node, cache_bytes, answer_bytes, patience: DEADLINE, tls: None, requests, cluster: "c" }
    }
}

pub fn id(node: u32) -> RegistrationId {
    RegistrationId(u128::from(node) * 1000)
}

pub fn neighbour(node: u32, port: u16) -> Neighbour {
    Neighbour { id: id(node), node, weight: 1000, host: "127.0.0.1".into(), port }
}

pub fn segment(number: u64) -> SegmentPlace {
    let id = SegmentId { registration: RegistrationId(99), number };
    SegmentPlace { id, inline: false, length: LENGTH }
}

pub fn content(number: u64, range: Range<u64>) -> Bytes {
    range.map(|at| (mix64(number ^ (at / 8)) >> (at % 8 * 8)) as u8).collect()
}

impl World {
    /// A bucket with so many segments, and no agents yet.
    pub async fn new(segments: u64) -> World {
        let store = Arc::new(FaultyStore::new(1));
        let mut options = Options::default();
        // A second request for what is slow on a busy machine would be counted.
        (options.requests.hedge_get, options.requests.hedge_put) = (None, None);
        let objects = Objects::from_store(store.clone(), "", &options, 1);
        for number in 0..segments {
            let (name, bytes) = (segment(number).id.object_name(), content(number, 0..LENGTH));
            objects.put(&name, vec![bytes], Instant::now() + DEADLINE).await.unwrap();
        }
        World { store, objects, members: Members::default() }
    }

    /// How often the bucket was read.
    pub fn gets(&self) -> u64 {
        self.store.total().gets
    }

    pub async fn agent(&self, plan: Plan) -> Agent {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let neighbour = neighbour(plan.node, listener.local_addr().unwrap().port());
        self.members.add(neighbour.clone());
        let identity = Identity { cluster: plan.cluster.into(), incarnation: 1, own: neighbour.id };
        let direct: Arc<dyn SegmentSource> = Arc::new(Direct(self.objects.clone()));
        let members = self.members.clone();
        let zone = Zone::new(ZoneParts {
            identity: identity.clone(),
            direct: direct.clone(),
            transport: Arc::new(Links::new(plan.tls.clone())),
            neighbours: Arc::new(move || members.0.lock().unwrap().clone()),
            patience: plan.patience,
        });
        let cache = PageCache::new(plan.cache_bytes, PAGE, Arc::new(zone));
        let pages = Pages::new(identity, cache.over(direct), plan.answer_bytes);
        let limits = ServerLimits { requests: plan.requests, ..ServerLimits::default() };
        let served = tokio::spawn(serve(listener, pages.clone(), plan.tls, limits));
        Agent { neighbour, cache, pages, served }
    }
}

impl Agent {
    /// Reads a part of a segment, and checks it.
    pub async fn read(&self, number: u64, range: Range<u64>) {
        let read = tokio::time::timeout(DEADLINE, self.cache.read(segment(number), range.clone())).await;
        assert_eq!(read.unwrap().unwrap().to_bytes(), content(number, range), "segment {number}");
    }

    /// Reads all pages of a segment, all at once.
    pub async fn read_all(&self, number: u64) {
        self.read(number, 0..LENGTH).await;
    }

    /// As `kill -9`: its connections end, and nobody listens any more.
    pub async fn kill(mut self) -> Neighbour {
        self.served.abort();
        // However it ended.
        drop((&mut self.served).await);
        self.neighbour.clone()
    }
}
