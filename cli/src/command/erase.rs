//! `siltstone erase`: records of keys go for good, with a receipt of where they were.

mod keys;
mod show;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use crate::args::ServerAddress;
use crate::client::{Asked, Client, Error};
use crate::failure::{Failure, Outcome};
use crate::output::show_timestamp;

/// Keys of one request: what a server takes.
const AT_ONCE: usize = 256;
/// Between two looks whether an erasure is completed.
const LOOK: Duration = Duration::from_secs(1);

/// What to erase, or what to do with erasures.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EraseArgs {
    #[command(subcommand)]
    command: Option<EraseCommand>,
    #[command(flatten)]
    ask: AskArgs,
}

/// What to do with erasures.
#[derive(Debug, Subcommand)]
pub enum EraseCommand {
    /// List all erasures.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show an erasure: which objects held its records, and when each was found, replaced and deleted.
    Receipt(ReceiptArgs),
    /// Drop the receipt of an erasure that is completed.
    Forget(ForgetArgs),
}

/// Arguments of the erasure itself.
#[derive(Debug, Args)]
#[group(id = "keys", required = true, multiple = true, args = ["key", "key_hex", "keys_from"])]
pub struct AskArgs {
    /// Name of the topic.
    #[arg(short, long, required = true)]
    topic: Option<String>,
    /// A key, as text. May be repeated.
    #[arg(short, long)]
    key: Vec<String>,
    /// A key, in hexadecimal. May be repeated.
    #[arg(long, value_name = "HEX", value_parser = keys::hex)]
    key_hex: Vec<Bytes>,
    /// A file with a key in each line, as text; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    keys_from: Option<PathBuf>,
    /// Return only once the records are out of every object and the receipt is complete.
    #[arg(long)]
    wait: bool,
    /// JSON: one object for each erasure; with --wait its receipt.
    #[arg(long)]
    json: bool,
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

/// Arguments of `receipt`.
#[derive(Debug, Args)]
pub struct ReceiptArgs {
    /// Id of the erasure.
    id: Uuid,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// Arguments of `forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// Ids of erasures.
    #[arg(required = true)]
    ids: Vec<Uuid>,
    #[command(flatten)]
    server: ServerAddress,
}

/// Runs the command.
pub(crate) async fn run(args: EraseArgs) -> Outcome {
    match args.command {
        None => ask(args.ask).await,
        Some(EraseCommand::List(args)) => {
            let erasures = args.server.client().erasures().await.map_err(known)?;
            Ok(show::list(&mut std::io::stdout().lock(), &erasures, args.json)?)
        }
        Some(EraseCommand::Receipt(args)) => {
            let erasure = args.server.client().receipt(args.id).await.map_err(known)?;
            Ok(show::receipt(&mut std::io::stdout().lock(), &erasure, args.json)?)
        }
        Some(EraseCommand::Forget(args)) => {
            let client = args.server.client();
            for id in args.ids {
                client.forget_erasure(id).await.map_err(known)?;
                writeln!(std::io::stdout(), "forgot erasure {id}")?;
            }
            Ok(())
        }
    }
}

/// A server that doesn't know our own requests closes the connection.
fn known(error: Error) -> Failure {
    match error {
        Error::Closed { address, .. } => Failure::new(format!(
            "{address} closed the connection: is it a server of Siltstone that knows `erase`? `siltstone erase list` shows what was asked for"
        )),
        other => other.into(),
    }
}

async fn ask(args: AskArgs) -> Outcome {
    let topic = args.topic.unwrap_or_default();
    let mut keys: Vec<Bytes> = args.key.into_iter().map(Bytes::from).collect();
    keys.extend(args.key_hex);
    if let Some(file) = &args.keys_from {
        keys.extend(keys::from_file(file)?);
    }
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return Err(Failure::new("there is no key to erase"));
    }
    let client = args.server.client();
    for some in keys.chunks(AT_ONCE) {
        let asked = client.erase(&topic, some.to_vec()).await.map_err(known)?;
        if args.wait {
            wait(&client, asked.id).await?;
            let erasure = client.receipt(asked.id).await.map_err(known)?;
            show::receipt(&mut std::io::stdout().lock(), &erasure, args.json)?;
        } else {
            told(&topic, some.len(), &asked, args.json)?;
        }
    }
    Ok(())
}

fn told(topic: &str, keys: usize, asked: &Asked, as_json: bool) -> Outcome {
    let mut out = std::io::stdout().lock();
    let Asked { id, requested_at, invisible_at } = *asked;
    if as_json {
        let id = id.to_string();
        let line = json!({"erasure": id, "topic": topic, "keys": keys, "requested_at": requested_at, "invisible_at": invisible_at});
        return Ok(writeln!(out, "{line}")?);
    }
    let noun = if keys == 1 { "key" } else { "keys" };
    writeln!(
        out,
        "erasure {id}: records of {keys} {noun} are invisible since {}",
        show_timestamp(invisible_at)
    )?;
    Ok(writeln!(out, "objects that hold them are being rewritten: siltstone erase receipt {id}")?)
}

async fn wait(client: &Client, id: Uuid) -> Outcome {
    loop {
        match client.erasure(id).await.map_err(known)? {
            Some(erasure) if erasure.completed_at < 0 => tokio::time::sleep(LOOK).await,
            Some(_) => return Ok(()),
            None => return Err(Failure::new(format!("erasure {id} was forgotten meanwhile"))),
        }
    }
}
