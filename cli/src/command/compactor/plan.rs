//! `siltstone compactor plan`: what a pass would do now, and why.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};
use siltstone_compactor::compact::plan::Plan;
use siltstone_compactor::context::Context;
use siltstone_compactor::explain::{Amount, Explained, ReclaimPlan, ShardPlan, explain};
use siltstone_compactor::plan::merge::{Backlog, Merge, Outlook};
use siltstone_compactor::plan::reclaim::Fate;
use siltstone_log::{PartitionId, RegistrationId};

use super::{cluster, open};
use crate::args::ServerArgs;
use crate::command::standalone::ambient;
use crate::failure::{Failure, Outcome};
use crate::output::Table;
use crate::settings::{Settings, load};

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the command.
pub(super) async fn run(args: PlanArgs) -> Outcome {
    let settings = load(&args.server.flags())?.settings;
    let (store, objects) = open(&settings, "; its log tells what its own compactor does").await?;
    let cluster = cluster(store.as_ref(), &settings).await?;
    let (ambient, nobody) = (ambient::of_process(), RegistrationId(0));
    let cx = Context::new(store, objects, ambient, nobody, cluster.shards, settings.compactor());
    let plan = explain(&cx).await.map_err(|error| Failure::new(error.to_string()))?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", as_json(&plan))?;
    } else {
        text(&mut out, &plan, &settings)?;
    }
    Ok(out.flush()?)
}

fn name(plan: &Explained, partition: PartitionId) -> String {
    match plan.topic(partition.topic) {
        Some(topic) => format!("{topic}/{}", partition.index),
        None => format!("{}/{} (deleted)", partition.topic, partition.index),
    }
}

fn text(out: &mut impl Write, plan: &Explained, settings: &Settings) -> io::Result<()> {
    if let Some(level) = plan.level_too_low {
        writeln!(
            out,
            "Nothing is done: the cluster is at feature level {level}, which knows no compactor.\n"
        )?;
    }
    merges(out, plan)?;
    per_shard(out, &plan.shards)?;
    trims(out, plan)?;
    compactions(out, plan)?;
    released(out, plan)?;
    reclaim(out, &plan.reclaim, settings)
}

fn merges(out: &mut impl Write, plan: &Explained) -> io::Result<()> {
    writeln!(out, "Merges (as a compactor does them that holds all shards)")?;
    for Outlook { what, backlog, due } in &plan.outlook {
        let Backlog { bytes, inline_bytes, segments, extents } = backlog;
        let segments = segments.len();
        write!(out, "  {what}: {extents} extents, {bytes} bytes in {segments} segments")?;
        if *inline_bytes > 0 {
            write!(out, ", {inline_bytes} bytes of them in the metadata store")?;
        }
        match due {
            Ok(why) => writeln!(out, "; due: {why}")?,
            Err(waits) => writeln!(out, "; {waits}")?,
        }
    }
    if let Some(Merge { level, batches, why }) = &plan.merge {
        let inputs: usize = batches.iter().map(Vec::len).sum();
        writeln!(out, "  next: {} segments of level {level} from {inputs} extents ({why})", batches.len())?;
    }
    writeln!(out)
}

fn per_shard(out: &mut impl Write, shards: &[ShardPlan]) -> io::Result<()> {
    let head = [
        "SHARD",
        "COMPACTOR",
        "PARTITIONS",
        "FLUSHED BYTES IN SEGMENTS",
        "MERGED ONCE",
        "SMALL",
        "TRIMS",
        "RELEASES",
        "CONDEMNED",
    ];
    let mut table = Table::new(&head);
    for plan in shards {
        let class = |at: usize| {
            plan.backlogs.get(at).map_or_else(String::new, |b| format!("{} in {}", b.bytes, b.segments.len()))
        };
        let holder = match plan.holder {
            _ if !plan.counted => "none: not counted yet".to_owned(),
            holder => who(holder),
        };
        table.row([
            plan.shard.0.to_string(),
            holder,
            plan.partitions.to_string(),
            class(0),
            class(1),
            class(2),
            plan.trims.len().to_string(),
            plan.releases.len().to_string(),
            plan.condemned.len().to_string(),
        ]);
    }
    table.write(out)?;
    writeln!(out)
}

