//! Settings as the parts of the system take them.

use std::time::Duration;

use siltstone_agent::engine::{EngineSettings, Presence};
use siltstone_agent::kafka::ServerLimits;
use siltstone_agent::produce::{BlockCompression, PolicySettings, WriteSettings};
use siltstone_agent::zones::ZoneRules;
use siltstone_compactor::compact::plan;
use siltstone_compactor::settings::{CompactRules, CompactorSettings, MergeRules};
use siltstone_configs::{BrokerConfig, BrokerLayers, Overrides};
use siltstone_log::{Endpoint, Listener};
use siltstone_metadata::checkpoint::CheckpointSettings;
use siltstone_objects::{Credentials, Hedge, Options, Requests, Secret};
use siltstone_zone::grpc::TlsFiles;

use super::resolve::is_local;
use super::table::Settings;
use super::value::{Compress, HostPort};

/// Node id of a server that is alone.
const ALONE: u32 = 1;
/// Shards of a cluster that one server makes for itself, and of one that agents share.
const ALONE_SHARDS: u16 = 16;
const SHARED_SHARDS: u16 = 256;

impl Settings {
    /// Whether the object store is on this machine.
    pub fn store_is_local(&self) -> bool {
        is_local(&self.store_url)
    }

    /// Options of the object store.
    pub fn objects(&self) -> Options {
        objects(self)
    }

    /// Options of the embedded metadata store.
    pub fn metadata(&self) -> siltstone_store::redb::Options {
        siltstone_store::redb::Options { cache_bytes: self.metadata_cache.bytes(), ..Default::default() }
    }

    /// What clients are told to connect to, given where the listener is bound.
    pub fn advertised(&self, bound: &HostPort) -> HostPort {
        known_as(self.advertised.as_ref(), &self.listen_kafka, bound)
    }

    /// The same for other agents, if there is a listener for them.
    pub fn peer_advertised(&self, bound: &HostPort) -> Option<Endpoint> {
        let known = known_as(self.peer_advertised.as_ref(), self.peer_listen.as_ref()?, bound);
        Some(Endpoint { host: known.host, port: known.port })
    }

