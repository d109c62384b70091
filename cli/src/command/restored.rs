//! `siltstone restored`: what has to be said once after the metadata came back from a backup, before any agent starts.

use std::io::{self, Write};

use clap::Args;
use siltstone_metadata::lease;

use super::compactor::open;
use super::standalone::ambient;
use crate::args::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::settings::load;

/// Arguments.
#[derive(Debug, Args)]
pub struct RestoredArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command.
pub(crate) async fn run(args: RestoredArgs) -> Outcome {
    let settings = load(&args.server.flags())?.settings;
    let (store, _) = open(&settings, ": stop it first").await?;
    let done = lease::restored(store.as_ref(), &ambient::of_process()).await;
    let done =
        done.map_err(|error| Failure::new(format!("the restored metadata can't be used yet: {error}")))?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "cluster {} begins a new life; agents and compactors that the backup knew, and that are over now: {}",
        done.cluster.cluster_id,
        done.ended.len()
    )?;
    writeln!(out, "now start them, and see what the bucket has and lacks: siltstone fsck")?;
    Ok(out.flush()?)
}
