//! Erasures and receipts, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::client::{Erasure, ErasureObject};
use crate::output::{Table, show_timestamp};

/// All erasures, a line each.
pub(super) fn list(out: &mut impl Write, erasures: &[Erasure], as_json: bool) -> io::Result<()> {
    if as_json {
        for erasure in erasures {
            writeln!(out, "{}", summary(erasure))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&["ERASURE", "TOPIC", "KEYS", "ASKED FOR", "COMPLETED", "OBJECTS", "DELETED"]);
    for erasure in erasures {
        table.row([
            erasure.erasure_id.to_string(),
            erasure.topic.clone(),
            erasure.keys.to_string(),
            show_timestamp(erasure.requested_at),
            show_timestamp(erasure.completed_at),
            erasure.objects_found.to_string(),
            erasure.objects_deleted.to_string(),
        ]);
    }
    table.write(out)
}

fn time(millis: i64) -> Value {
    if millis < 0 { Value::Null } else { show_timestamp(millis).into() }
}

fn summary(erasure: &Erasure) -> Value {
    json!({
        "erasure": erasure.erasure_id.to_string(),
        "topic": erasure.topic,
        "topic_id": erasure.topic_id.to_string(),
        "topic_deleted": erasure.topic_deleted,
        "keys": erasure.keys,
        "requested_at": time(erasure.requested_at),
        "invisible_at": time(erasure.invisible_at),
        "searched_at": time(erasure.scanned_at),
        "completed_at": time(erasure.completed_at),
        "objects_found": erasure.objects_found,
        "objects_deleted": erasure.objects_deleted,
    })
}

fn object(object: &ErasureObject) -> Value {
    json!({
        "object": object.name,
        "in_metadata_store": object.inline,
        "bytes": object.bytes,
        "records": object.records,
        "found_at": time(object.found_at),
        "replaced_at": time(object.replaced_at),
        "replaced_by": object.replaced_by,
        "deleted_at": time(object.deleted_at),
    })
}

/// An erasure's receipt.
pub(super) fn receipt(out: &mut impl Write, erasure: &Erasure, as_json: bool) -> io::Result<()> {
    if as_json {
        let mut whole = summary(erasure);
        let partition = |partition: &crate::client::ErasurePartition| json!({"partition": partition.partition_index, "upto": partition.upto, "records": partition.records});
        whole["partitions"] = erasure.partitions.iter().map(partition).collect();
        whole["objects"] = erasure.objects.iter().map(object).collect();
        return writeln!(out, "{whole}");
    }
    let gone: i64 = erasure.partitions.iter().map(|partition| partition.records).sum();
    writeln!(out, "erasure    {}", erasure.erasure_id)?;
    let deleted = if erasure.topic_deleted { ", deleted before the end" } else { "" };
    writeln!(out, "topic      {} ({}{deleted})", erasure.topic, erasure.topic_id)?;
    writeln!(out, "keys       {}", erasure.keys)?;
    writeln!(out, "asked for  {}", show_timestamp(erasure.requested_at))?;
    writeln!(out, "invisible  {}", show_timestamp(erasure.invisible_at))?;
    writeln!(out, "searched   {}", show_timestamp(erasure.scanned_at))?;
    writeln!(out, "completed  {}", show_timestamp(erasure.completed_at))?;
    writeln!(out, "records    {gone} left out where data were rewritten")?;
    if !erasure.partitions.is_empty() {
        let mut table = Table::new(&["PARTITION", "BEFORE OFFSET", "RECORDS"]);
        for partition in &erasure.partitions {
            let numbers = [partition.upto, partition.records].map(|number| number.to_string());
            let [upto, records] = numbers;
            table.row([partition.partition_index.to_string(), upto, records]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    if !erasure.objects.is_empty() {
        writeln!(out)?;
        objects(out, &erasure.objects)?;
    }
    Ok(())
}

fn objects(out: &mut impl Write, objects: &[ErasureObject]) -> io::Result<()> {
    let mut table =
        Table::new(&["OBJECT", "BYTES", "RECORDS", "FOUND", "REPLACED", "DELETED", "REPLACED BY"]);
    for object in objects {
        let place = if object.inline { " (in the metadata store)" } else { "" };
        let by = object.replaced_by.join(" ");
        table.row([
            format!("{}{place}", object.name),
            object.bytes.to_string(),
            object.records.to_string(),
            show_timestamp(object.found_at),
            show_timestamp(object.replaced_at),
            show_timestamp(object.deleted_at),
            if by.is_empty() { "-".to_owned() } else { by },
        ]);
    }
    table.write(out)
}
