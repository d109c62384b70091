//! An agent's life: one registration, and all that runs under it.
//!
//! Everything that an API needs hangs on [`Engine`]. It begins with [`Engine::start`] and is over when the registration is
//! ([`Engine::ended`]): then it is dropped, which ends its tasks, and a new one may begin under a new registration.

mod departure;
mod placements;
mod share;
mod standing;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone_log::{ClusterRow, Endpoint, Listener, RegistrationId, RegistrationRow, Role, Standing};
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::catalog::{Catalog, CatalogError, CatalogReadError, CatalogTrimmer, Changes};
use siltstone_metadata::checkpoint::{CheckpointSettings, Checkpointer};
use siltstone_metadata::follow::{Followers, ShardError};
use siltstone_metadata::lease::{self, Member, Membership, RegisterError, Roster};
use siltstone_metadata::shard::{MAX_LEVEL, MIN_LEVEL};
use siltstone_objects::Objects;
use siltstone_objects::cache::{PageCache, SegmentSource};
use siltstone_store::Store;
use siltstone_zone::grpc::Pages;
use tokio::task::JoinSet;
use tokio::time::Instant;

use departure::Departure;
use placements::Placements;
use standing::Stands;

use crate::fetch::{Alone, Reader, Segments};
use crate::group::{Groups, GroupsParts};
use crate::neighbours::{self, Peering};
use crate::placement::Placement;
use crate::produce::{Pending, WriteSettings, Writer, WriterParts};
use crate::producer_ids::ProducerIds;
use crate::transaction::{Sweeper, Transactions, TransactionsParts};
use crate::zones::ZoneRules;

/// How long the last word of an engine's life may take.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Settings of an agent, without those of its listeners.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Kafka's node id, or [`EngineSettings::ANY_NODE`].
    pub node: u32,
    /// The zone; may be empty.
    pub zone: String,
    /// Where clients reach this agent.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Shards of the cluster, if it has to be made.
    pub shards: u16,
    /// The write path.
    pub write: WriteSettings,
    /// Bytes of the page cache.
    pub cache_bytes: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Flushed blocks of so many bytes, and up to 1 MiB, are read by themselves and not in pages. `None`: no flushed block is.
    pub block_bytes: Option<u32>,
    /// Checkpoints.
    pub checkpoint: CheckpointSettings,
    /// How long a silent agent is taken to be alive.
    pub lease: Duration,
    /// No other agent can be alive on this store: registrations that are left over end at once.
    pub exclusive: bool,
    /// What matters only beside other agents.
    pub presence: Presence,
}

/// What an agent is to others.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    /// Listeners for clients beside the first one.
    pub listeners: Vec<Listener>,
    /// Where other agents reach this one, if it listens for them.
    pub peer: Option<Endpoint>,
    /// Where clients are.
    pub zones: ZoneRules,
    /// How long it takes after its start until this agent wants all of its share. Zero: it does at once.
    pub warmup: Duration,
    /// A shard that clients are not sent here for is followed for so long after its last use.
    pub linger: Linger,
    /// The highest feature level that its program follows.
    pub highest: HighestLevel,
}

/// A program's highest feature level. Less than this one's where an older program is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HighestLevel(pub u32);

impl Default for HighestLevel {
    fn default() -> Self {
        HighestLevel(MAX_LEVEL)
    }
}

/// How long a shard is followed after its last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linger(pub Duration);

impl Default for Linger {
    fn default() -> Self {
        Linger(Duration::from_secs(60))
    }
}

impl EngineSettings {
    /// As [`EngineSettings::node`]: one that no agent has, chosen at the start. Kafka's own ids are below 2^31.
    pub const ANY_NODE: u32 = u32::MAX;
}

/// What an engine stands on.
#[derive(Clone)]
pub struct Foundations {
    /// The metadata.
    pub store: Arc<dyn Store>,
    /// The segments.
    pub objects: Objects,
    /// Time and chance.
    pub ambient: Ambient,
}

impl std::fmt::Debug for Foundations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Foundations")
    }
}

