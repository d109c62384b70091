//! What FoundationDB cluster that needs.
//!
//! FoundationDB's cluster of 384 cores does 8.2 million operations of a mixed load, 21,000 a core (its documentation, performance.html). Below a core
//! counts as half of that, so that it is half idle at the rate told. docs/performance.md has the same on paper.

use crate::args::Args;
use crate::meter::Rates;

/// Keys that one core reads or writes a second in a large cluster, of a load of mostly reads, half used.
const OPERATIONS: f64 = 10_500.0;
/// A transaction's own cost, as so many operations: getting a read version, and committing.
const PER_VERSION: f64 = 1.0;
const PER_COMMIT: f64 = 4.0;
/// Every write goes to so many storage servers, and to as many logs.
const REPLICAS: f64 = 3.0;

/// Prints a table, and what follows from it.
pub(crate) fn tell(args: &Args, idle: &Rates, busy: &Rates, written: u64) {
    let gib = written as f64 / f64::from(1 << 30);
    let per_second = gib / args.seconds.as_secs_f64();
    println!("{:.2} GiB/s were acknowledged", per_second);
    println!(
        "| | idle, a second | under load, a second | for each agent | for each GiB |\n|---|---|---|---|---|"
    );
    let row = |what: &str, of: fn(&Rates) -> f64| {
        let (idle, busy) = (of(idle), of(busy));
        println!(
            "| {what} | {idle:.0} | {busy:.0} | {:.2} | {:.0} |",
            busy / args.agents as f64,
            busy / per_second
        );
    };
    row("read versions", |rates| rates.versions);
    row("gets", |rates| rates.gets);
    row("range reads", |rates| rates.ranges);
    row("keys read", |rates| rates.keys_read);
    row("bytes read", |rates| rates.bytes_read);
    row("commits", |rates| rates.commits);
    row("commits aborted", |rates| rates.conflicts);
    row("mutations", |rates| rates.keys_written);
    row("bytes written", |rates| rates.bytes_written);
    println!(
        "| watches open | {:.0} | {:.0} | {:.2} | |",
        idle.watches,
        busy.watches,
        busy.watches / args.agents as f64
    );
    let reads = busy.gets + busy.ranges + busy.keys_read;
    let operations =
        reads + busy.versions * PER_VERSION + busy.commits * PER_COMMIT + busy.keys_written * REPLICAS * 2.0;
    println!(
        "{:.0} operations a second as FoundationDB counts them: {:.0} cores, half used; logs take {:.1} MiB/s, and three times that on disks",
        operations,
        (operations / OPERATIONS).ceil(),
        busy.bytes_written / f64::from(1 << 20),
    );
}
