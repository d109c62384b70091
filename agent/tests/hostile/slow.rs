//! Thousands of connections that are idle, and many that send slowly and hold memory meanwhile.

use std::time::Duration;

use siltstone_kafka::{ApiKey, api_versions};

use crate::kit::{Client, Server, batch};
use crate::{ALONE, Bystander, memory, memory_from_here};

const IDLE: usize = 3000;
/// Requests of so many bytes, more of them than the write budget has room for.
const SLOW: usize = 48;
const REQUEST: i32 = 1 << 20;

/// A Produce that begins and doesn't go on.
async fn begun(server: &Server) -> Client {
    let mut client = server.client().await;
    let mut head = REQUEST.to_be_bytes().to_vec();
    head.extend(ApiKey::Produce.code().to_be_bytes());
    head.extend([0, 9, 0, 0, 0, 1, 0xff, 0xff, 0]);
    client.raw(&head).await;
    client
}

/// As many descriptors as two ends of each connection need, if they are to be had.
fn room() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let files = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok()).unwrap_or(1024);
    (files.saturating_sub(200) / 2).min(IDLE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_slow_connections_are_in_nobodys_way() {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let before = memory_from_here();
    let mut idle = Vec::new();
    for _ in 0..room() {
        idle.push(server.client().await);
    }
    let bystander = Bystander::new(&server).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(begun(&server).await);
    }
    // A byte now and then: never quiet for long, and never done.
    let trickle = tokio::spawn(async move {
        loop {
            for client in &mut slow {
                client.try_raw(&[0]).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    // All the memory for Produce is held: in time, somebody else's turn comes nevertheless.
    let mut client = server.client().await;
    for _ in 0..3 {
        assert_eq!(client.produce("t", batch(&[b"a"])).await.error_code, 0);
    }
    trickle.abort();
    assert!(bystander.done().await > 10);
    for connection in &mut idle {
        assert_eq!(connection.call(0, &api_versions::Request::default()).await.error_code, 0);
    }
    if let (Some((now, _)), Some((_, most))) = (before, memory()) {
        assert!(most < now + 96, "memory grew from {now} to {most} MiB with {} connections", idle.len());
    }
}
