//! Measures the PostgreSQL backend: commits a second and their latency by number of callers, and what reads take.
//!
//! `cargo run --release -p siltstone-store --features postgres --example postgres_bench postgres://USER@HOST/DATABASE [HANDLES]`: an empty
//! database, which is left full. With several handles the callers are shared out among them, as if each were an agent.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use siltstone_store::postgres::{Address, Options, PostgresStore};
use siltstone_store::{Commit, KeyRange, RangeLimit, Store};

const TIME: Duration = Duration::from_secs(4);

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What a caller does.
#[derive(Clone, Copy)]
enum Kind {
    /// A blind append of so many bytes.
    Append(usize),
    /// What an agent commits with each flush: reads two rows that seldom change, appends, sets two rows.
    Flush(usize),
    /// A fresh snapshot.
    Snapshot,
    /// A fresh snapshot and one value.
    Get,
    /// A fresh snapshot and the last entries of the log, up to 100.
    Tail,
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the URL of an empty database is missing")?;
    let handles = arguments.next().map_or(Ok(1), |handles| handles.parse::<usize>())?;
    let mut stores = Vec::new();
    for _ in 0..handles.max(1) {
        stores.push(Arc::new(PostgresStore::open(Address::parse(&url)?, Options::default()).await?));
    }
    line("callers  what              a second   p50 µs   p99 µs")?;
    let kinds = [
        ("append 200 B", Kind::Append(200)),
        ("append 2 kB", Kind::Append(2_000)),
        ("flush 200 B", Kind::Flush(200)),
        ("flush 60 kB", Kind::Flush(60_000)),
        ("snapshot", Kind::Snapshot),
        ("snapshot, get", Kind::Get),
        ("snapshot, tail", Kind::Tail),
    ];
    for (name, kind) in kinds {
        for callers in [1, 8, 32] {
            let latency = measure(&stores, callers, kind).await?;
            let rate = latency.len() as f64 / TIME.as_secs_f64();
            let (p50, p99) = (latency.value_at_quantile(0.5), latency.value_at_quantile(0.99));
            line(&format!("{callers:7}  {name:<16} {rate:>9.0} {p50:>8} {p99:>8}"))?;
        }
    }
    Ok(())
}

/// Latencies in microseconds.
async fn measure(stores: &[Arc<PostgresStore>], callers: u32, kind: Kind) -> Result<Histogram<u64>, Failed> {
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let store = stores[caller as usize % stores.len()].clone();
        tasks.push(tokio::spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            let mut known = store.snapshot().await?.version();
            let end = Instant::now() + TIME;
            while Instant::now() < end {
                let begun = Instant::now();
                known = once(&*store, caller, kind, known).await?;
                latency.record(u64::try_from(begun.elapsed().as_micros())?)?;
            }
            Ok::<_, Failed>(latency)
        }));
    }
    let mut all = Histogram::new(3)?;
    for task in tasks {
        all.add(task.await??)?;
    }
    Ok(all)
}

async fn once(
    store: &dyn Store,
    caller: u32,
    kind: Kind,
    known: siltstone_store::Version,
) -> Result<siltstone_store::Version, Failed> {
    let log = caller.to_be_bytes().to_vec();
    let commit = match kind {
        Kind::Append(bytes) => Commit::blind().stamped("log/", log, vec![7; bytes]),
        Kind::Flush(bytes) => {
            let reads = Commit::at(known).read_key("registration").read_key("cluster");
            let row = [b"segment/".as_slice(), &log, &known.0.to_be_bytes()].concat();
            reads.stamped("log/", log, vec![7; bytes]).set(row, vec![7; 60]).set("tick", "")
        }
        read => {
            let snapshot = store.snapshot().await?;
            match read {
                Kind::Get => drop(snapshot.get(b"tick").await?),
                Kind::Tail => {
                    let limit = RangeLimit { entries: 100, bytes: 1 << 16, reverse: true };
                    drop(snapshot.range(&KeyRange::prefix("log/"), limit).await?);
                }
                _ => {}
            }
            return Ok(snapshot.version());
        }
    };
    Ok(store.commit(commit).await?.version)
}

fn line(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
