//! The HTTP client of all cloud stores. It is made here, and not by `object_store`, for one option that cannot be set there: how long a connection
//! may be silent. Requests on connections that nobody answers any more (a cut network, a host that is gone: nothing ends them) would else wait for
//! `timeout`, which has to leave time for a large PUT on a slow line, and all that is pooled may be of that kind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::client::{ClientConfigKey, HttpClient, HttpConnector};
use object_store::{ClientOptions, Error};
use reqwest::dns::{Name, Resolve, Resolving};

use crate::chance::Chance;
use crate::options::{Options, Requests};

/// Instance metadata is asked without TLS, and is either near or not there.
const METADATA_CONNECT: Duration = Duration::from_secs(1);

/// Makes clients that give up connections which have gone silent.
#[derive(Debug)]
pub(super) struct Connector {
    requests: Requests,
    allow_http: bool,
    chance: Arc<Chance>,
}

impl Connector {
    pub(super) fn new(options: &Options, chance: Arc<Chance>) -> Self {
        Connector { requests: options.requests.clone(), allow_http: options.allow_http, chance }
    }

    fn client(&self, plain: bool) -> reqwest::Result<reqwest::Client> {
        let Requests { max_puts, max_gets, timeout, connect_timeout, tcp_user_timeout, .. } = self.requests;
        let metadata = plain && !self.allow_http;
        let connect_timeout = if metadata { connect_timeout.min(METADATA_CONNECT) } else { connect_timeout };
        let builder = reqwest::Client::builder();
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout(tcp_user_timeout);
        #[cfg(not(target_os = "linux"))]
        let _ = tcp_user_timeout;
        builder
            .user_agent(concat!("siltstone/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(connect_timeout)
            .pool_max_idle_per_host(max_puts + max_gets)
            .http1_only()
            // Other crates may switch these on for all: an object's length is not that of its compressed form.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .https_only(!plain)
            .dns_resolver(Arc::new(Shuffled(Arc::clone(&self.chance))))
            .build()
    }
}

impl HttpConnector for Connector {
    /// Of the options only whether plain HTTP may be used is heeded, as that is not the same for all: the rest is ours.
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let client =
            self.client(plain).map_err(|error| Error::Generic { store: "HTTP", source: error.into() })?;
        Ok(HttpClient::new(client))
    }
}

/// A store's addresses in an order of chance, so that connections are spread over all of its hosts.
#[derive(Debug)]
struct Shuffled(Arc<Chance>);

impl Resolve for Shuffled {
    fn resolve(&self, name: Name) -> Resolving {
        let chance = Arc::clone(&self.0);
        Box::pin(async move {
            // The port is a placeholder: that of the URL is taken.
            let mut found: Vec<(u64, SocketAddr)> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .map(|address| (chance.next(), address))
                .collect();
            found.sort_unstable();
            let addresses: reqwest::dns::Addrs = Box::new(found.into_iter().map(|(_, address)| address));
            Ok(addresses)
        })
    }
}
