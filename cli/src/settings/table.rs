//! The table of settings, and the struct that is made of it.

use std::time::Duration;

use siltstone_agent::zones::Network;
use siltstone_configs::Overrides;
use siltstone_objects::Secret;

use super::lists::Pairs;
use super::metadata_url::MetadataUrl;
use super::value::{Compress, HostPort, LogFormat, Size, Value};

/// What holds if nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This.
    Is(&'static str),
    /// It depends on the store: a local directory (or memory), or one across a network.
    ByStore {
        /// With `file://` and `memory://`.
        local: &'static str,
        /// With any other.
        remote: &'static str,
    },
    /// It follows from other settings, in these words.
    Follows(&'static str),
    /// Nothing, in these words.
    Unset(&'static str),
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name in a file, with dots between tables.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: &'static str,
    /// What holds if nobody sets it.
    pub default: Fallback,
    /// What it is for.
    pub doc: &'static str,
    /// Parses a value into its field.
    pub set: fn(&mut Settings, &str) -> Result<(), String>,
    /// Shows its field.
    pub get: fn(&Settings) -> Option<String>,
}

macro_rules! settings {
    ($($name:literal $field:ident: $kind:ty, $default:expr; $doc:literal)*) => {
        /// All settings of a server.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Settings {
            $(#[doc = $doc] pub $field: $kind,)*
            /// Broker configs under Kafka's names (the table `kafka`), checked and normalised.
            pub kafka: Overrides,
        }

        /// Every setting but those of the table `kafka`, in the order of the documentation.
        pub const TABLE: &[Definition] = &[$(
            Definition {
                name: $name,
                kind: <$kind as Value>::KIND,
                default: $default,
                doc: $doc,
                set: |settings, text| {
                    settings.$field = <$kind as Value>::parse(text)?;
                    Ok(())
                },
                get: |settings| settings.$field.show(),
            },
        )*];
    };
}

use Fallback::{Follows, Is, Unset};

const fn by_store(local: &'static str, remote: &'static str) -> Fallback {
    Fallback::ByStore { local, remote }
}

settings! {
    "data" data: String, Is("./siltstone-data");
        "Directory of the metadata store, and of the objects if no other store is named. Made if it is not there."
    "listen.kafka" listen_kafka: HostPort, Is("127.0.0.1:9092");
        "Where Kafka clients connect. Port 0 lets the operating system choose."
    "listen.http" listen_http: HostPort, Is("127.0.0.1:9644");
        "Where /metrics, /health and /ready are served."
    "listen.advertised" advertised: Option<HostPort>, Follows("`listen.kafka`, or this machine's name if that listens on all addresses");
        "What clients are told to connect to."
    "listen.others" listen_others: Pairs<String, HostPort>, Unset("none");
        "Further listeners for Kafka clients, each with a name: inside=0.0.0.0:9094. Who comes through one is told of the agents that have a listener of this name, and where that is reached."
    "listen.others_advertised" advertised_others: Pairs<String, HostPort>, Follows("`listen.others`, as with `listen.advertised`");
        "What clients of further listeners are told to connect to, by the listeners' names."
    "node.id" node_id: Option<u32>, Follows("1; of `siltstone agent` the lowest that no agent has");
        "Kafka's node id of this server, at most 2147483647. No two agents that live may have the same."
    "node.zone" zone: String, Is("");
        "The zone (rack) of this server; may be empty. See [zones.md](zones.md)."
    "node.lease" lease: Duration, Is("6s");
        "How long a silent server is taken to be alive by others on the same metadata."
    "node.warmup" warmup: Duration, Is("10s");
        "How long it takes after its start until an agent beside others takes all of its share of leaders and coordinators. 0: it does at once."
    "node.workers" workers: usize, Is("0");
        "Threads that do the work. 0: as many as processors, at least 2."
    "zones.networks" zone_networks: Pairs<Network, String>, Unset("none");
        "Zones of clients by their addresses: 10.1.0.0/16=zone-a, 10.2.0.0/16=zone-b. Of networks that hold an address the smallest counts."
    "zones.listeners" zone_listeners: Pairs<String, String>, Unset("none");
        "Zones of clients by the name of the further listener that they come through: near-a=zone-a. Counts before their addresses."
    "cluster.shards" shards: Option<u16>, Follows("16; with `siltstone agent` 256");
        "Shards of the metadata. Fixed when the cluster is made; later values change nothing."
    "store.url" store_url: String, Follows("`file://<data>/objects`");
        "The object store: file:///dir, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, memory://."
    "store.endpoint" endpoint: Option<String>, Unset("the cloud's own");
        "https://host[:port] of a store that is not the cloud's own, such as MinIO."
    "store.region" region: Option<String>, Unset("environment, profile, us-east-1");
        "S3: the bucket's region."
    "store.access_key_id" access_key_id: Option<String>, Unset("environment, profile, instance");
        "S3: the access key's id. Azure: the storage account."
    "store.secret_access_key" secret_access_key: Option<Secret>, Unset("environment, profile, instance");
        "S3: the secret access key. Azure: the account's key. Better given in the environment than in a file."
    "store.session_token" session_token: Option<Secret>, Unset("none");
        "S3: the session token of temporary credentials."
    "store.profile" profile: Option<String>, Unset("`AWS_PROFILE`, default");
        "S3: the profile in ~/.aws to use."
    "store.google_service_account" google_service_account: Option<String>, Unset("environment, instance");
        "Google: a service account's JSON file."
    "store.anonymous" anonymous: bool, Is("false");
        "Send no credentials at all."
    "store.allow_http" allow_http: bool, Is("false");
        "Allow an endpoint without TLS."
    "store.virtual_host" virtual_host: Option<bool>, Unset("only for AWS itself");
        "S3: bucket.host/key instead of host/bucket/key."
    "store.unsigned_payload" unsigned_payload: Option<bool>, Unset("true over TLS, else false");
        "S3: leave bodies out of the signature, which saves a SHA-256 of every byte."
    "store.max_puts" max_puts: usize, Is("16");
        "PUTs in flight at once."
    "store.max_gets" max_gets: usize, Is("32");
        "GETs, HEADs, DELETEs and LISTs in flight at once."
    "store.timeout" store_timeout: Duration, Is("30s");
        "The longest that one attempt of a request may take."
    "store.connect_timeout" connect_timeout: Duration, Is("3s");
        "The longest that connecting may take."
    "store.tcp_user_timeout" tcp_user_timeout: Duration, Is("5s");
        "The longest that what is sent may stay unacknowledged by the other side's system, or find no room there, before the connection counts as gone. Linux only."
    "store.backoff_first" backoff_first: Duration, Is("50ms");
        "The pause before the first retry; it doubles from there."
    "store.backoff_max" backoff_max: Duration, Is("3s");
        "The longest pause between attempts."
    "store.hedge" hedge: bool, Is("true");
        "Whether slow requests are sent a second time. Not done with file://."
    "store.check" store_check: bool, Is("true");
        "Whether a small object is written, read and deleted at start, so that a wrong setting shows at once. Not done with file://."
    "flush.bytes" flush_bytes: Size, Is("8MiB");
        "So many bytes are flushed at once. While two uploads are in flight, what compresses well waits until it makes a segment of this size: up to twice as many bytes, as far as a quarter of buffer.bytes allows."
    "flush.interval" flush_interval: Duration, by_store("20ms", "250ms");
        "The longest that a batch waits in the buffer before it is flushed."
    "flush.quiet" flush_quiet: Duration, Is("2ms");
        "After so long without a new batch nothing more is taken to be coming, and what is there is flushed."
    "flush.puts_per_second" puts_per_second: f64, by_store("1000", "8");
        "PUTs a second that flushes smaller than flush.bytes may cause, on average."
    "flush.max_uploads" max_uploads: usize, by_store("3", "8");
        "Uploads in flight at once."
    "flush.few_uploads" few_uploads: usize, by_store("2", "1");
        "While fewer uploads are in flight, a quiet buffer is flushed before it is full or old."
    "flush.timeout" upload_timeout: Duration, Is("1m");
        "How long an upload is tried before its producers are told to send again."
    "flush.patience" flush_patience: Duration, Is("10s");
        "Once uploads have failed for so long, without one that succeeded, producers are told at once, until one does. A refusal counts after a second."
    "flush.compression" compression: Compress, by_store("off", "auto");
        "Whether blocks that producers did not compress are, with zstd, where a sample says that it pays: off, auto."
    "flush.compression_level" compression_level: u32, Is("1");
        "The level of that zstd."
    "inline.bytes" inline_bytes: Size, Is("64KiB");
        "Flushes up to this size are kept in the metadata store and cost no PUT."
    "inline.bytes_per_second" inline_bytes_per_second: Size, Is("4MiB");
        "Bytes a second that may be flushed so, on average."
    "buffer.bytes" buffer_bytes: Size, by_store("32MiB", "64MiB");
        "Bytes of produce requests that may wait to be written. Beyond it producers wait."
    "cache.bytes" cache_bytes: Size, by_store("32MiB", "64MiB");
        "Bytes of segments kept in memory for reading."
    "cache.page_bytes" page_bytes: Size, by_store("256KiB", "4MiB");
        "What is read from a segment at once: one GET."
    "cache.block_bytes" block_bytes: Size, by_store("64KiB", "0B");
        "From this size up to 1MiB, what a flush has of a partition is read by itself and not in pages: more requests, and nothing in vain. 0: never. Agents of a zone share pages alone."
    "peer.listen" peer_listen: Option<HostPort>, Unset("nowhere: every agent reads all pages from the object store itself");
        "Where other agents of the zone ask this one for pages of segments, over gRPC. With `siltstone agent` alone. Clients must not reach it unless there are certificates."
    "peer.advertised" peer_advertised: Option<HostPort>, Follows("`peer.listen`, or this machine's name if that listens on all addresses");
        "What other agents are told to connect to."
    "peer.certificate" peer_certificate: Option<String>, Unset("connections between agents are not encrypted");
        "A PEM file with this agent's certificate, good for servers and clients, and those between it and the authority. It is read again every minute."
    "peer.key" peer_key: Option<String>, Unset("none");
        "A PEM file with its private key."
    "peer.authority" peer_authority: Option<String>, Unset("none");
        "A PEM file with the certificates of the authorities that agents' certificates must come from."
    "peer.name" peer_name: Option<String>, Unset("the host by which an agent is reached");
        "A name that every agent's certificate must hold. Needed if the authority signs certificates for others than agents."
    "peer.patience" peer_patience: Duration, Is("500ms");
        "The agent that keeps a page has so long to give it; then the object store is asked, too. Longer than it mostly takes to read a page from there."
    "peer.answer_bytes" peer_answer_bytes: Size, Is("32MiB");
        "Bytes of pages that may be on their way to other agents at once. Beyond it they wait."
    "limits.connections" max_connections: usize, Is("20000");
        "Connections at once; others wait to be accepted. Kafka's max.connections may say less."
    "limits.in_flight" in_flight: usize, Is("16");
        "Requests of one connection that are worked on at once."
    "limits.request_bytes" request_bytes: Size, Is("64MiB");
        "Bytes of requests other than Produce, with what they take once decoded, all connections together."
    "limits.answer_bytes" answer_bytes: Size, Is("128MiB");
        "Bytes that unsent answers to fetches may hold, all connections together."
    "limits.description_bytes" description_bytes: Size, Is("64MiB");
        "Bytes that other large answers may take until they are sent, all connections together: those that describe many topics, configs, groups."
    "limits.stall" stall: Duration, Is("30s");
        "A request that began must go on within this time."
    "limits.write" write_stall: Duration, Is("1m");
        "An answer must be taken by its client within this time."
    "metadata.url" metadata_url: Option<MetadataUrl>, Follows("a file in `data`, of the embedded store");
        "The metadata store that agents share: postgres://user@host/database. See `operations.md`."
    "metadata.password" metadata_password: Option<Secret>, Unset("that of the URL");
        "The password for the metadata store. Better given in the environment than in a file."
    "metadata.cache_bytes" metadata_cache: Size, Is("16MiB");
        "Pages of the embedded metadata store kept in memory."
    "checkpoint.interval" checkpoint_interval: Duration, Is("20s");
        "Time between two checkpoints of a shard."
    "checkpoint.floor_lag" floor_lag: Duration, Is("1m");
        "How far the part of a shard's log that is cleared stays behind."
    "checkpoint.lease" checkpoint_lease: Duration, Is("1m");
        "How long a silent holder keeps the right to write a shard's checkpoints. More than two intervals."
    "compactor.enabled" compactor: bool, Is("true");
        "Whether this server merges, trims, compacts and reclaims in the background. `siltstone compactor` always does."
    "compactor.interval" compactor_interval: Duration, Is("10s");
        "Time between two looks at the shards."
    "compactor.segment_bytes" merge_segment: Size, by_store("8MiB", "64MiB");
        "Bytes of the segments that merges make."
    "compactor.block_bytes" merge_block: Size, Is("1MiB");
        "Bytes of a partition that merges put together, before compression: what a reader reads at least."
    "compactor.leave_bytes" merge_leave: Size, by_store("64KiB", "4MiB");
        "What has so many bytes of a partition side by side in a segment is not merged: a read gives enough of it as it is."
    "compactor.fan_in" merge_fan_in: usize, Is("16");
        "So many segments of one level are merged into the next. At least 2."
    "compactor.wait" merge_wait: Duration, Is("5m");
        "How long what was flushed waits for a merge, if it is not enough for a segment before."
    "compactor.inline_bytes" merge_inline: Size, Is("8MiB");
        "Bytes of segments in the metadata store that are merged at once."
    "compactor.flushed_segments" merge_flushed: usize, Is("1000");
        "So many flushed segments are merged at once."
    "compactor.zstd_level" merge_zstd: u32, by_store("0", "3");
        "zstd's level for what producers did not compress, where a sample says that it pays. 0: never."
    "compactor.grace" grace: Duration, Is("10m");
        "How long a segment that nothing refers to is kept. Longer than any read takes, and than the age of the oldest backup of the metadata."
    "compactor.bandwidth" compactor_bandwidth: Size, Is("0B");
        "Bytes a second that the compactor may read and write, together. 0: as many as it can."
    "compactor.requests_per_second" compactor_requests: u32, Is("0");
        "Requests a second that the compactor may send to the object store. 0: as many as it can."
    "compactor.key_map_bytes" key_map: Size, Is("128MiB");
        "Memory for the keys of one round of compaction by key; more keys take more rounds."
    "compactor.key_wait" key_wait: Duration, Is("10m");
        "Time between two rounds of compaction by key on a partition with less than 8 MiB that is not compacted."
    "shutdown.drain" drain: Duration, Is("5s");
        "How long an agent that stops waits for all others to send no more clients to it, and then as long for clients to go. 0: it does not wait."
    "shutdown.timeout" shutdown_timeout: Duration, Is("20s");
        "How long a stop may take to flush and answer. A second signal ends at once."
    "log.level" log_level: String, Is("info");
        "error, warn, info, debug, trace, off, or a list such as info,siltstone_agent=debug. RUST_LOG wins over all."
    "log.format" log_format: LogFormat, Is("text");
        "text, or json: one object a line. Logs go to standard error."
}

/// The setting of this name.
pub(super) fn find(name: &str) -> Option<&'static Definition> {
    TABLE.iter().find(|definition| definition.name == name)
}

/// The known name that looks most like `name`, if any does.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let close = |known: &&'static Definition| (distance(known.name, name), known.name);
    let (distance, found) = TABLE.iter().map(|known| close(&known)).min()?;
    (distance <= 1 + name.len() / 4).then_some(found)
}

/// How many characters to add, drop or change to get from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
