//! Settings of the PostgreSQL backend, and what can go wrong when a store is opened.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use url::Url;

/// Settings of the PostgreSQL backend. All are bounds; the defaults suit an agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections that read. With the one that commits, the one that listens and the one that tidies, a store uses three more.
    pub readers: usize,
    /// Reads under way on one connection; beyond it reads wait.
    pub reads_per_connection: usize,
    /// Commits waiting for the server, bytes; beyond it `commit` waits. At least one commit of any size always fits.
    pub queue_bytes: usize,
    /// Most commits sent as one PostgreSQL transaction.
    pub group_commits: usize,
    /// A group is closed by the commit with which it reaches so many bytes.
    pub group_bytes: usize,
    /// How long a read or a commit tries to reach the server, by connecting again if need be, before it is refused.
    pub patience: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long the server may work on one statement.
    pub statement_timeout: Duration,
    /// Snapshots are too old after this; at least [`crate::limits::SNAPSHOT_MILLIS`].
    pub snapshot_age: Duration,
    /// How long the server remembers which commit had which id. Far longer than [`Options::patience`].
    pub told_age: Duration,
    /// How often what no snapshot can see is removed.
    pub tidy_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            readers: 4,
            reads_per_connection: 64,
            queue_bytes: 32 << 20,
            group_commits: 256,
            group_bytes: 4 << 20,
            patience: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            snapshot_age: Duration::from_millis(2 * crate::limits::SNAPSHOT_MILLIS),
            told_age: Duration::from_secs(300),
            tidy_interval: Duration::from_secs(1),
        }
    }
}

/// Where a server is and how to sign on there. Its text, in errors and logs, never holds the password.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    /// A file of certificates to trust instead of the system's.
    pub(super) roots: Option<PathBuf>,
    place: String,
}

impl Address {
    /// Reads `postgres://user:password@host:port/database?...`. Parameters are those of `libpq`, as far as they are known;
    /// `sslmode` is `disable` or `verify-full` (`require` means the same here). Without it a connection to another machine is encrypted
    /// and its certificate checked, one to this machine is neither. `sslrootcert` names a file of certificates to trust.
    ///
    /// # Errors
    /// What is wrong, without the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err("it must begin with postgres://".to_owned());
        }
        let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let value =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let (mode, roots) = (value("sslmode"), value("sslrootcert").map(PathBuf::from));
        let kept = parameters.iter().filter(|(name, _)| name != "sslmode" && name != "sslrootcert");
        let kept: Vec<_> = kept.cloned().collect();
        match kept.is_empty() {
            true => url.set_query(None),
            false => drop(url.query_pairs_mut().clear().extend_pairs(kept)),
        }
        // Spaces as PostgreSQL's own programs read them.
        let query = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(query.as_deref());
        let mut config = Config::from_str(url.as_str()).map_err(|error| cause(&error))?;
        config.ssl_mode(ssl_mode(mode.as_deref(), &config)?);
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("siltstone");
        }
        Ok(Address { place: place(&config), config, roots })
    }

    /// The same, signing on with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn ssl_mode(given: Option<&str>, config: &Config) -> Result<SslMode, String> {
    match given {
        Some("disable") => Ok(SslMode::Disable),
        Some("require" | "verify-full") => Ok(SslMode::Require),
        Some(other) => Err(format!("sslmode={other} is not to be had: write disable or verify-full")),
        None if is_local(config) => Ok(SslMode::Disable),
        None => Ok(SslMode::Require),
    }
}

fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) if name == "localhost" => true,
        Host::Tcp(name) => name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let host = |(at, host): (usize, &Host)| match host {
        Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(at)),
        Host::Tcp(name) => format!("{name}:{}", port(at)),
        #[cfg(unix)]
        Host::Unix(path) => format!("{}:{}", path.display(), port(at)),
    };
    let hosts: Vec<_> = config.get_hosts().iter().enumerate().map(host).collect();
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgres://{user}{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

/// An error and what is behind it, in one line.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// Why a store could not be opened. Each names the server, never the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection, or it was refused: address, network, user, password, certificate.
    #[error("can't connect to {address}: {why}")]
    Unreachable {
        /// The server.
        address: Address,
        /// What happened.
        why: String,
    },
    /// The server answers, but can't hold a store: too old, or the user may not make tables.
    #[error("{address} can't hold the metadata: {why}")]
    Unfit {
        /// The server.
        address: Address,
        /// What is missing.
        why: String,
    },
    /// A store that a newer Siltstone wrote.
    #[error("{address} has format {found}, but this program knows up to {known}: use a newer one")]
    Newer {
        /// The server.
        address: Address,
        /// Its format number.
        found: i32,
        /// Ours.
        known: i32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let address = Address::parse("postgres://me:hidden@db.example:6432/silt?connect_timeout=3")
            .expect("an address");
        assert_eq!(address.to_string(), "postgres://me@db.example:6432/silt");
        assert!(!format!("{address:?} {:?}", address.config).contains("hidden"));
        let address = address.with_password("secret");
        assert!(!format!("{address:?} {:?}", address.config).contains("secret"));
        let wrong = Address::parse("postgres://me:hidden@db.example:x/silt").expect_err("a bad port");
        assert!(!wrong.contains("hidden"), "{wrong}");
        let wrong =
            Address::parse("postgres://me:hidden@db.example/silt?nonsense=1").expect_err("a bad parameter");
        assert!(!wrong.contains("hidden"), "{wrong}");
    }

    #[test]
    fn connections_to_other_machines_are_encrypted() {
        let mode = |text: &str| Address::parse(text).map(|address| address.config.get_ssl_mode());
        assert_eq!(mode("postgres://db.example/x"), Ok(SslMode::Require));
        assert_eq!(mode("postgres://db.example/x?sslmode=disable"), Ok(SslMode::Disable));
        assert_eq!(mode("postgresql://127.0.0.1/x"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://[::1]/x"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://localhost/x?sslmode=verify-full"), Ok(SslMode::Require));
        assert_eq!(mode("postgres:///x?host=/run/postgresql"), Ok(SslMode::Disable));
        assert!(mode("postgres://localhost/x?sslmode=prefer").is_err());
        assert!(mode("http://localhost/x").is_err());
    }

    #[test]
    fn parameters_are_passed_on() {
        let address = Address::parse("postgres://a/x?sslrootcert=/ca.pem&options=-c%20search_path%3Ds")
            .expect("an address");
        assert_eq!(address.config.get_options(), Some("-c search_path=s"));
        assert_eq!(address.roots, Some(PathBuf::from("/ca.pem")));
    }
}