/// Why an engine could not begin.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// No registration.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The catalog can't be read.
    #[error(transparent)]
    Catalog(#[from] CatalogReadError),
    /// A shard can't be read.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

/// A running agent.
#[derive(Debug)]
pub struct Engine {
    foundations: Foundations,
    settings: EngineSettings,
    cluster: ClusterRow,
    registration: RegistrationRow,
    roster: Arc<Roster>,
    catalog: Arc<Catalog>,
    changes: Changes,
    writer: Arc<Writer>,
    reader: Reader,
    groups: Arc<Groups>,
    cache: PageCacheRef,
    /// The same cache, as it is filled for other agents: from the bucket alone.
    lender: PageCacheRef,
    transactions: Arc<Transactions>,
    producer_ids: Arc<ProducerIds>,
    placements: Arc<Placements>,
    departure: Departure,
    tasks: Mutex<JoinSet<()>>,
}

/// The cache, with a Debug that says no more.
struct PageCacheRef(PageCache);

impl std::fmt::Debug for PageCacheRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageCache")
    }
}

/// The shards of the cluster, not running yet.
fn follow(
    cluster: &ClusterRow,
    settings: &EngineSettings,
    stands: &Stands,
    roster: &Roster,
    store: &Arc<dyn Store>,
    pending: &Arc<Pending>,
) -> Followers {
    let Linger(linger) = settings.presence.linger;
    let followers = Followers::new(cluster.shards, &stands.own, store.clone(), pending.clone(), linger);
    if !settings.exclusive {
        followers.stand_for(&stands.shards(&roster.agents(), cluster.shards));
    }
    followers
}

/// Begins the agent's registration; with it, who else is alive.
async fn register(
    store: &dyn Store,
    ambient: &Ambient,
    settings: &EngineSettings,
    cluster: &ClusterRow,
) -> Result<(RegistrationRow, Arc<Roster>), RegisterError> {
    if settings.exclusive {
        for left in lease::list(store).await? {
            lease::end(store, left.id, cluster.shards, None).await?;
        }
    }
    let registration = |id| RegistrationRow {
        id,
        node: settings.node,
        started: ambient.clock.now(),
        zone: settings.zone.clone(),
        host: settings.host.clone(),
        port: settings.port,
        lowest_level: MIN_LEVEL,
        highest_level: settings.presence.highest.0,
        role: Role::Agent,
        listeners: settings.presence.listeners.clone(),
        peer: settings.presence.peer.clone(),
    };
    let node = Some(settings.node).filter(|node| *node != EngineSettings::ANY_NODE);
    let registration = loop {
        let id = RegistrationId(ambient.chance.next());
        match lease::join(store, registration(id), node, first_standing(settings)).await {
            Err(RegisterError::Lost) => {}
            joined => break joined?,
        }
    };
    let roster = Arc::new(Roster::default());
    roster.tell(lease::members(store).await?);
    Ok((registration, roster))
}

/// Keeps the shards up to date, and their rows.
fn keep_up(
    tasks: &mut JoinSet<()>,
    followers: &Followers,
    store: &Arc<dyn Store>,
    own: RegistrationId,
    settings: CheckpointSettings,
    ambient: &Ambient,
) {
    tasks.spawn(followers.clone().run());
    for shard in followers.shards() {
        tasks.spawn(shard.clone().run());
        let checkpointer = Checkpointer::new(shard.clone(), store.clone(), own, settings, ambient.clone());
        tasks.spawn(checkpointer.run());
    }
}

/// What clears old entries of the catalog's log.
fn trimmer(
    catalog: &Arc<Catalog>,
    store: &Arc<dyn Store>,
    own: RegistrationId,
    settings: CheckpointSettings,
) -> CatalogTrimmer {
    let CheckpointSettings { interval, floor_lag, lease, .. } = settings;
    CatalogTrimmer::new(catalog.clone(), store.clone(), own, interval, floor_lag, lease)
}

