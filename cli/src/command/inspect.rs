//! `siltstone inspect`: what is in a segment, and in a shard of a stopped server's metadata.

mod segment;
mod shard;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::failure::Outcome;

/// What to look into.
#[derive(Debug, Subcommand)]
pub enum InspectCommand {
    /// Read a segment: footer, blocks, checksums; batches and records on request. Exit status 1 if anything is damaged.
    Segment(SegmentArgs),
    /// Read a shard of the metadata of a server that does not run. Changes nothing.
    Shard(ShardArgs),
}

/// Arguments of `segment`.
#[derive(Debug, Args)]
pub struct SegmentArgs {
    /// A file, or the URL of an object: that of the store, and the object's name behind it (s3://bucket/prefix/seg/...).
    segment: String,
    /// Also list the batches of each block.
    #[arg(long)]
    batches: bool,
    /// Also list the records of each batch.
    #[arg(long)]
    records: bool,
    /// A TOML file of settings: how to reach the store. Default: as for a server.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Arguments of `shard`.
#[derive(Debug, Args)]
pub struct ShardArgs {
    /// The shard's number.
    shard: u16,
    /// The server's data directory.
    #[arg(long, value_name = "DIR", default_value = "./siltstone-data")]
    data: PathBuf,
    /// Entries of the log to show, the latest ones.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    entries: usize,
}

/// Runs the command.
pub(crate) async fn run(command: InspectCommand) -> Outcome {
    match command {
        InspectCommand::Segment(args) => segment::run(&args).await,
        InspectCommand::Shard(args) => shard::run(&args).await,
    }
}
