//! Measures the embedded store: commits a second and their latency, by number of writers and kind of commit.
//!
//! `cargo run --release -p siltstone-store --example commit_bench [DIRECTORY]`: a file is made in the directory (default: the
//! system's temporary one, which must be on a real disk for the figures to mean anything) and removed at the end.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use siltstone_store::redb::{Options, RedbStore};
use siltstone_store::{Commit, Store};

const TIME: Duration = Duration::from_secs(4);

/// What a writer sends.
#[derive(Clone, Copy)]
enum Kind {
    /// A blind append of so many bytes.
    Append(usize),
    /// Reads a key of its own, and sets it: conflict check and overwrite.
    Update(usize),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = match std::env::args().nth(1) {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    };
    line(&format!("one fdatasync of 4 KiB: p50 {} µs", bare_sync(directory.path())?))?;
    line("writers  commit            commits/s   MiB/s   p50 µs   p99 µs")?;
    let kinds = [
        ("append 2 kB", Kind::Append(2_000)),
        ("update 2 kB", Kind::Update(2_000)),
        ("append 64 kB", Kind::Append(64_000)),
    ];
    for (name, kind) in kinds {
        for writers in [1, 10, 50] {
            let path = directory.path().join("bench.redb");
            let store = Arc::new(RedbStore::open(&path, Options::default())?);
            let latency = measure(&store, writers, kind).await?;
            let rate = latency.len() as f64 / TIME.as_secs_f64();
            let (Kind::Append(bytes) | Kind::Update(bytes)) = kind;
            line(&format!(
                "{writers:7}  {name:<16} {rate:>10.0} {:>7.1} {:>8} {:>8}",
                rate * bytes as f64 / f64::from(1 << 20),
                latency.value_at_quantile(0.5),
                latency.value_at_quantile(0.99),
            ))?;
            drop(store);
            std::fs::remove_file(&path)?;
        }
    }
    line(&format!("peak memory of the whole run: {}", peak_memory())).map_err(Into::into)
}

/// As Linux counts it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or_else(|| "not known here".to_owned(), |peak| peak.trim().to_owned())
}

/// Latencies in microseconds.
async fn measure(
    store: &Arc<RedbStore>,
    writers: u32,
    kind: Kind,
) -> Result<Histogram<u64>, Box<dyn std::error::Error>> {
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            let end = Instant::now() + TIME;
            while Instant::now() < end {
                let begun = Instant::now();
                store.commit(commit(&*store, writer, kind).await?).await?;
                latency.record(begun.elapsed().as_micros() as u64)?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latency)
        }));
    }
    let mut all = Histogram::new(3)?;
    for task in tasks {
        all.add(task.await?.map_err(|error| error.to_string())?)?;
    }
    Ok(all)
}

async fn commit(store: &dyn Store, writer: u32, kind: Kind) -> Result<Commit, siltstone_store::StoreError> {
    Ok(match kind {
        Kind::Append(bytes) => Commit::blind().stamped("log/", writer.to_be_bytes().to_vec(), vec![7; bytes]),
        Kind::Update(bytes) => {
            let (snapshot, key) = (store.snapshot().await?, format!("row/{writer}"));
            snapshot.get(key.as_bytes()).await?;
            Commit::at(snapshot.version()).read_key(key.clone()).set(key, vec![7; bytes])
        }
    })
}

/// The median time of a small write and its sync, microseconds: what no durable commit can beat.
fn bare_sync(directory: &std::path::Path) -> std::io::Result<u128> {
    let mut file = std::fs::File::create(directory.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn line(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
