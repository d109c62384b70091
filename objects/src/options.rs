//! Settings of an object store: plain data, read once. What a URL does not say.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Keys given in settings; they win over the environment and profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// S3: the access key's id. Azure: the storage account's name.
    pub access_key_id: String,
    /// S3: the secret access key. Azure: the account's key, base64.
    pub secret_access_key: Secret,
    /// S3 only: the session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// Where and how to reach a store. The default suits the cloud that the URL names, with credentials from the environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// `https://host[:port]` of a store that is not the cloud's own (MinIO, Ceph, an emulator).
    pub endpoint: Option<String>,
    /// S3: the bucket's region. Default: environment, profile, `us-east-1`.
    pub region: Option<String>,
    /// Keys from settings.
    pub credentials: Option<Credentials>,
    /// S3: the profile in `~/.aws` to use; wins over keys in the environment. Default: `AWS_PROFILE`, `default`.
    pub profile: Option<String>,
    /// Google: a service account's JSON file. Default: environment, then the instance.
    pub google_service_account: Option<PathBuf>,
    /// Send no credentials at all.
    pub anonymous: bool,
    /// Allow an endpoint without TLS. Off by default, so that nobody sends data in the clear unawares.
    pub allow_http: bool,
    /// S3: `bucket.host/key` instead of `host/bucket/key`. Default: only for AWS itself, where no endpoint is given.
    pub virtual_host: Option<bool>,
    /// S3: leave the body out of the signature, which saves a SHA-256 of every byte. Default: true over TLS, false without.
    pub unsigned_payload: Option<bool>,
    /// Limits and times.
    pub requests: Requests,
}

/// Limits and times of requests. The defaults suit a cloud's store seen from inside that cloud.
#[derive(Debug, Clone, PartialEq)]
pub struct Requests {
    /// PUTs in flight at once, hedges included. Default 16.
    pub max_puts: usize,
    /// GETs, HEADs, DELETEs and LISTs in flight at once, hedges included. Default 32.
    pub max_gets: usize,
    /// The longest that one attempt may take. Default 30 s.
    pub timeout: Duration,
    /// The longest that connecting may take. Default 3 s.
    pub connect_timeout: Duration,
    /// The longest that what is sent may stay unacknowledged by the other side's system, or find no room there, before the connection counts as gone:
    /// Linux's `TCP_USER_TIMEOUT`, at least 1 ms. A store that is slow to answer is not concerned. Elsewhere such a request ends by `timeout`. Default 5 s.
    pub tcp_user_timeout: Duration,
    /// The pause before the first retry; it doubles from there. Default 50 ms.
    pub backoff_first: Duration,
    /// The longest pause between attempts. Default 3 s.
    pub backoff_max: Duration,
    /// When to send a slow PUT a second time. None: never. Not used for `file://`.
    pub hedge_put: Option<Hedge>,
    /// When to send a slow GET a second time. None: never. Not used for `file://`.
    pub hedge_get: Option<Hedge>,
}

/// Bounds of the wait before a second, equal request; between them it is three times what 95 % of the latest requests of
/// similar size took. Of twenty requests two may be hedged on average, so that a store in trouble is not given twice the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// Never hedge sooner.
    pub min: Duration,
    /// Always hedge by then; also the wait while too little is known.
    pub max: Duration,
}

impl Default for Requests {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            max_puts: 16,
            max_gets: 32,
            timeout: ms(30_000),
            connect_timeout: ms(3_000),
            tcp_user_timeout: ms(5_000),
            backoff_first: ms(50),
            backoff_max: ms(3_000),
            hedge_put: Some(Hedge { min: ms(300), max: ms(3_000) }),
            hedge_get: Some(Hedge { min: ms(100), max: ms(2_000) }),
        }
    }
}

impl Options {
    /// Every problem of these options, each beginning with the option's name; empty if there is none.
    pub fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_endpoint(&mut problems);
        if self.credentials.is_some() && self.profile.is_some() {
            problems.push("profile: can't be used together with credentials".into());
        }
        if self.anonymous && (self.credentials.is_some() || self.profile.is_some()) {
            problems.push("anonymous: can't be used together with credentials or profile".into());
        }
        if let Some(keys) = &self.credentials {
            if keys.access_key_id.is_empty() {
                problems.push("credentials.access_key_id: is empty".into());
            }
            if keys.secret_access_key.expose().is_empty() {
                problems.push("credentials.secret_access_key: is empty".into());
            }
        }
        self.requests.check(&mut problems);
        problems
    }

    fn check_endpoint(&self, problems: &mut Vec<String>) {
        let Some(endpoint) = &self.endpoint else { return };
        match Url::parse(endpoint) {
            Err(error) => problems.push(format!("endpoint: {endpoint:?} is no URL: {error}")),
            Ok(url) => match url.scheme() {
                "https" => {}
                "http" if self.allow_http => {}
                "http" => problems.push("allow_http: must be set for an endpoint without TLS".into()),
                other => {
                    problems.push(format!("endpoint: must begin with https:// or http://, not {other}://"))
                }
            },
        }
    }
}

impl Requests {
    fn check(&self, problems: &mut Vec<String>) {
        let mut demand = |ok: bool, problem: &str| {
            if !ok {
                problems.push(problem.into());
            }
        };
        demand((1..=10_000).contains(&self.max_puts), "requests.max_puts: must be from 1 to 10000");
        demand((1..=10_000).contains(&self.max_gets), "requests.max_gets: must be from 1 to 10000");
        demand(!self.timeout.is_zero(), "requests.timeout: must not be zero");
        demand(!self.connect_timeout.is_zero(), "requests.connect_timeout: must not be zero");
        let known = self.tcp_user_timeout >= Duration::from_millis(1); // less is none to Linux
        demand(known, "requests.tcp_user_timeout: must be at least 1 ms");
        demand(!self.backoff_first.is_zero(), "requests.backoff_first: must not be zero");
        demand(
            self.backoff_max >= self.backoff_first,
            "requests.backoff_max: must not be below backoff_first",
        );
        let ordered = |hedge: &Option<Hedge>| hedge.is_none_or(|h| h.max >= h.min && !h.max.is_zero());
        demand(ordered(&self.hedge_put), "requests.hedge_put: max must be at least min, and not zero");
        demand(ordered(&self.hedge_get), "requests.hedge_get: max must be at least min, and not zero");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_at_once() {
        let mut options = Options { endpoint: Some("http://127.0.0.1:9000".into()), ..Options::default() };
        options.requests.max_puts = 0;
        options.requests.tcp_user_timeout = Duration::from_micros(999);
        options.requests.backoff_max = Duration::ZERO;
        let problems = options.validate();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems.iter().any(|p| p.starts_with("allow_http:")));
        assert!(problems.iter().any(|p| p.starts_with("requests.max_puts:")));
        assert!(problems.iter().any(|p| p.starts_with("requests.tcp_user_timeout:")));
        assert!(problems.iter().any(|p| p.starts_with("requests.backoff_max:")));
        assert!(Options::default().validate().is_empty());
    }

    #[test]
    fn secrets_are_not_printed() {
        let keys = Credentials {
            access_key_id: "id".into(),
            secret_access_key: Secret::new("tell-nobody"),
            session_token: None,
        };
        assert!(!format!("{keys:?}").contains("tell-nobody"));
    }
}
