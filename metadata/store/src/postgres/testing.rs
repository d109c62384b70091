//! A PostgreSQL server for tests: one that is named, or one that is started and ends with the process.
//!
//! `SILTSTONE_TEST_POSTGRES` says which:
//!
//! * a URL: that server; its user must be allowed to make databases;
//! * `start`: one is started from the programs that are installed, and a test fails if there are none;
//! * nothing: one is started if it can be; else tests that need a server say so and pass. CI never leaves it at that.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::options::{Address, Options};
use super::session::Connector;

/// The environment's word on where the server is.
pub const VARIABLE: &str = "SILTSTONE_TEST_POSTGRES";

/// Makes a cluster, starts it, says so, and ends it once nobody holds the other end of the standard input.
const SCRIPT: &str = r#"
set -e
bin=$1 dir=$2 port=$3
"$bin/initdb" -D "$dir/data" -A trust -U siltstone -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1
"$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" -o "-p $port -k $dir -c listen_addresses=127.0.0.1 -c fsync=off \
    -c full_page_writes=off -c max_connections=500 -c max_prepared_transactions=0" start >"$dir/start.log" 2>&1
echo ready
cat >/dev/null
"$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
rm -rf "$dir"
"#;

/// Makes an authority, and a certificate of it for 127.0.0.1.
const CERTIFICATES: &str = r#"
set -e
cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $key -days 2 -subj /CN=test-authority -keyout authority.key -out authority.pem
openssl req $key -subj /CN=127.0.0.1 -keyout server.key -out server.csr
echo "subjectAltName=IP:127.0.0.1" >names
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out server.pem
chmod 600 server.key
chmod 755 .
"#;

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A server.
#[derive(Debug)]
pub struct Server {
    /// Up to the database's name.
    base: String,
    own: Option<Own>,
}

/// A server that was started here.
#[derive(Debug)]
struct Own {
    programs: PathBuf,
    directory: PathBuf,
    user: Option<u32>,
    /// Ends the server when its standard input is closed: at the latest when this process ends.
    keeper: Child,
}

/// What one can have.
enum Wanted {
    At(String),
    Started { or_else_fail: bool },
}

fn wanted() -> Wanted {
    match std::env::var(VARIABLE).as_deref() {
        Ok("start") => Wanted::Started { or_else_fail: true },
        Ok("") | Err(_) => Wanted::Started { or_else_fail: false },
        Ok(url) => Wanted::At(url.to_owned()),
    }
}

