//! Runs the real binary: servers on free ports, commands with input, and waiting with a deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper: a failure here is the test's")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_siltstone");
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SILTSTONE_")) {
        command.env_remove(name);
    }
    // No settings file of whoever runs the tests.
    command.current_dir(std::env::temp_dir());
    command
}

/// Runs a command against the server at `kafka`.
pub fn siltstone(kafka: &str, args: &[&str], input: &str) -> Ended {
    let mut all = args.to_vec();
    all.extend(["-b", kafka]);
    if args[0] == "inspect" {
        all.truncate(args.len());
    }
    finish(command(&all), input)
}

/// Runs a command that needs no server.
pub fn plain(args: &[&str]) -> Ended {
    finish(command(args), "")
}

fn finish(mut command: Command, input: &str) -> Ended {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let ended = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ended {
        status: ended.status.code().unwrap_or(-1),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// Waits until `holds`.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process whose output is read line by line.
pub struct Child {
    child: std::process::Child,
    lines: Option<Receiver<String>>,
}

impl Child {
    pub fn spawn(kafka: &str, args: &[&str]) -> Child {
        let mut all = args.to_vec();
        all.extend(["-b", kafka]);
        Child::of(command(&all))
    }

    fn of(mut command: Command) -> Child {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        // Ends, and closes the pipe, at the next line after the receiver is gone.
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Child { child, lines: Some(lines) }
    }

    pub fn line(&mut self, patience: Duration) -> Option<String> {
        self.lines.as_ref()?.recv_timeout(patience).ok()
    }

    pub fn close_output(&mut self) {
        self.lines = None;
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn wait(&mut self, patience: Duration) -> Option<(i32, String)> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut err = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
                return Some((status.code().unwrap_or(-1), err));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on ports that the operating system chose.
pub struct Server {
    child: Child,
    pub kafka: String,
    http: String,
    log: PathBuf,
}

impl Server {
    pub fn start(data: &Path) -> Server {
        Server::start_at(data, "127.0.0.1:0")
    }

    pub fn start_at(data: &Path, kafka: &str) -> Server {
        Server::run(&["standalone", "--kafka", kafka], data)
    }

    /// A server or a compactor, whose output ends its beginning with three lines to try, or with where objects are.
    pub fn run(args: &[&str], data: &Path) -> Server {
        let mut all = args.to_vec();
        all.extend(["--data", data.to_str().unwrap(), "--http", "127.0.0.1:0"]);
        let mut command = command(&all);
        let log = data.join("server.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        command.stderr(file);
        let mut child = Child::of(command);
        let (mut kafka, mut http) = (String::new(), String::new());
        while let Some(line) = child.line(PATIENCE) {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("kafka"), Some(at)) => kafka = at.to_owned(),
                (Some("objects"), Some(_)) if args[0] == "compactor" => break,
                (Some("http"), Some(at)) => http = at.trim_start_matches("http://").to_owned(),
                (Some("siltstone"), Some("consume")) => break,
                _ => {}
            }
        }
        let server = Server { child, kafka, http, log };
        assert!(!server.http.is_empty(), "the server did not start: {}", server.log());
        server
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.child.kill().unwrap();
        self.child.child.wait().unwrap();
    }

    /// SIGTERM; the status with which it ended.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// What a GET is answered, head and body.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// All files below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