    /// Where the certificates for other agents are, if there are any.
    pub fn peer_tls(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.peer_certificate.clone()?.into(),
            key: self.peer_key.clone()?.into(),
            authority: self.peer_authority.clone()?.into(),
            name: self.peer_name.clone(),
        })
    }

    /// What clients of a further listener are told to connect to, given where it is bound.
    pub fn advertised_other(&self, name: &str, bound: &HostPort) -> HostPort {
        let wanted = self.listen_others.0.get(name);
        match self.advertised_others.0.get(name) {
            Some(advertised) => advertised.clone(),
            None if bound.is_any() => HostPort { host: machine(), port: bound.port },
            None => HostPort {
                host: wanted.map_or_else(|| bound.host.clone(), |at| at.host.clone()),
                ..bound.clone()
            },
        }
    }

    /// Kafka's broker configs that this server's settings fix, facts included. `node`: the id that it has.
    pub fn fixed(&self, node: u32, bound: &HostPort, advertised: &HostPort) -> Overrides {
        let mut fixed = self.kafka.clone();
        let facts = [
            ("node.id", node.to_string()),
            ("broker.id", node.to_string()),
            ("listeners", format!("PLAINTEXT://{bound}")),
            ("advertised.listeners", format!("PLAINTEXT://{advertised}")),
            ("log.dirs", self.store_url.clone()),
        ];
        fixed.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        if !self.zone.is_empty() {
            fixed.insert("broker.rack".to_owned(), self.zone.clone());
        }
        fixed
    }

    /// The engine: of a server that is alone on its metadata, or of an agent beside others. `others`: its further listeners; `peer`: where other agents
    /// reach it.
    pub fn engine(
        &self,
        advertised: &HostPort,
        others: Vec<Listener>,
        peer: Option<Endpoint>,
    ) -> EngineSettings {
        let shared = self.metadata_url.is_some();
        EngineSettings {
            node: self.node_id.unwrap_or(if shared { EngineSettings::ANY_NODE } else { ALONE }),
            zone: self.zone.clone(),
            host: advertised.host.clone(),
            port: advertised.port,
            shards: self.shards.unwrap_or(if shared { SHARED_SHARDS } else { ALONE_SHARDS }),
            write: self.write(),
            cache_bytes: self.cache_bytes.0,
            page_bytes: self.page_bytes.0,
            block_bytes: u32::try_from(self.block_bytes.0).ok().filter(|bytes| *bytes > 0),
            checkpoint: self.checkpoint(),
            lease: self.lease,
            exclusive: !shared,
            presence: Presence {
                listeners: others,
                peer,
                zones: ZoneRules {
                    networks: self.zone_networks.0.clone(),
                    listeners: self.zone_listeners.0.clone(),
                },
                warmup: self.warmup,
                ..Presence::default()
            },
        }
    }

    /// The compactor of this process.
    pub fn compactor(&self) -> CompactorSettings {
        CompactorSettings {
            zone: self.zone.clone(),
            interval: self.compactor_interval,
            lease: self.lease,
            merge: MergeRules {
                target_bytes: self.merge_segment.0,
                block_bytes: self.merge_block.bytes(),
                leave_bytes: self.merge_leave.0,
                fan_in: self.merge_fan_in.max(2),
                wait: self.merge_wait,
                inline_bytes: self.merge_inline.0,
                flushed_segments: self.merge_flushed,
            },
            compression: i32::try_from(self.merge_zstd).ok().filter(|level| *level != 0),
            grace: self.grace,
            bandwidth: Some(self.compactor_bandwidth.0).filter(|limit| *limit > 0),
            requests: Some(self.compactor_requests).filter(|limit| *limit > 0),
            key_map_bytes: self.key_map.bytes(),
            compact: self.compact_rules(),
            configs: self.kafka.clone(),
        }
    }

    fn compact_rules(&self) -> CompactRules {
        let defaults = CompactRules::default();
        let small_wait_ms = u64::try_from(self.key_wait.as_millis()).unwrap_or(u64::MAX);
        let plan = plan::Settings { small_wait_ms, ..defaults.plan };
        CompactRules { plan, look: defaults.look.min(self.key_wait / 10), ..defaults }
    }

    /// Bounds of the Kafka listener.
    pub fn limits(&self) -> ServerLimits {
        ServerLimits {
            max_connections: self.max_connections,
            in_flight: self.in_flight,
            request_bytes: self.request_bytes.bytes(),
            stall: self.stall,
            write: self.write_stall,
            grace: self.shutdown_timeout,
        }
    }

    /// Connections that may wait to be accepted.
    pub fn backlog(&self) -> u32 {
        self.broker_config().socket_listen_backlog.clamp(128, 65_535)
    }

    /// Kafka's broker configs as these settings fix them.
    fn broker_config(&self) -> BrokerConfig {
        let none = Overrides::new();
        BrokerConfig::resolve(BrokerLayers { broker: &none, cluster: &none, fixed: &self.kafka })
    }

    fn write(&self) -> WriteSettings {
        let compression = match self.compression {
            Compress::Off => BlockCompression::Off,
            Compress::Auto => {
                BlockCompression::Auto { level: i32::try_from(self.compression_level).unwrap_or(1) }
            }
        };
        WriteSettings {
            policy: PolicySettings {
                flush_bytes: self.flush_bytes.bytes(),
                flush_interval: self.flush_interval,
                inline_bytes: self.inline_bytes.bytes(),
                inline_bytes_per_second: self.inline_bytes_per_second.0 as f64,
                puts_per_second: self.puts_per_second,
                quiet: self.flush_quiet,
                max_uploads: self.max_uploads,
                few_uploads: self.few_uploads,
            },
            compression,
            buffer_bytes: self.buffer_bytes.bytes(),
            upload_timeout: self.upload_timeout,
            patience: self.flush_patience,
        }
    }

    fn checkpoint(&self) -> CheckpointSettings {
        let expiration = self.broker_config().transactions.producer_id_expiration_ms;
        CheckpointSettings {
            interval: self.checkpoint_interval,
            floor_lag: self.floor_lag,
            lease: self.checkpoint_lease,
            producer_expiration: Duration::from_millis(expiration),
        }
    }
}

/// What others are told to connect to, if this was said, and this is where one was to listen, and does.
fn known_as(said: Option<&HostPort>, listen: &HostPort, bound: &HostPort) -> HostPort {
    match said {
        Some(said) => said.clone(),
        None if listen.is_any() => HostPort { host: machine(), port: bound.port },
        None => HostPort { host: listen.host.clone(), port: bound.port },
    }
}

/// This machine's name, as its clients may know it.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

pub(super) fn objects(settings: &Settings) -> Options {
    let defaults = Requests::default();
    let hedge = |bounds: Option<Hedge>| bounds.filter(|_| settings.hedge);
    let credentials = settings.access_key_id.clone().map(|access_key_id| Credentials {
        access_key_id,
        secret_access_key: settings.secret_access_key.clone().unwrap_or_else(|| Secret::new("")),
        session_token: settings.session_token.clone(),
    });
    Options {
        endpoint: settings.endpoint.clone(),
        region: settings.region.clone(),
        credentials,
        profile: settings.profile.clone(),
        google_service_account: settings.google_service_account.clone().map(Into::into),
        anonymous: settings.anonymous,
        allow_http: settings.allow_http,
        virtual_host: settings.virtual_host,
        unsigned_payload: settings.unsigned_payload,
        requests: Requests {
            max_puts: settings.max_puts,
            max_gets: settings.max_gets,
            timeout: settings.store_timeout,
            connect_timeout: settings.connect_timeout,
            tcp_user_timeout: settings.tcp_user_timeout,
            backoff_first: settings.backoff_first,
            backoff_max: settings.backoff_max,
            hedge_put: hedge(defaults.hedge_put),
            hedge_get: hedge(defaults.hedge_get),
        },
    }
}
