//! The listening sockets. They outlive engines: while one engine follows another, connections wait.

use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};

use siltstone_agent::kafka::NamedListener;
use siltstone_log::{Endpoint, Listener};
use tokio::net::{TcpListener, TcpSocket};

use crate::failure::Failure;
use crate::settings::Settings;
use crate::settings::value::HostPort;

/// Watchers that may wait to be accepted.
const HTTP_BACKLOG: u32 = 64;
/// Agents that may.
const PEER_BACKLOG: u32 = 256;

/// The sockets, bound.
pub(super) struct Listeners {
    /// Those for Kafka clients, by name; the first has none. `None` once closed.
    kafka: Mutex<Option<Vec<(String, StdListener)>>>,
    http: StdListener,
    peer: Option<StdListener>,
    /// Where Kafka clients connect.
    pub(super) kafka_address: HostPort,
    /// Where metrics are.
    pub(super) http_address: HostPort,
    /// Further listeners, as clients reach them.
    pub(super) others: Vec<Listener>,
    /// Where other agents connect, if they may.
    pub(super) peer_address: Option<HostPort>,
}

impl Listeners {
    pub(super) fn bind(settings: &Settings) -> Result<Listeners, Failure> {
        let (kafka, kafka_address) =
            bind("listen.kafka", "--kafka", &settings.listen_kafka, settings.backlog())?;
        let mut sockets = vec![(String::new(), kafka)];
        let mut others = Vec::new();
        for (name, wanted) in &settings.listen_others.0 {
            let (socket, bound) = bind("listen.others", "--set listen.others", wanted, settings.backlog())?;
            let HostPort { host, port } = settings.advertised_other(name, &bound);
            others.push(Listener { name: name.clone(), place: Endpoint { host, port } });
            sockets.push((name.clone(), socket));
        }
        let (http, http_address) = http(settings)?;
        let peer = settings.peer_listen.as_ref();
        let peer =
            peer.map(|wanted| bind("peer.listen", "--set peer.listen=HOST:PORT", wanted, PEER_BACKLOG));
        let (peer, peer_address) = peer.transpose()?.unzip();
        Ok(Listeners {
            kafka: Mutex::new(Some(sockets)),
            http,
            peer,
            kafka_address,
            http_address,
            peer_address,
            others,
        })
    }

    /// The listeners for Kafka clients, for one engine's life.
    pub(super) fn kafka(&self) -> Result<Vec<NamedListener>, Failure> {
        let kafka = self.kafka.lock().unwrap_or_else(PoisonError::into_inner);
        let sockets = kafka.as_ref().ok_or_else(|| Failure::new("the listener is closed"))?;
        let named = |(name, socket): &(String, StdListener)| -> Result<NamedListener, Failure> {
            let socket = TcpListener::from_std(socket.try_clone()?)?;
            Ok(NamedListener { name: name.as_str().into(), socket })
        };
        sockets.iter().map(named).collect()
    }

    /// The listener for metrics.
    pub(super) fn http(&self) -> Result<TcpListener, Failure> {
        Ok(TcpListener::from_std(self.http.try_clone()?)?)
    }

    /// The listener for other agents, for one engine's life.
    pub(super) fn peer(&self) -> Result<Option<TcpListener>, Failure> {
        let Some(peer) = &self.peer else { return Ok(None) };
        Ok(Some(TcpListener::from_std(peer.try_clone()?)?))
    }

    /// Refuses new Kafka clients, as soon as the engine's listener is gone, too.
    pub(super) fn close(&self) {
        self.kafka.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The listener for metrics alone, and where it is.
pub(in crate::command) fn http(settings: &Settings) -> Result<(StdListener, HostPort), Failure> {
    bind("listen.http", "--http", &settings.listen_http, HTTP_BACKLOG)
}

fn bind(
    setting: &str,
    flag: &str,
    wanted: &HostPort,
    backlog: u32,
) -> Result<(StdListener, HostPort), Failure> {
    let failed = |why: String| {
        Failure::new(format!(
            "can't listen on {wanted} ({setting}): {why}; choose another address with {flag}"
        ))
    };
    let address = wanted.pair().to_socket_addrs().map_err(|error| failed(error.to_string()))?.next();
    let address = address.ok_or_else(|| failed("the name has no address".to_owned()))?;
    let listener = listen(address, backlog).map_err(|error| failed(error.to_string()))?;
    let bound = listener.local_addr().map_err(|error| failed(error.to_string()))?;
    Ok((listener, bound.into()))
}

fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<StdListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of a server that has just ended must not keep the next one from starting.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)?.into_std()
}
