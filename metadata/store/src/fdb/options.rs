//! Settings of the FoundationDB backend, and what can go wrong when a store is opened.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Longest prefix, bytes: what [`crate::limits::KEY_BYTES`] leaves of FoundationDB's limit of 10,000.
pub const MAX_PREFIX: usize = 64;

/// Settings of the FoundationDB backend.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a read or a commit waits for the cluster before it is refused, or its result unknown.
    pub patience: Duration,
    /// Commits that take longer are told to the log.
    pub slow: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { patience: Duration::from_secs(10), slow: Duration::from_secs(1) }
    }
}

/// Files and rules of TLS, as FoundationDB's client takes them; each that is not set is taken from the client's own environment variables
/// (`FDB_TLS_CERTIFICATE_FILE` and so on).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, a PEM file.
    pub certificate: Option<String>,
    /// Its key, a PEM file.
    pub key: Option<String>,
    /// Whom to trust, a PEM file.
    pub authorities: Option<String>,
    /// What peers' certificates must say, such as `Check.Valid=1,S.O=Example`.
    pub verify_peers: Option<String>,
}

impl Tls {
    /// The place of the value that a URL gives under this name.
    fn named(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "tls_certificate_file" => Some(&mut self.certificate),
            "tls_key_file" => Some(&mut self.key),
            "tls_ca_file" => Some(&mut self.authorities),
            "tls_verify_peers" => Some(&mut self.verify_peers),
            _ => None,
        }
    }
}

/// Where a cluster is, and which part of it: `fdb:///etc/foundationdb/fdb.cluster?prefix=siltstone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `None`: what `FDB_CLUSTER_FILE` says, or the client's default place.
    pub cluster_file: Option<PathBuf>,
    /// All keys begin with it.
    pub prefix: String,
    /// For clusters that speak TLS. The first store of a process decides for all.
    pub tls: Tls,
}

impl Address {
    /// Reads `fdb:///path/of/fdb.cluster?prefix=name`; without a path `FDB_CLUSTER_FILE` or the client's default is taken, without a prefix `siltstone/`.
    /// Files and rules of TLS are `tls_certificate_file=`, `tls_key_file=`, `tls_ca_file=` and `tls_verify_peers=`, see [`Tls`].
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if url.scheme() != "fdb" {
            return Err("it must begin with fdb://".to_owned());
        }
        if url.host_str().is_some_and(|host| !host.is_empty()) {
            return Err("it names a file: fdb:///etc/foundationdb/fdb.cluster, with three slashes".to_owned());
        }
        let path = match url.path() {
            "" | "/" => None,
            _ => Some(url.to_file_path_of_any_scheme()?),
        };
        let (mut prefix, mut tls) = ("siltstone/".to_owned(), Tls::default());
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), tls.named(&name)) {
                ("prefix", _) => prefix = value.into_owned(),
                (_, Some(place)) => *place = Some(value.into_owned()),
                (other, None) => {
                    return Err(format!(
                        "{other}= is not known: there are prefix=, tls_certificate_file=, tls_key_file=, tls_ca_file= and tls_verify_peers="
                    ));
                }
            }
        }
        if prefix.len() > MAX_PREFIX {
            return Err(format!("a prefix of {} bytes; {MAX_PREFIX} are allowed", prefix.len()));
        }
        Ok(Address { cluster_file: path, prefix, tls })
    }
}

/// The path of a URL that is no `file:`.
trait FilePath {
    fn to_file_path_of_any_scheme(&self) -> Result<PathBuf, String>;
}

impl FilePath for Url {
    fn to_file_path_of_any_scheme(&self) -> Result<PathBuf, String> {
        let file = Url::parse(&format!("file://{}", self.path())).map_err(|error| error.to_string())?;
        file.to_file_path().map_err(|()| format!("{} is no path", self.path()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path =
            self.cluster_file.as_ref().map_or_else(|| "/".to_owned(), |path| path.display().to_string());
        write!(f, "fdb://{path}?prefix={}", self.prefix)
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("can't open {address}: {why}")]
pub struct OpenError {
    /// The cluster.
    pub address: String,
    /// What happened.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_file_and_a_prefix() {
        let parse = |text: &str| Address::parse(text);
        let plain = parse("fdb:///etc/foundationdb/fdb.cluster").expect("an address");
        assert_eq!(plain.cluster_file.as_deref(), Some("/etc/foundationdb/fdb.cluster".as_ref()));
        assert_eq!(plain.prefix, "siltstone/");
        assert_eq!(parse(&plain.to_string()), Ok(plain));
        let other = parse("fdb:///a%20b?prefix=x").expect("an address");
        assert_eq!((other.cluster_file.as_deref(), &*other.prefix), (Some("/a b".as_ref()), "x"));
        assert_eq!(parse("fdb://").expect("an address").cluster_file, None);
        let secured =
            parse("fdb:///x?tls_ca_file=/ca.pem&tls_verify_peers=Check.Valid%3D1").expect("an address");
        assert_eq!(secured.tls.authorities.as_deref(), Some("/ca.pem"));
        assert_eq!((secured.tls.verify_peers.as_deref(), secured.tls.key), (Some("Check.Valid=1"), None));
        assert!(parse("fdb://host/x").is_err_and(|why| why.contains("three slashes")));
        assert!(parse("fdb:///x?nonsense=1").is_err_and(|why| why.contains("nonsense")));
        assert!(parse(&format!("fdb:///x?prefix={}", "p".repeat(65))).is_err());
        assert!(parse("postgres://a/b").is_err());
    }
}
