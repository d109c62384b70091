//! `siltstone features`: the cluster's feature level, and who follows which; raising it once all programs are new.

use std::io::{self, Write};

use clap::Args;
use serde_json::json;
use siltstone_log::{ClusterRow, RegistrationRow, Role};
use siltstone_metadata::catalog::{Changes, Raised};
use siltstone_metadata::lease;
use siltstone_metadata::shard::{MAX_LEVEL, MIN_LEVEL};

use super::compactor::{cluster, open};
use super::standalone::ambient;
use crate::args::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{Table, show_timestamp};
use crate::settings::load;

/// Arguments.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// Raise the cluster's level to the highest that this program and every registered process follows. There is no way back.
    #[arg(long)]
    raise: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command.
pub(crate) async fn run(args: FeaturesArgs) -> Outcome {
    let settings = load(&args.server.flags())?.settings;
    let hint = "; it raises the level by itself when it starts";
    let (store, _) = open(&settings, hint).await?;
    let row = cluster(store.as_ref(), &settings).await?;
    let changes = Changes::new(store.clone(), ambient::of_process(), row.shards);
    let raised = match args.raise {
        true => Some(changes.raise_level_for_all().await.map_err(|error| Failure::new(error.to_string()))?),
        false => None,
    };
    let row = ClusterRow { level: raised.as_ref().map_or(row.level, |raised| raised.to), ..row };
    let who = lease::list(store.as_ref()).await.map_err(|error| Failure::new(error.to_string()))?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", as_json(&row, &who))?;
    } else {
        text(&mut out, &row, &who)?;
    }
    out.flush()?;
    raised.map_or(Ok(()), |raised| judged(&raised))
}

/// Whoever asked for the program's level and did not get it has something to do first.
fn judged(raised: &Raised) -> Outcome {
    if raised.to == MAX_LEVEL {
        return Ok(());
    }
    let who: Vec<String> = raised.held_by.iter().map(named).collect();
    Err(Failure::new(format!(
        "the level went from {} to {}, and not to {MAX_LEVEL}: {} must be replaced by a newer program first",
        raised.from,
        raised.to,
        who.join(", ")
    )))
}

fn role(row: &RegistrationRow) -> &'static str {
    match row.role {
        Role::Agent => "agent",
        Role::Compactor => "compactor",
    }
}

fn named(row: &RegistrationRow) -> String {
    match row.role {
        Role::Agent => format!("agent {} at {}:{}", row.node, row.host, row.port),
        Role::Compactor => format!("the compactor of {}", show_timestamp(row.started)),
    }
}

fn text(out: &mut impl Write, cluster: &ClusterRow, who: &[RegistrationRow]) -> io::Result<()> {
    writeln!(
        out,
        "cluster {} is at feature level {}; this program follows {MIN_LEVEL} to {MAX_LEVEL}",
        cluster.cluster_id, cluster.level
    )?;
    let mut table = Table::new(&["ROLE", "NODE", "ADDRESS", "ZONE", "STARTED", "FOLLOWS"]);
    for row in who {
        let agent = row.role == Role::Agent;
        table.row([
            role(row).to_owned(),
            if agent { row.node.to_string() } else { "-".to_owned() },
            if agent { format!("{}:{}", row.host, row.port) } else { "-".to_owned() },
            if row.zone.is_empty() { "-".to_owned() } else { row.zone.clone() },
            show_timestamp(row.started),
            format!("{} to {}", row.lowest_level, row.highest_level),
        ]);
    }
    if who.is_empty() { Ok(()) } else { table.write(out) }
}

fn as_json(cluster: &ClusterRow, who: &[RegistrationRow]) -> serde_json::Value {
    let processes: Vec<_> = who
        .iter()
        .map(|row| {
            json!({
                "role": role(row),
                "node": (row.role == Role::Agent).then_some(row.node),
                "host": row.host,
                "port": row.port,
                "zone": row.zone,
                "started": show_timestamp(row.started),
                "lowest_level": row.lowest_level,
                "highest_level": row.highest_level,
            })
        })
        .collect();
    json!({
        "cluster": cluster.cluster_id,
        "level": cluster.level,
        "lowest_level": MIN_LEVEL,
        "highest_level": MAX_LEVEL,
        "processes": processes,
    })
}