fn page_cache(settings: &EngineSettings, source: Arc<dyn SegmentSource>) -> PageCache {
    let cache = PageCache::new(settings.cache_bytes, settings.page_bytes, source);
    // Blocks have one reader each; pages those of all partitions that have something there.
    if settings.block_bytes.is_some() { cache.mostly_read_once() } else { cache }
}

/// How the agent stands at first.
fn first_standing(settings: &EngineSettings) -> Standing {
    if settings.exclusive { Standing::FULL } else { share::warmed(Duration::ZERO, settings.presence.warmup) }
}

impl Engine {
    /// Registers, follows the catalog and the shards that clients are sent here for, and returns once all of them are known.
    ///
    /// # Errors
    /// See [`StartError`]: nothing runs then.
    pub async fn start(
        foundations: Foundations,
        settings: EngineSettings,
    ) -> Result<Arc<Engine>, StartError> {
        Self::start_beside(foundations, settings, None).await
    }

    /// The same, asking other agents of the zone for their pages. What it gives to them are [`Engine::pages`].
    ///
    /// # Errors
    /// See [`StartError`]: nothing runs then.
    pub async fn start_beside(
        foundations: Foundations,
        settings: EngineSettings,
        peering: Option<Peering>,
    ) -> Result<Arc<Engine>, StartError> {
        let Foundations { store, objects, ambient } = foundations.clone();
        let cluster = lease::open_cluster(store.as_ref(), &ambient, settings.shards).await?;
        let (registration, roster) = register(store.as_ref(), &ambient, &settings, &cluster).await?;
        let mut tasks = JoinSet::new();
        let pending = Arc::new(Pending::default());
        let placements = Arc::new(Placements::default());
        let stands = Stands { placements: placements.clone(), own: registration.clone() };
        let followers = follow(&cluster, &settings, &stands, &roster, &store, &pending);
        let catalog = Catalog::new(store.clone());
        let direct = Arc::new(Segments { objects: objects.clone(), store: store.clone() });
        let source = neighbours::source(peering, &cluster, &registration, &roster, direct.clone());
        let cache = page_cache(&settings, source);
        let lender = cache.over(direct);
        let parts = WriterParts {
            store: store.clone(),
            objects,
            cache: cache.clone(),
            followers: followers.clone(),
            registration: registration.id,
            ambient: ambient.clone(),
        };
        let writer = Writer::new(settings.write, parts, pending);
        tasks.spawn(catalog.clone().run());
        if !settings.exclusive {
            let (store, own, writer) = (store.clone(), registration.id, writer.clone());
            let warmup = settings.presence.warmup;
            tasks.spawn(share::Share { store, own, writer, warmup }.run());
        }
        tasks.spawn(writer.committer());
        tasks.spawn(writer.clone().run());
        let membership = Membership::new(store.clone(), registration.id, cluster.shards, settings.lease);
        tasks.spawn(membership.telling(roster.clone()).run());
        let checkpoint = settings.checkpoint;
        tasks.spawn(trimmer(&catalog, &store, registration.id, checkpoint).run());
        if !settings.exclusive {
            tasks.spawn(stands.run(roster.clone(), followers.clone()));
        }
        keep_up(&mut tasks, &followers, &store, registration.id, checkpoint, &ambient);
        let groups = Groups::new(GroupsParts {
            store: store.clone(),
            registration: registration.id,
            ambient: ambient.clone(),
            catalog: catalog.clone(),
        });
        let changes = Changes::new(store.clone(), ambient.clone(), cluster.shards);
        let producer_ids = Arc::new(ProducerIds::new(changes.clone()));
        let transactions = Transactions::new(TransactionsParts {
            store: store.clone(),
            ambient,
            catalog: catalog.clone(),
            followers: followers.clone(),
            producer_ids: producer_ids.clone(),
        });
        let alone = Alone { flushed_from: settings.block_bytes.unwrap_or(u32::MAX) };
        let reader = Reader::new(store, followers.clone(), cache.clone(), alone);
        if settings.exclusive && cluster.level < registration.highest_level {
            // Nobody is there who could not follow.
            if let Err(error) = changes.raise_level(registration.highest_level).await {
                tracing::warn!(%error, "the feature level could not be raised: what it brings is not there yet");
            }
        }
        catalog.fresh().await?;
        followers.caught_up().await?;
        Ok(Arc::new(Engine {
            foundations,
            settings,
            cluster,
            registration,
            roster,
            catalog,
            changes,
            writer,
            reader,
            groups,
            cache: PageCacheRef(cache),
            lender: PageCacheRef(lender),
            transactions,
            producer_ids,
            placements,
            departure: Departure::default(),
            tasks: Mutex::new(tasks),
        }))
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> &ClusterRow {
        &self.cluster
    }

    /// Its registration.
    pub fn registration(&self) -> &RegistrationRow {
        &self.registration
    }

    /// The agents that live, this one among them, by node id: as last seen, mostly a few seconds ago.
    pub fn agents(&self) -> Arc<Vec<Member>> {
        self.roster.agents()
    }

    /// Which agent does what just now, as clients of a listener are told.
    pub(crate) fn placement(&self, listener: &str) -> Arc<Placement> {
        let without = self.out_of_touch().then_some(self.registration.node);
        self.placements.of(listener, self.agents(), without, self.cluster.shards)
    }

    /// Until when the others take this agent to be alive, unless they hear of it; `None`: there are no others.
    pub(crate) fn alive_until(&self) -> Option<Instant> {
        self.has_company().then(|| self.roster.in_touch() + self.settings.lease)
    }

    /// Whether others do this agent's work by now, as it could give no sign of life; or nobody can do it.
    pub(crate) fn out_of_touch(&self) -> bool {
        self.alive_until().is_some_and(|until| until <= Instant::now())
    }

    /// Its settings.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// The catalog that it follows.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Changes to the catalog.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The write path.
    pub fn writer(&self) -> &Arc<Writer> {
        &self.writer
    }

    /// The read path.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The groups.
    pub fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    /// The transactions.
    pub fn transactions(&self) -> &Arc<Transactions> {
        &self.transactions
    }

    /// Looks after transactions that nobody ends.
    pub(crate) fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.transactions.clone(), self.registration.id, self.settings.lease)
    }

    /// Runs something for as long as the engine lives.
    pub(crate) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// The shards.
    pub fn followers(&self) -> &Followers {
        self.reader.followers()
    }

    /// Time and chance.
    pub fn ambient(&self) -> &Ambient {
        &self.foundations.ambient
    }

    /// The metadata store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.foundations.store
    }

    /// The page cache.
    pub fn cache(&self) -> &PageCache {
        &self.cache.0
    }

    /// What other agents are given, at most so many bytes at a time.
    pub fn pages(&self, answer_bytes: u64) -> Pages {
        let identity = neighbours::identity(&self.cluster, &self.registration);
        Pages::new(identity, self.lender.0.clone(), answer_bytes)
    }

    /// A producer id that nobody else has or gets.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn producer_id(&self) -> Result<i64, CatalogError> {
        self.producer_ids.take().await
    }

    /// Why the engine can't serve just now, if so.
    pub fn trouble(&self) -> Option<String> {
        self.followers().trouble()
    }

    /// Resolves once the registration is over: the engine is of no more use.
    pub async fn ended(&self) {
        self.writer.ended().await;
    }

    /// Ends cleanly: what is buffered is flushed and answered, the registration ended. Bounded by `patience`.
    pub async fn stop(&self, patience: Duration) {
        let clean = async {
            self.writer.drain().await;
            lease::end(self.store().as_ref(), self.registration.id, self.cluster.shards, None).await
        };
        match tokio::time::timeout(patience, clean).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the registration could not be ended: others will"),
            Err(_) => tracing::warn!("not all that was buffered could be flushed in time"),
        }
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        // Uploads that were under way may have stored something that nobody will publish.
        let look = lease::look_again(self.store().as_ref(), self.registration.id);
        if tokio::time::timeout(LAST_WORD, look).await.is_err() {
            tracing::debug!(
                "the metadata store does not answer at the end: what the registration left over may stay, and fsck finds it"
            );
        }
    }
}
