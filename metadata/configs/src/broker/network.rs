//! Connections, requests, fetches, quotas and the threads that would serve them.

use crate::definition::{Definition, Scope};
use crate::kind::Kind;
use crate::reasons::{
    INTERNAL_TRAFFIC, JAVA, LIMIT, MEMORY, METRICS, QUOTA_WINDOWS, SECURITY, SOCKETS, THREADS,
};
use crate::rule::Rule;

/// `socket.request.max.bytes`.
pub(crate) const SOCKET_REQUEST_MAX_BYTES: Definition =
    Definition::new(Kind::Int, "socket.request.max.bytes", "104857600")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("The largest request that is taken, in bytes.");

/// `socket.listen.backlog.size`.
pub(crate) const SOCKET_LISTEN_BACKLOG_SIZE: Definition =
    Definition::new(Kind::Int, "socket.listen.backlog.size", "50")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How many connections may wait to be accepted.");

/// `connections.max.idle.ms`.
pub(crate) const CONNECTIONS_MAX_IDLE_MS: Definition =
    Definition::new(Kind::Long, "connections.max.idle.ms", "600000")
        .scope(Scope::ReadOnly)
        .doc("After how many milliseconds without a request a connection is closed.");

/// `max.connections`.
pub(crate) const MAX_CONNECTIONS: Definition = Definition::new(Kind::Int, "max.connections", "2147483647")
    .rule(Rule::AtLeast(0))
    .scope(Scope::ClusterWide)
    .doc("How many connections an agent takes.");

/// `fetch.max.bytes`.
pub(crate) const FETCH_MAX_BYTES: Definition = Definition::new(Kind::Int, "fetch.max.bytes", "57671680")
    .rule(Rule::AtLeast(1_024))
    .scope(Scope::ReadOnly)
    .doc(
        "The largest answer to a fetch, in bytes, whatever the consumer asks for. A first \
         batch that is larger is still sent.",
    );

/// `max.incremental.fetch.session.cache.slots`.
pub(crate) const MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS: Definition =
    Definition::new(Kind::Int, "max.incremental.fetch.session.cache.slots", "1000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .doc("How many fetch sessions an agent keeps.");

/// `telemetry.max.bytes`.
pub(crate) const TELEMETRY_MAX_BYTES: Definition =
    Definition::new(Kind::Int, "telemetry.max.bytes", "1048576")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("The largest push of client metrics, in bytes.");

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    SOCKET_REQUEST_MAX_BYTES,
    SOCKET_LISTEN_BACKLOG_SIZE,
    Definition::new(Kind::Int, "socket.receive.buffer.bytes", "102400")
        .scope(Scope::ReadOnly)
        .no_effect(SOCKETS)
        .doc("The receive buffer of a socket, in bytes."),
    Definition::new(Kind::Int, "socket.send.buffer.bytes", "102400")
        .scope(Scope::ReadOnly)
        .no_effect(SOCKETS)
        .doc("The send buffer of a socket, in bytes."),
    Definition::new(Kind::Long, "socket.connection.setup.timeout.ms", "10000")
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TRAFFIC)
        .doc("How long a broker waits for a connection to another."),
    Definition::new(Kind::Long, "socket.connection.setup.timeout.max.ms", "30000")
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TRAFFIC)
        .doc("How long a broker waits for a connection to another at most, after failures."),
    Definition::new(Kind::Int, "request.timeout.ms", "30000")
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TRAFFIC)
        .doc("How long a broker waits for an answer of another."),
    CONNECTIONS_MAX_IDLE_MS,
    Definition::new(Kind::Long, "connections.max.reauth.ms", "0")
        .scope(Scope::ReadOnly)
        .refused(SECURITY)
        .doc(
            "How long an authenticated session lasts before the client must authenticate anew, in \
             milliseconds; 0 is without end.",
        ),
    Definition::new(Kind::Int, "connection.failed.authentication.delay.ms", "100")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .refused(SECURITY)
        .doc("How long the answer to a failed authentication is held back, in milliseconds."),
    MAX_CONNECTIONS,
    Definition::new(Kind::Int, "max.connections.per.ip", "2147483647")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .refused(LIMIT)
        .doc("How many connections an agent takes from one address."),
    Definition::new(Kind::String, "max.connections.per.ip.overrides", "")
        .scope(Scope::ClusterWide)
        .refused(LIMIT)
        .doc("Limits of max.connections.per.ip for single addresses."),
    Definition::new(Kind::Int, "max.connection.creation.rate", "2147483647")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .refused(LIMIT)
        .doc("How many new connections a second an agent takes."),
    FETCH_MAX_BYTES,
    MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS,
    Definition::new(Kind::Int, "queued.max.requests", "500")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(MEMORY)
        .doc("How many requests may wait for a thread."),
    Definition::new(Kind::Long, "queued.max.request.bytes", "-1")
        .scope(Scope::ReadOnly)
        .no_effect(MEMORY)
        .doc("How many bytes of requests may wait for a thread."),
    TELEMETRY_MAX_BYTES,
    Definition::new(Kind::Int, "num.network.threads", "3")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(THREADS)
        .doc("How many threads serve connections."),
    Definition::new(Kind::Int, "num.io.threads", "8")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(THREADS)
        .doc("How many threads serve requests."),
    Definition::new(Kind::Int, "background.threads", "10")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(THREADS)
        .doc("How many threads do work that can wait."),
    Definition::unset(Kind::Class, "client.quota.callback.class")
        .scope(Scope::ReadOnly)
        .refused(JAVA)
        .doc("A Java class that decides quotas."),
    Definition::new(Kind::Int, "quota.window.num", "11")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(QUOTA_WINDOWS)
        .doc("How many windows client quotas are averaged over."),
    Definition::new(Kind::Int, "quota.window.size.seconds", "1")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(QUOTA_WINDOWS)
        .doc("How long a window of client quotas is."),
    Definition::new(Kind::Int, "controller.quota.window.num", "11")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(QUOTA_WINDOWS)
        .doc("How many windows quotas of topic changes are averaged over."),
    Definition::new(Kind::Int, "controller.quota.window.size.seconds", "1")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(QUOTA_WINDOWS)
        .doc("How long a window of quotas of topic changes is."),
    Definition::new(Kind::List, "metric.reporters", "org.apache.kafka.common.metrics.JmxReporter")
        .scope(Scope::ClusterWide)
        .refused(JAVA)
        .doc("Java classes that report metrics."),
    Definition::new(Kind::Int, "metrics.num.samples", "2")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(METRICS)
        .doc("How many samples a metric is computed from."),
    Definition::new(Kind::String, "metrics.recording.level", "INFO")
        .scope(Scope::ReadOnly)
        .no_effect(METRICS)
        .doc("Which metrics are recorded."),
    Definition::new(Kind::Long, "metrics.sample.window.ms", "30000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(METRICS)
        .doc("How long a sample of a metric is."),
    Definition::new(Kind::List, "config.providers", "")
        .scope(Scope::ClusterWide)
        .refused(JAVA)
        .doc("Java classes that fill variables in configs."),
];
