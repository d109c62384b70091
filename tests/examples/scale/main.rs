//! A large cluster in one process and virtual time: how much its agents ask of the metadata store, and what FoundationDB that needs.
//!
//! ```text
//! scale [--agents 1000] [--partitions 200000] [--shards 256] [--zones 3] [--mib 1024] [--batch 5120] [--settle 90] [--seconds 15]
//! ```
//!
//! The agents are real ([`Engine`]), with the defaults of an agent on S3, on the store in memory, which counts what it is asked. Every partition is written
//! at the same rate through the agent that clients of some zone are sent to; `--mib` is what all of them get in a second, `--batch` the bytes of a batch. An
//! object takes 30 ms and a metadata transaction 2 ms, so that flushes and followers are as far apart as they would be. Bytes of records are not kept. After
//! `--settle` seconds, until leases are taken, checkpoints have come and every agent knows all others, it counts for `--seconds`: of its own time. Consumers are left out: reading what is new asks the metadata for nothing, by
//! design.
#![allow(clippy::print_stdout, reason = "a program for people")]

mod args;
mod bucket;
mod cluster;
mod load;
mod meter;
mod sizing;

use args::Args;
use tokio::time::sleep;

pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args = Args::parse()?;
    let meter = meter::Meter::install()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let began = std::time::Instant::now();
        let agents = cluster::start(&args).await?;
        sleep(args.settle).await;
        let idle = meter.over(args.seconds).await;
        let partitions = cluster::partitions(&args, &agents).await?;
        println!(
            "{} agents and {} partitions stand after {:.0} s of this machine's time",
            agents.len(),
            partitions.len(),
            began.elapsed().as_secs_f64()
        );
        let load = load::Load::begin(&args, &agents, &partitions).await?;
        sleep(args.settle).await;
        let before = load.written();
        let busy = meter.over(args.seconds).await;
        let written = load.written() - before;
        drop(load);
        sizing::tell(&args, &idle, &busy, written);
        println!("in {:.0} s of this machine's time", began.elapsed().as_secs_f64());
        Ok(())
    })
}