fn who(holder: Option<RegistrationId>) -> String {
    holder.map_or_else(|| "none".to_owned(), |id| format!("{id:?}"))
}

fn trims(out: &mut impl Write, plan: &Explained) -> io::Result<()> {
    writeln!(out, "Retention")?;
    let mut any = false;
    for trim in plan.shards.iter().flat_map(|shard| &shard.trims) {
        any = true;
        let name = name(plan, trim.partition);
        writeln!(out, "  {name}: records before offset {} go: {}", trim.offset, trim.reason)?;
    }
    if !any {
        writeln!(out, "  nothing is due")?;
    }
    writeln!(out)
}

fn compactions(out: &mut impl Write, plan: &Explained) -> io::Result<()> {
    writeln!(out, "Compaction by key")?;
    let mut any = false;
    for (partition, what) in plan.shards.iter().flat_map(|shard| &shard.compactions) {
        any = true;
        let name = name(plan, *partition);
        match what {
            Plan::Nothing { why, .. } => writeln!(out, "  {name}: {why}")?,
            Plan::Round(round) => {
                let (from, dirty, upto) = (round.cursor, round.first_dirty, round.upto);
                let why = &round.why;
                writeln!(out, "  {name}: offsets {from} to {upto}, dirty from {dirty} on; due: {why}")?;
            }
        }
    }
    if !any {
        writeln!(out, "  no topic is compacted")?;
    }
    writeln!(out)
}

fn released(out: &mut impl Write, plan: &Explained) -> io::Result<()> {
    writeln!(out, "Extents that are given up")?;
    let mut any = false;
    for shard in &plan.shards {
        for (due, Amount { count, bytes }) in &shard.releases {
            any = true;
            let (name, start) = (name(plan, due.partition), due.log_start);
            writeln!(out, "  {name}: {count} extents, {bytes} bytes, before the log start {start}")?;
        }
        for (topic, Amount { count, bytes }) in &shard.condemned {
            any = true;
            let at = shard.shard.0;
            writeln!(out, "  shard {at}: {count} extents, {bytes} bytes of the deleted topic {topic}")?;
        }
    }
    if !any {
        writeln!(out, "  none")?;
    }
    writeln!(out)
}

/// What becomes of a segment, in words.
fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Used => "are used".to_owned(),
        Fate::Uncounted(shard) => format!("wait until shard {} has counted its uses", shard.0),
        Fate::BeingPublished => "are being published".to_owned(),
        Fate::Unstamped => "were written by an older program and are stamped first".to_owned(),
        Fate::Unfolded(shard) => {
            format!("are not used in rows yet: the floor of shard {} has not passed their entries", shard.0)
        }
        Fate::Dead => "become trash: nothing uses them".to_owned(),
    }
}

fn reclaim(out: &mut impl Write, plan: &ReclaimPlan, settings: &Settings) -> io::Result<()> {
    writeln!(out, "Reclaim (compactor: {})", who(plan.holder))?;
    for (of, Amount { count, bytes }) in &plan.fates {
        writeln!(out, "  {count} segments, {bytes} bytes, {}", fate(of))?;
    }
    let grace = settings.grace.as_secs();
    let Amount { count, bytes } = plan.trash;
    if count > 0 {
        let when = "once one compactor that reclaims has known of each for";
        writeln!(out, "  {count} segments, {bytes} bytes, are trash, and are deleted {when} {grace} s")?;
    }
    for id in &plan.ended {
        writeln!(
            out,
            "  objects of the ended registration {id:?} are looked through, and again after {grace} s"
        )?;
    }
    if plan.fates.is_empty() && count == 0 && plan.ended.is_empty() {
        writeln!(out, "  there is nothing")?;
    }
    Ok(())
}

