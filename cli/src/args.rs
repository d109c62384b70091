//! The command line: what can be written, and nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command::{
    bench, compactor, consume, erase, features, fsck, group, inspect, produce, restored, topic,
};
use crate::settings::Flags;
use crate::settings::value::HostPort;

/// A Kafka-compatible log that keeps its data in object storage.
#[derive(Debug, Parser)]
#[command(
    name = "siltstone",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server: everything in one process, on a local directory and an object store.
    Standalone(ServerArgs),
    /// Run an agent: one of several servers on a shared metadata store and a shared object store.
    Agent(ServerArgs),
    /// Run a process that only works in the background: merge, retention, compaction, reclaim. Or show what it would do.
    Compactor(Box<compactor::CompactorArgs>),
    /// Check that metadata and bucket agree: what is missing, left over, or damaged. Exit status 0 only if nothing is wrong.
    Fsck(fsck::FsckArgs),
    /// Show which feature level the cluster is at and who follows which; raise it after an upgrade of all programs.
    Features(features::FeaturesArgs),
    /// Say that the metadata was restored from a backup: whoever the backup knew is over. Once, before any agent starts.
    Restored(restored::RestoredArgs),
    /// Create, list, describe, alter and delete topics.
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Erase all records of keys for good, out of every object, with a receipt.
    Erase(erase::EraseArgs),
    /// List, describe, move and delete groups of consumers.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Write lines from standard input to a topic.
    #[command(visible_alias = "p")]
    Produce(produce::ProduceArgs),
    /// Read records of a topic.
    #[command(visible_alias = "c")]
    Consume(consume::ConsumeArgs),
    /// Measure throughput and latency of any Kafka-compatible server.
    Bench(bench::BenchArgs),
    /// Look inside a segment, or inside a shard of a stopped server.
    #[command(subcommand)]
    Inspect(inspect::InspectCommand),
    /// Print a server's settings as they hold, and where each came from.
    Config(ServerArgs),
    /// Print the version.
    Version,
}

/// Where the server is.
#[derive(Debug, Clone, Args)]
pub struct ServerAddress {
    /// Where to find the cluster; several addresses with commas.
    #[arg(
        short,
        long,
        env = "SILTSTONE_BOOTSTRAP",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9092"
    )]
    #[arg(alias = "kafka", global = true)]
    pub bootstrap: String,
}

impl ServerAddress {
    /// A client that begins there.
    pub fn client(&self) -> crate::client::Client {
        crate::client::Client::new(&self.bootstrap, "siltstone")
    }
}

/// Settings of a server that have flags of their own.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerArgs {
    /// Directory of the metadata, and of the objects unless --store says otherwise.
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// The object store: file:///dir, s3://bucket/prefix, gs://, az://, memory://.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The metadata store that agents share: postgres://user@host/database, or fdb:///path/of/fdb.cluster.
    #[arg(long, value_name = "URL")]
    pub metadata: Option<String>,
    /// Shards of the metadata, if the cluster has to be made.
    #[arg(long, value_name = "NUMBER")]
    pub shards: Option<u16>,
    /// The zone that this server is in; clients of a zone are sent to agents in it.
    #[arg(long, value_name = "NAME")]
    pub zone: Option<String>,
    /// Where Kafka clients connect. Default: 127.0.0.1:9092.
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<HostPort>,
    /// Where metrics and health are served. Default: 127.0.0.1:9644.
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<HostPort>,
    /// A TOML file of settings. Default: SILTSTONE_CONFIG, then ./siltstone.toml if it is there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting, as in flush.bytes=16MiB. May be repeated; `siltstone config` lists them.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
}

impl ServerArgs {
    /// As the settings take them.
    pub fn flags(&self) -> Flags {
        let named = [
            ("--data", "data", self.data.clone()),
            ("--store", "store.url", self.store.clone()),
            ("--metadata", "metadata.url", self.metadata.clone()),
            ("--shards", "cluster.shards", self.shards.map(|shards| shards.to_string())),
            ("--zone", "node.zone", self.zone.clone()),
            ("--kafka", "listen.kafka", self.kafka.as_ref().map(HostPort::to_string)),
            ("--http", "listen.http", self.http.as_ref().map(HostPort::to_string)),
        ];
        let own = named
            .into_iter()
            .filter_map(|(flag, name, value)| Some((flag.to_owned(), name.to_owned(), value?)));
        let set = self.set.iter().map(|(name, value)| ("--set".to_owned(), name.clone(), value.clone()));
        Flags { config: self.config.clone(), values: own.chain(set).collect() }
    }
}

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_settings() {
        let cli = Cli::try_parse_from([
            "siltstone",
            "standalone",
            "--data",
            "/d",
            "--kafka",
            "0.0.0.0:1",
            "--set",
            "flush.bytes=1MiB",
            "--set",
            "kafka.num.partitions=3",
        ]);
        let Command::Standalone(args) = cli.unwrap().command else { panic!("another command") };
        let flags = args.flags();
        let names: Vec<(&str, &str)> =
            flags.values.iter().map(|(_, n, v)| (n.as_str(), v.as_str())).collect();
        let expected = [
            ("data", "/d"),
            ("listen.kafka", "0.0.0.0:1"),
            ("flush.bytes", "1MiB"),
            ("kafka.num.partitions", "3"),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn erasing_is_asked_for_or_looked_at() {
        for good in [
            &["siltstone", "erase", "--topic", "t", "--key", "a", "--key", "b", "--key-hex", "00ff"][..],
            &["siltstone", "erase", "-t", "t", "--keys-from", "-", "--wait", "--json", "-b", "h:1"],
            &["siltstone", "erase", "list", "--json", "-b", "h:1"],
            &["siltstone", "erase", "receipt", "0f1e2d3c-4b5a-4697-8877-665544332211"],
            &["siltstone", "erase", "forget", "0f1e2d3c-4b5a-4697-8877-665544332211"],
        ] {
            assert!(Cli::try_parse_from(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            &["siltstone"][..],
            &["siltstone", "standalone", "--kafka", "9092"],
            &["siltstone", "standalone", "--set", "nonsense"],
            &["siltstone", "consume"],
            &["siltstone", "consume", "t", "--exit", "--follow"],
            &["siltstone", "consume", "t", "--from", "sometimes"],
            &["siltstone", "produce", "t", "--json", "--key", "k"],
            &["siltstone", "topic", "alter", "t"],
            &["siltstone", "erase", "--key", "k"],
            &["siltstone", "erase", "--topic", "t"],
            &["siltstone", "erase", "--topic", "t", "--key-hex", "abc"],
            &["siltstone", "erase", "receipt"],
            &["siltstone", "group", "reset-offsets", "g", "--all-topics"],
            &["siltstone", "group", "reset-offsets", "g", "--to", "end"],
            &[
                "siltstone",
                "group",
                "reset-offsets",
                "g",
                "--topic",
                "t",
                "--to",
                "end",
                "--by-duration",
                "1h",
            ],
        ] {
            assert!(Cli::try_parse_from(bad).is_err(), "{bad:?}");
        }
    }
}
