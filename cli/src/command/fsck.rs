//! `siltstone fsck`: whether metadata and bucket agree.
//!
//! Exit status 0 only if nothing is wrong. What was repaired was wrong: run it again to see that it is gone.

use std::io::{self, Write};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use siltstone_compactor::context::Context;
use siltstone_compactor::fsck::finding::{Finding, KINDS, Kind, Place, Severity};
use siltstone_compactor::fsck::repair::{Repaired, repair};
use siltstone_compactor::fsck::report::{Checked, Report};
use siltstone_compactor::fsck::{FsckError, Options, Watcher, fsck};
use siltstone_log::RegistrationId;

use super::compactor::{cluster, open};
use super::standalone::ambient;
use crate::args::ServerArgs;
use crate::failure::{Failure, Outcome};
use crate::settings::load;

/// Findings of one kind that are shown one by one; all of them with --json.
const SHOWN: usize = 100;

/// Arguments.
#[derive(Debug, Args)]
pub struct FsckArgs {
    /// Also read every segment: footers, checksums of blocks and batches, and whether they are what the metadata says.
    #[arg(long)]
    deep: bool,
    /// Repair what can be repaired without any risk to a record.
    #[arg(long)]
    repair: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// A bar on standard error, if that is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg:18} {wide_bar} {human_pos}/{human_len} {eta:>5}");
        Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }
}

impl Watcher for Bar {
    fn begin(&self, what: &str, total: Option<u64>) {
        self.0.set_message(what.to_owned());
        self.0.set_position(0);
        match total {
            Some(total) => self.0.set_length(total),
            None => self.0.unset_length(),
        }
    }

    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }
}

fn failed(error: FsckError) -> Failure {
    Failure::new(format!("the check did not come to its end: {error}"))
}

/// Runs the command.
pub(crate) async fn run(args: FsckArgs) -> Outcome {
    let settings = load(&args.server.flags())?.settings;
    let (store, objects) = open(&settings, "").await?;
    let cluster = cluster(store.as_ref(), &settings).await?;
    let (ambient, nobody) = (ambient::of_process(), RegistrationId(0));
    let cx = Context::new(store, objects, ambient, nobody, cluster.shards, settings.compactor());
    let bar = Bar::new();
    let options = Options { deep: args.deep, ..Options::default() };
    let report = fsck(&cx, options, &bar).await;
    bar.0.finish_and_clear();
    let report = report.map_err(failed)?;
    let repaired = match args.repair {
        true => repair(&cx, &report).await.map_err(failed)?,
        false => Vec::new(),
    };
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", as_json(&report, &repaired))?;
    } else {
        text(&mut out, &report, &repaired, args.deep)?;
    }
    out.flush()?;
    let wrong =
        report.findings.iter().filter(|finding| finding.kind.severity() != Severity::Note).count() as u64;
    match wrong + report.checked.untold {
        0 => Ok(()),
        1 => Err(Failure::new("one thing is wrong")),
        count => Err(Failure::new(format!("{count} things are wrong"))),
    }
}

/// Where, in words.
fn place(report: &Report, place: &Place) -> String {
    let mut words = Vec::new();
    if let Some(partition) = place.partition {
        let topic = report.topics.get(&partition.topic).cloned();
        words.push(format!("{}/{}", topic.unwrap_or_else(|| partition.topic.to_string()), partition.index));
    }
    match place.offsets {
        Some((from, to)) if to > from + 1 => words.push(format!("offsets {from} to {}", to - 1)),
        Some((from, _)) => words.push(format!("offset {from}")),
        None => {}
    }
    if let Some(shard) = place.shard {
        words.push(format!("shard {}", shard.0));
    }
    words.extend(place.segment.map(|segment| segment.object_name()));
    words.extend(place.object.clone());
    words.join(", ")
}

fn text(out: &mut impl Write, report: &Report, repaired: &[Repaired], deep: bool) -> io::Result<()> {
    for kind in KINDS {
        let of: Vec<&Finding> = report.findings.iter().filter(|finding| finding.kind == kind).collect();
        if !of.is_empty() {
            findings(out, report, kind, &of)?;
        }
    }
    for done in repaired {
        writeln!(out, "{}", told(done))?;
    }
    let Checked { partitions, extents, entries, segments, inline, trash, objects, object_bytes, .. } =
        report.checked;
    writeln!(
        out,
        "checked: {partitions} partitions, {extents} extents, {entries} entries of logs; {segments} segments, {inline} of them \
         in the metadata, {trash} that wait to be deleted; {objects} objects of {object_bytes} bytes"
    )?;
    if deep {
        let Checked { read_segments, read_bytes, .. } = report.checked;
        writeln!(out, "read: {read_segments} segments, {read_bytes} bytes of blocks")?;
    }
    if report.is_clean() {
        writeln!(out, "nothing is wrong")?;
    }
    Ok(())
}

fn findings(out: &mut impl Write, report: &Report, kind: Kind, of: &[&Finding]) -> io::Result<()> {
    writeln!(out, "{} ({}, {}): {}", kind.name(), kind.severity(), of.len(), kind.advice())?;
    for finding in of.iter().take(SHOWN) {
        writeln!(out, "  {}: {}", place(report, &finding.place), finding.what)?;
    }
    if of.len() > SHOWN {
        writeln!(out, "  and {} more; --json shows them", of.len() - SHOWN)?;
    }
    writeln!(out)
}

/// A repair, in words.
fn told(repaired: &Repaired) -> String {
    match repaired {
        Repaired::Recount(shard) => {
            format!(
                "repaired: shard {} counts its uses of segments anew with the next checkpoint of a server",
                shard.0
            )
        }
        Repaired::LookThrough(writer) => {
            format!(
                "repaired: compactors look through the objects of {writer:?}, and delete what was never published, after the time of grace"
            )
        }
        Repaired::Cleared(segment) => format!("repaired: inline segment {segment} is cleared"),
        Repaired::NotDone(why) => format!("not repaired: {why}"),
    }
}

fn as_json(report: &Report, repaired: &[Repaired]) -> Value {
    let checked = &report.checked;
    let found: Vec<Value> = report.findings.iter().map(|finding| finding_json(report, finding)).collect();
    json!({
        "clean": report.is_clean(),
        "findings": found,
        "untold": checked.untold,
        "repairs": repaired.iter().map(told).collect::<Vec<_>>(),
        "checked": {
            "partitions": checked.partitions,
            "extents": checked.extents,
            "entries": checked.entries,
            "segments": checked.segments,
            "inline_segments": checked.inline,
            "trash": checked.trash,
            "objects": checked.objects,
            "object_bytes": checked.object_bytes,
            "read_segments": checked.read_segments,
            "read_bytes": checked.read_bytes,
        },
    })
}

fn finding_json(report: &Report, finding: &Finding) -> Value {
    let Finding { kind, place, what } = finding;
    let topic = place.partition.map(|partition| partition.topic);
    json!({
        "kind": kind.name(),
        "severity": kind.severity().to_string(),
        "shard": place.shard.map(|shard| shard.0),
        "topic": topic.and_then(|topic| report.topics.get(&topic)),
        "topic_id": topic.map(|topic| topic.to_string()),
        "partition": place.partition.map(|partition| partition.index),
        "first_offset": place.offsets.map(|(from, _)| from),
        "end_offset": place.offsets.map(|(_, to)| to),
        "segment": place.segment.map(|segment| segment.to_string()),
        "object": place.segment.map(|segment| segment.object_name()).or_else(|| place.object.clone()),
        "what": what,
        "advice": kind.advice(),
        "repairable": kind.fix().is_some(),
    })
}
