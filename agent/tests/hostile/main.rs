//! A live server and clients that lie about every length, are idle, or slow: it lives, its memory stays flat, others are served.
//!
//! Server and clients share this process, so its memory bounds the server's. A test binary of its own, so that no other test weighs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod describing;
#[path = "../data_plane/kit.rs"]
#[allow(dead_code, reason = "the kit of the data plane's tests, of which these need a part")]
mod kit;
mod lengths;
mod slow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use siltstone_kafka::{api_versions, metadata};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use kit::Server;

/// One test at a time: each weighs what this process takes.
static ALONE: Mutex<()> = Mutex::const_new(());

/// As [`memory`], the most from here on.
fn memory_from_here() -> Option<(u64, u64)> {
    // Documented in proc(5): 5 resets the peak.
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    memory()
}

/// Memory of this process: now and at most, MiB. `None` where there is no /proc.
fn memory() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

/// Somebody else, who asks again and again; each answer must come in time.
struct Bystander {
    stop: Arc<AtomicBool>,
    asked: JoinHandle<u32>,
}

impl Bystander {
    async fn new(server: &Server) -> Bystander {
        let mut client = server.client().await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let asked = tokio::spawn(async move {
            let mut asked = 0;
            while !stopped.load(Ordering::Relaxed) {
                assert_eq!(client.call(0, &api_versions::Request::default()).await.error_code, 0);
                client.call(9, &metadata::Request::default()).await;
                asked += 1;
                tokio::task::yield_now().await;
            }
            asked
        });
        Bystander { stop, asked }
    }

    /// How often it was answered.
    async fn done(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.asked.await.unwrap()
    }
}
