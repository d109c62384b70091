//! Why a config has no effect, or is refused: one sentence each, shown in the docs, in errors and by Kafka's own tools.

pub(crate) const CLEANER: &str = "Topics with the policy compact are always compacted, by compactors.";
pub(crate) const COMPACTOR: &str = "Retention and compaction are the work of compactors, which size and pace themselves by their own settings.";
pub(crate) const CONTROLLERS: &str = "There are no controllers: the metadata store takes their place.";
pub(crate) const DRAIN: &str =
    "An agent that ends always leaves the metadata first; there is no leadership to hand on.";
pub(crate) const DURABLE: &str = "A batch is durable in object storage or the metadata store before it is acknowledged or visible, always.";
pub(crate) const FILES: &str = "Agents keep no log files, and nothing on disk that could be lost.";
pub(crate) const INDEXES: &str =
    "There are no index files: offsets are found in the metadata and in the segments' footers.";
pub(crate) const INTERNAL_TOPICS: &str =
    "Groups, offsets and transactions are rows of the metadata store; there is no topic behind them.";
pub(crate) const INTERNAL_TRAFFIC: &str = "Agents do not speak Kafka's protocol among themselves.";
pub(crate) const JAVA: &str = "It would load a Java class, and there is no JVM here.";
pub(crate) const LIMIT: &str = "This limit is not kept, and it must not look as if it were.";
pub(crate) const LZ4_LEVEL: &str = "The LZ4 encoder in use has a single level.";
pub(crate) const MEMORY: &str =
    "What waits is bounded by the agent's memory settings; at the limit clients wait, nothing is dropped.";
pub(crate) const METRICS: &str =
    "Metrics are histograms and counters for Prometheus, which computes rates itself.";
pub(crate) const ONE_TIER: &str =
    "All data is in object storage from the start: there is no local tier beside it.";
pub(crate) const PROTOCOLS: &str = "An agent offers the group protocols that are built into it.";
pub(crate) const QUOTA_WINDOWS: &str = "Quotas are kept as token buckets, not averaged over windows.";
pub(crate) const RECLAIM: &str = "Objects are deleted once nothing refers to them and no reader can still need them, after a grace period of the cluster.";
pub(crate) const REPLICAS: &str =
    "Agents keep no replicas that could lag, be throttled or be elected: the object store keeps the copies.";
pub(crate) const SECURITY: &str = "TLS and SASL are set up in the agent's own settings.";
pub(crate) const SEGMENTS: &str = "There are no local log segments: records of many partitions share objects whose size is the cluster's matter.";
pub(crate) const SOCKETS: &str = "The operating system sizes the buffers of sockets.";
pub(crate) const THREADS: &str =
    "One runtime spreads all work over the machine's cores; there are no pools to size.";
pub(crate) const TIERING: &str =
    "All data is in object storage from the start: there is no second tier to copy to or to delete from.";
pub(crate) const TWO_PHASE: &str =
    "A transaction is ended by its producer or by its timeout; no outside coordinator may hold it open.";
pub(crate) const VERIFY: &str = "That a transaction is open is checked in the very transaction that appends its batches; it can't be left out.";