impl Server {
    /// The server of this process's tests; `Err` says why there is none.
    ///
    /// # Panics
    /// If there must be one and it can't be had.
    pub fn shared() -> Result<&'static Server, &'static str> {
        static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match wanted() {
            Wanted::At(url) => Ok(Server { base: base(&url), own: None }),
            Wanted::Started { .. } => Self::start(),
        });
        shared.as_ref().map_err(String::as_str)
    }

    /// A server that the caller alone uses, and may restart. Always started here.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Panics
    /// If `SILTSTONE_TEST_POSTGRES` says that there must be one, and it can't be started.
    pub fn start() -> Result<Server, String> {
        let started = Own::start();
        if let (Err(why), Wanted::Started { or_else_fail: true }) = (&started, wanted()) {
            panic!("{VARIABLE}=start, but {why}");
        }
        let (own, port) =
            started.map_err(|why| format!("no PostgreSQL server ({VARIABLE} is not set): {why}"))?;
        Ok(Server { base: format!("postgres://siltstone@127.0.0.1:{port}"), own: Some(own) })
    }

    /// The URL of a database on it.
    pub fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.base)
    }

    /// A new, empty database; its URL.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn database(&self) -> String {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("siltstone_test_{}_{number}", std::process::id());
        self.run(&format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    /// Runs a statement in the database `postgres`.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn run(&self, statement: &str) {
        run(&self.url("postgres"), statement).await;
    }

    /// From now on the server takes encrypted connections, too. Returns a file with the authority that its certificate is of.
    ///
    /// # Panics
    /// If it was not started here, or `openssl` is missing.
    pub async fn encrypt(&self) -> PathBuf {
        let own = self.own.as_ref().expect("a server that was started here");
        let mut shell = Command::new("sh");
        as_user(&mut shell, own.user);
        let made = shell.args(["-c", CERTIFICATES, "sh"]).arg(&own.directory).output().expect("a shell");
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        for (name, file) in [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
            self.run(&format!("ALTER SYSTEM SET {name} = '{}'", own.directory.join(file).display())).await;
        }
        self.run("ALTER SYSTEM SET ssl = on").await;
        self.run("SELECT pg_reload_conf()").await;
        own.directory.join("authority.pem")
    }

    /// The server's socket directory.
    ///
    /// # Panics
    /// If it was not started here.
    pub fn directory(&self) -> &Path {
        &self.own.as_ref().expect("a server that was started here").directory
    }

    /// Kills the server's processes as a crash does, and starts it again.
    ///
    /// # Panics
    /// If it was not started here, or does not come back.
    pub fn crash_and_restart(&self) {
        self.control(&["-m", "immediate", "restart"]);
    }

    /// Kills the server's processes as a crash does.
    ///
    /// # Panics
    /// If it was not started here.
    pub fn crash(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it was not started here, or does not come back.
    pub fn recover(&self) {
        self.control(&["start"]);
    }

    fn control(&self, arguments: &[&str]) {
        let own = self.own.as_ref().expect("a server that was started here");
        // As it was started the first time.
        let options = std::fs::read_to_string(own.directory.join("data/postmaster.opts"))
            .expect("the server's options");
        let options =
            options.split_once(' ').map(|(_, options)| options.trim().to_owned()).unwrap_or_default();
        let mut control = own.command("pg_ctl");
        control.arg("-D").arg(own.directory.join("data")).args(["-w", "-t", "60", "-l"]);
        control.arg(own.directory.join("log")).arg("-o").arg(options).args(arguments);
        let status = control.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("pg_ctl runs");
        assert!(status.success(), "pg_ctl {arguments:?}: {status}");
    }
}

/// Runs a statement in the database of this URL.
///
/// # Panics
/// If the server refuses.
pub async fn run(url: &str, statement: &str) {
    let address = Address::parse(url).expect("a URL");
    let connector = Connector::new(address, Options::default()).expect("a connector");
    let session = connector.connect(|_| {}).await.expect("a connection");
    session.batch(statement).await.unwrap_or_else(|trouble| panic!("{statement}: {}", trouble.text()));
}

/// Without the database's name.
fn base(url: &str) -> String {
    let after = url.find("://").map_or(0, |at| at + 3);
    url[after..].find('/').map_or_else(|| url.to_owned(), |at| url[..after + at].to_owned())
}

impl Own {
    fn start() -> Result<(Own, u16), String> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let programs = programs().ok_or("there is no initdb under /usr/lib/postgresql")?;
        let text = |error: std::io::Error| error.to_string();
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("siltstone-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory).map_err(text)?;
        let user = unprivileged();
        if let Some(user) = user {
            std::os::unix::fs::chown(&directory, Some(user), None).map_err(text)?;
        }
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_err(text)?.port();
        let mut shell = Command::new("sh");
        as_user(&mut shell, user);
        shell.args(["-c", SCRIPT, "sh"]).arg(&programs).arg(&directory).arg(port.to_string());
        let mut keeper = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(text)?;
        let mut said = String::new();
        if let Some(output) = keeper.stdout.take() {
            BufReader::new(output).read_line(&mut said).map_err(text)?;
        }
        if said != "ready\n" {
            let log = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
            let why = [log("initdb.log"), log("start.log"), log("log")].concat();
            return Err(format!("a server did not start: {why}"));
        }
        Ok((Own { programs, directory, user, keeper }, port))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        as_user(&mut command, self.user);
        command
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn as_user(command: &mut Command, user: Option<u32>) {
    command.current_dir("/");
    if let Some(user) = user {
        command.uid(user);
    }
}

/// Where the server's programs are: the newest that are installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = versions.filter_map(|version| Some(version.ok()?.path())).filter_map(|path| {
        let bin = path.join("bin");
        bin.join("initdb").exists().then_some((number(&path)?, bin))
    });
    found.max().map(|(_, bin)| bin)
}

/// The user to run as, if this process is one that the server refuses to run as.
fn unprivileged() -> Option<u32> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let id = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    id("postgres").or_else(|| id("nobody"))
}