fn amount(amount: &Amount) -> Value {
    json!({ "count": amount.count, "bytes": amount.bytes })
}

fn backlog(backlog: &Backlog) -> Value {
    json!({
        "extents": backlog.extents,
        "bytes": backlog.bytes,
        "inline_bytes": backlog.inline_bytes,
        "segments": backlog.segments.len(),
    })
}

fn as_json(plan: &Explained) -> Value {
    let merges = plan.outlook.iter().map(|one| {
        let (due, why) = match &one.due {
            Ok(why) => (true, why),
            Err(why) => (false, why),
        };
        json!({ "class": one.what, "due": due, "why": why, "backlog": backlog(&one.backlog) })
    });
    let merges: Vec<_> = merges.collect();
    let next = plan.merge.as_ref().map(|merge| {
        let extents: usize = merge.batches.iter().map(Vec::len).sum();
        json!({ "level": merge.level, "segments": merge.batches.len(), "extents": extents, "why": merge.why.to_string() })
    });
    let shards: Vec<_> = plan.shards.iter().map(|shard| shard_json(plan, shard)).collect();
    let fates: Vec<_> = plan
        .reclaim
        .fates
        .iter()
        .map(|(of, some)| json!({ "why": fate(of), "segments": amount(some) }))
        .collect();
    let ids = |ids: &[RegistrationId]| ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>();
    json!({
        "level_too_low": plan.level_too_low,
        "merges": merges,
        "next_merge": next,
        "shards": shards,
        "reclaim": {
            "compactor": plan.reclaim.holder.map(|id| format!("{id:?}")),
            "segments": fates,
            "becomes_trash": plan.reclaim.dead.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "trash": amount(&plan.reclaim.trash),
            "ended_registrations": ids(&plan.reclaim.ended),
        },
    })
}

fn shard_json(plan: &Explained, shard: &ShardPlan) -> Value {
    let of = |partition: PartitionId| json!({ "topic": plan.topic(partition.topic), "topic_id": partition.topic.to_string(), "partition": partition.index });
    let with = |mut value: Value, name: &str, what: Value| {
        value[name] = what;
        value
    };
    let trims = shard.trims.iter().map(|trim| {
        let value = with(of(trim.partition), "offset", trim.offset.into());
        with(value, "why", trim.reason.to_string().into())
    });
    let compactions = shard.compactions.iter().map(|(partition, what)| match what {
        Plan::Nothing { why, until } => {
            let value = with(of(*partition), "due", false.into());
            with(with(value, "why", why.as_str().into()), "until", (*until).into())
        }
        Plan::Round(round) => {
            let value = with(of(*partition), "due", true.into());
            let value = with(with(value, "why", round.why.as_str().into()), "from", round.cursor.into());
            with(with(value, "first_dirty", round.first_dirty.into()), "upto", round.upto.into())
        }
    });
    let releases = shard.releases.iter().map(|(due, some)| {
        let value = with(of(due.partition), "log_start", due.log_start.into());
        with(value, "extents", amount(some))
    });
    let condemned = shard
        .condemned
        .iter()
        .map(|(topic, some)| json!({ "topic_id": topic.to_string(), "extents": amount(some) }));
    json!({
        "shard": shard.shard.0,
        "compactor": shard.holder.map(|id| format!("{id:?}")),
        "counted": shard.counted,
        "partitions": shard.partitions,
        "backlogs": shard.backlogs.iter().map(backlog).collect::<Vec<_>>(),
        "trims": trims.collect::<Vec<_>>(),
        "compactions": compactions.collect::<Vec<_>>(),
        "releases": releases.collect::<Vec<_>>(),
        "condemned": condemned.collect::<Vec<_>>(),
    })
}
