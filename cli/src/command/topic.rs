//! `siltstone topic`: create, list, describe, alter, delete.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};

use crate::args::{ServerAddress, pair};
use crate::client::{Client, ConfigEntry, EARLIEST, LATEST, NewTopic, Topic};
use crate::failure::{Failure, Outcome};
use crate::output::Table;

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// Create a topic.
    Create(CreateArgs),
    /// List all topics.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show topics' partitions, offsets and configs.
    Describe(DescribeArgs),
    /// Add partitions, or change configs.
    Alter(AlterArgs),
    /// Delete topics and all their records.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
}

/// Arguments of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the topic.
    name: String,
    /// How many partitions. Default: the server's num.partitions.
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replication factor: kept and shown; durability is the object store's.
    #[arg(short, long)]
    replication: Option<i16>,
    /// A config, as in retention.ms=86400000. May be repeated.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// Be content if the topic is there already.
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Names of topics.
    #[arg(required = true)]
    names: Vec<String>,
    /// All configs, not only those that are set on the topic.
    #[arg(long)]
    all_configs: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// Arguments of `alter`.
#[derive(Debug, Args)]
#[group(id = "changes", required = true, multiple = true, args = ["partitions", "config", "delete_config"])]
pub struct AlterArgs {
    /// Name of the topic.
    name: String,
    /// The new number of partitions, which must be larger.
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Set a config. May be repeated.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// Let a config have its default again. May be repeated.
    #[arg(long, value_name = "NAME")]
    delete_config: Vec<String>,
    #[command(flatten)]
    server: ServerAddress,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Names of topics.
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    server: ServerAddress,
}

/// Runs the command.
pub(crate) async fn run(command: TopicCommand) -> Outcome {
    match command {
        TopicCommand::Create(args) => create(args).await,
        TopicCommand::List(args) => list(args).await,
        TopicCommand::Describe(args) => describe(args).await,
        TopicCommand::Alter(args) => alter(args).await,
        TopicCommand::Delete(args) => delete(args).await,
    }
}

async fn create(args: CreateArgs) -> Outcome {
    let client = args.server.client();
    let new = NewTopic {
        name: args.name.clone(),
        partitions: args.partitions,
        replication: args.replication,
        configs: args.config,
    };
    match client.create_topic(&new).await {
        Err(error)
            if args.if_not_exists && error.code() == Some(siltstone_kafka::ErrorCode::TopicAlreadyExists) =>
        {
            writeln!(std::io::stdout(), "topic {} is there already", args.name)?;
            return Ok(());
        }
        other => other?,
    }
    // It may take moments to be known.
    let topic = client.topic(&args.name, true).await?;
    let count = topic.partitions.len();
    let noun = if count == 1 { "partition" } else { "partitions" };
    writeln!(std::io::stdout(), "created topic {} with {count} {noun}", args.name)?;
    Ok(())
}

async fn list(args: ListArgs) -> Outcome {
    let mut topics: Vec<Topic> =
        args.server.client().topics(None, false).await?.into_iter().collect::<Result<_, _>>()?;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = std::io::stdout().lock();
    if args.json {
        for topic in &topics {
            let id = topic.id.to_string();
            let line =
                serde_json::json!({"topic": topic.name, "id": id, "partitions": topic.partitions.len()});
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS"]);
    for topic in &topics {
        let replicas = topic.partitions.first().map_or(0, |first| first.replicas.len());
        table.row([topic.name.clone(), topic.partitions.len().to_string(), replicas.to_string()]);
    }
    Ok(table.write(&mut out)?)
}

async fn describe(args: DescribeArgs) -> Outcome {
    let client = args.server.client();
    for (at, name) in args.names.iter().enumerate() {
        let topic = client.topic(name, false).await?;
        let offsets = ends(&client, &topic).await?;
        let configs = client.topic_configs(name).await?;
        let mut out = std::io::stdout().lock();
        if at > 0 {
            writeln!(out)?;
        }
        write_topic(&mut out, &topic, &offsets)?;
        write_configs(&mut out, &configs, args.all_configs)?;
    }
    Ok(())
}

/// First and next offset of each partition.
async fn ends(client: &Client, topic: &Topic) -> Result<BTreeMap<i32, (i64, i64)>, Failure> {
    let ask =
        |time| topic.partitions.iter().map(move |partition| (partition.index, time)).collect::<Vec<_>>();
    let first = client.offsets(&topic.name, &ask(EARLIEST)).await?;
    let next = client.offsets(&topic.name, &ask(LATEST)).await?;
    let pairs = first.iter().zip(&next).map(|(first, next)| (first.partition, (first.offset, next.offset)));
    Ok(pairs.collect())
}

fn write_topic(
    out: &mut impl Write,
    topic: &Topic,
    offsets: &BTreeMap<i32, (i64, i64)>,
) -> std::io::Result<()> {
    let records: i64 = offsets.values().map(|(first, next)| next - first).sum();
    writeln!(out, "topic       {}", topic.name)?;
    writeln!(out, "id          {}", topic.id)?;
    writeln!(out, "partitions  {}", topic.partitions.len())?;
    writeln!(out, "offsets     {records} in all\n")?;
    let mut table = Table::new(&["PARTITION", "LEADER", "REPLICAS", "FIRST", "NEXT"]);
    for partition in &topic.partitions {
        let (first, next) = offsets.get(&partition.index).copied().unwrap_or((-1, -1));
        let replicas: Vec<String> = partition.replicas.iter().map(i32::to_string).collect();
        table.row([
            partition.index.to_string(),
            partition.leader.to_string(),
            replicas.join(","),
            first.to_string(),
            next.to_string(),
        ]);
    }
    table.write(out)
}

fn write_configs(out: &mut impl Write, configs: &[ConfigEntry], all: bool) -> std::io::Result<()> {
    let mut table = Table::new(&["CONFIG", "VALUE", "FROM"]);
    let mut any = false;
    for config in configs.iter().filter(|config| all || config.is_own()) {
        any = true;
        let value = config.value.clone().unwrap_or_else(|| "-".to_owned());
        table.row([config.name.clone(), value, config.source_name().to_owned()]);
    }
    if any {
        writeln!(out)?;
        table.write(out)?;
    }
    Ok(())
}

async fn alter(args: AlterArgs) -> Outcome {
    let client = args.server.client();
    let set = args.config.into_iter().map(|(name, value)| (name, Some(value)));
    let changes: Vec<_> = set.chain(args.delete_config.into_iter().map(|name| (name, None))).collect();
    if !changes.is_empty() {
        client.alter_topic(&args.name, &changes).await?;
    }
    if let Some(count) = args.partitions {
        client.grow_topic(&args.name, count).await?;
    }
    writeln!(std::io::stdout(), "altered topic {}", args.name)?;
    Ok(())
}

async fn delete(args: DeleteArgs) -> Outcome {
    let client = args.server.client();
    for name in &args.names {
        client.delete_topic(name).await?;
        writeln!(std::io::stdout(), "deleted topic {name}")?;
    }
    Ok(())
}
