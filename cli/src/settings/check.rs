//! Rules between settings, and limits of single ones.

use std::collections::BTreeMap;
use std::time::Duration;

use super::parts;
use super::table::Settings;
use super::value::{HostPort, Size, Value};

/// Kafka's configs that are facts about a server, and the settings that they follow from.
pub(super) const FACTS: [(&str, &str); 5] = [
    ("node.id", "node.id"),
    ("broker.id", "node.id"),
    ("broker.rack", "node.zone"),
    ("listeners", "listen.kafka"),
    ("advertised.listeners", "listen.advertised"),
];

/// Bytes that a flush must at least have room for: a smaller one would be all requests and no data.
const LEAST_FLUSH: u64 = 64 << 10;

/// Every rule that is broken: the setting to look at, and why.
pub(super) fn check(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    let mut demand = |ok: bool, name: &'static str, why: String| {
        if !ok {
            broken.push((name, why));
        }
    };
    let at_most =
        |limit: &str, size: Size| format!("must be at most {limit} ({})", size.show().unwrap_or_default());
    let s = settings;
    demand(!s.data.is_empty(), "data", "must not be empty".to_owned());
    demand(
        s.node_id.is_none_or(|node| i32::try_from(node).is_ok()),
        "node.id",
        "must be at most 2147483647".to_owned(),
    );
    demand(
        s.shards.is_none_or(|shards| (1..=4096).contains(&shards)),
        "cluster.shards",
        "must be from 1 to 4096".to_owned(),
    );
    demand(s.workers <= 1024, "node.workers", "must be at most 1024".to_owned());
    demand(s.flush_bytes.0 >= LEAST_FLUSH, "flush.bytes", "must be at least 64KiB".to_owned());
    demand(s.flush_bytes.0 <= 1 << 30, "flush.bytes", "must be at most 1GiB".to_owned());
    demand(s.flush_bytes <= s.buffer_bytes, "flush.bytes", at_most("buffer.bytes", s.buffer_bytes));
    demand(s.inline_bytes.0 <= 1 << 20, "inline.bytes", "must be at most 1MiB".to_owned());
    demand(s.page_bytes.0 >= 4096, "cache.page_bytes", "must be at least 4KiB".to_owned());
    demand(
        s.block_bytes.0 == 0 || (4096..=1 << 20).contains(&s.block_bytes.0),
        "cache.block_bytes",
        "must be 0, or from 4KiB to 1MiB".to_owned(),
    );
    demand(s.page_bytes <= s.cache_bytes, "cache.page_bytes", at_most("cache.bytes", s.cache_bytes));
    demand(s.max_connections >= 1, "limits.connections", "must be at least 1".to_owned());
    demand((1..=10_000).contains(&s.in_flight), "limits.in_flight", "must be from 1 to 10000".to_owned());
    demand(s.request_bytes.0 >= 1 << 20, "limits.request_bytes", "must be at least 1MiB".to_owned());
    demand(s.answer_bytes.0 >= 1 << 20, "limits.answer_bytes", "must be at least 1MiB".to_owned());
    demand(s.description_bytes.0 >= 1 << 20, "limits.description_bytes", "must be at least 1MiB".to_owned());
    demand(s.metadata_cache.0 >= 1 << 20, "metadata.cache_bytes", "must be at least 1MiB".to_owned());
    demand(s.puts_per_second >= 0.1, "flush.puts_per_second", "must be at least 0.1".to_owned());
    demand((1..=1000).contains(&s.max_uploads), "flush.max_uploads", "must be from 1 to 1000".to_owned());
    demand(
        (1..=22).contains(&s.compression_level),
        "flush.compression_level",
        "must be from 1 to 22".to_owned(),
    );
    demand(
        s.checkpoint_lease > s.checkpoint_interval * 2,
        "checkpoint.lease",
        "must be more than two times checkpoint.interval".to_owned(),
    );
    let unknown = stray(&s.advertised_others.0, &s.listen_others.0);
    demand(unknown.is_none(), "listen.others_advertised", unknown.unwrap_or_default());
    let unknown = stray(&s.zone_listeners.0, &s.listen_others.0);
    demand(unknown.is_none(), "zones.listeners", unknown.unwrap_or_default());
    for (name, value) in times(settings) {
        demand(!value.is_zero(), name, "must not be 0".to_owned());
    }
    demand(
        s.access_key_id.is_some() == s.secret_access_key.is_some(),
        "store.access_key_id",
        "must be given together with store.secret_access_key".to_owned(),
    );
    peer(settings, &mut demand);
    let stated = parts::objects(settings).validate();
    broken.extend(stated.into_iter().map(|problem| ("store.url", problem)));
    if let Err(why) = siltstone_objects::StoreUrl::parse(&s.store_url) {
        broken.push(("store.url", why.trim_start_matches("url: ").to_owned()));
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&s.log_level) {
        broken.push(("log.level", error.to_string()));
    }
    broken
}

/// A name that is given something and is no listener's, in words.
fn stray<V>(names: &BTreeMap<String, V>, listeners: &BTreeMap<String, HostPort>) -> Option<String> {
    let name = names.keys().find(|name| !listeners.contains_key(*name))?;
    Some(format!("{name:?} is not in listen.others"))
}

/// What agents are to each other.
fn peer(s: &Settings, demand: &mut impl FnMut(bool, &'static str, String)) {
    demand(
        s.peer_listen.is_none() || s.metadata_url.is_some(),
        "peer.listen",
        "needs metadata.url: a server that is alone has nobody to listen for".to_owned(),
    );
    let files = [&s.peer_certificate, &s.peer_key, &s.peer_authority].map(Option::is_some);
    demand(
        files == [true; 3] || files == [false; 3],
        "peer.certificate",
        "must be given together with peer.key and peer.authority".to_owned(),
    );
    demand(
        s.peer_name.is_none() || files == [true; 3],
        "peer.name",
        "needs peer.certificate: without it nobody is checked".to_owned(),
    );
    demand(
        s.peer_advertised.is_none() || s.peer_listen.is_some(),
        "peer.advertised",
        "needs peer.listen".to_owned(),
    );
    demand(s.peer_answer_bytes.0 >= 1 << 20, "peer.answer_bytes", "must be at least 1MiB".to_owned());
}

fn times(settings: &Settings) -> [(&'static str, Duration); 10] {
    [
        ("node.lease", settings.lease),
        ("flush.interval", settings.flush_interval),
        ("flush.timeout", settings.upload_timeout),
        ("flush.patience", settings.flush_patience),
        ("checkpoint.interval", settings.checkpoint_interval),
        ("checkpoint.floor_lag", settings.floor_lag),
        ("shutdown.timeout", settings.shutdown_timeout),
        ("peer.patience", settings.peer_patience),
        ("limits.stall", settings.stall),
        ("limits.write", settings.write_stall),
    ]
}
