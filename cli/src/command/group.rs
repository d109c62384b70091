//! `siltstone group`: list, describe, reset-offsets, delete.

mod describe;
mod reset;

use std::io::Write;

use clap::{Args, Subcommand};

use crate::args::ServerAddress;
use crate::failure::Outcome;
use crate::output::Table;

/// What to do with groups.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// List all groups.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show where groups stand on each partition, how far they lag, and who has it.
    Describe(describe::DescribeArgs),
    /// Move a group that nobody is in.
    ResetOffsets(reset::ResetArgs),
    /// Delete groups that nobody is in, with their offsets.
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
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

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Ids of groups.
    #[arg(required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    server: ServerAddress,
}

/// Runs the command.
pub(crate) async fn run(command: GroupCommand) -> Outcome {
    match command {
        GroupCommand::List(args) => list(args).await,
        GroupCommand::Describe(args) => describe::run(args).await,
        GroupCommand::ResetOffsets(args) => reset::run(args).await,
        GroupCommand::Delete(args) => delete(args).await,
    }
}

async fn list(args: ListArgs) -> Outcome {
    let groups = args.server.client().groups().await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for group in &groups {
            let (kind, state, protocol) = (&group.kind, &group.state, &group.protocol_type);
            let line = serde_json::json!({"group": group.group, "type": kind, "state": state, "protocol_type": protocol});
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["GROUP", "TYPE", "STATE", "PROTOCOL"]);
    for group in groups {
        table.row([group.group, or_dash(group.kind), or_dash(group.state), or_dash(group.protocol_type)]);
    }
    Ok(table.write(&mut out)?)
}

async fn delete(args: DeleteArgs) -> Outcome {
    let client = args.server.client();
    for group in &args.groups {
        client.delete_group(group).await?;
        writeln!(std::io::stdout(), "deleted group {group}")?;
    }
    Ok(())
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
