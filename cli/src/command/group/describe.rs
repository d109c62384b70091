//! `siltstone group describe`: a row for each partition that the group has, or has committed to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::Args;
use siltstone_kafka::ErrorCode;

use super::or_dash;
use crate::args::ServerAddress;
use crate::client::{Client, GroupDescription, GroupMember, GroupOffsets, LATEST};
use crate::failure::{Failure, Outcome};
use crate::output::Table;

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Ids of groups.
    #[arg(required = true)]
    groups: Vec<String>,
    /// One JSON object a line, for each partition.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerAddress,
}

type Place = (String, i32);

/// One partition of a group.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    place: Place,
    committed: Option<i64>,
    end: Option<i64>,
    member: Option<&'a GroupMember>,
}

impl Row<'_> {
    /// How many offsets are left to read.
    fn lag(&self) -> Option<i64> {
        Some(self.end?.saturating_sub(self.committed?).max(0))
    }
}

pub(super) async fn run(args: DescribeArgs) -> Outcome {
    let client = args.server.client();
    for (at, group) in args.groups.iter().enumerate() {
        let found = client.describe_group(group).await?;
        let found = found.ok_or_else(|| {
            Failure::new(format!("there is no group {group}: `siltstone group list` shows those that are"))
        })?;
        let offsets = client.group_offsets(group).await?;
        let ends = ends(&client, &places(&found, &offsets)).await?;
        let rows = rows(&found, &offsets, &ends);
        let mut out = std::io::stdout().lock();
        if args.json {
            write_json(&mut out, &found, &rows)?;
            continue;
        }
        if at > 0 {
            writeln!(out)?;
        }
        write(&mut out, &found, &rows)?;
    }
    Ok(())
}

fn places(found: &GroupDescription, offsets: &GroupOffsets) -> BTreeSet<Place> {
    let owned = found.members.iter().flat_map(|member| &member.assigned);
    let owned = owned.flat_map(|(topic, indices)| indices.iter().map(move |index| (topic.clone(), *index)));
    owned.chain(offsets.keys().cloned()).collect()
}

/// The ends of partitions; none for those of topics that are gone.
async fn ends(client: &Client, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, Failure> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    places.iter().for_each(|(topic, index)| by_topic.entry(topic).or_default().push(*index));
    let mut ends = BTreeMap::new();
    for (name, indices) in by_topic {
        let topic = match client.topic(name, false).await {
            Ok(topic) => topic,
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => continue,
            Err(error) => return Err(error.into()),
        };
        let there = |index: &i32| topic.partitions.iter().any(|partition| partition.index == *index);
        let wanted: Vec<_> = indices.into_iter().filter(there).map(|index| (index, LATEST)).collect();
        for at in client.offsets(name, &wanted).await? {
            ends.insert((name.to_owned(), at.partition), at.offset);
        }
    }
    Ok(ends)
}

fn rows<'a>(
    found: &'a GroupDescription,
    offsets: &GroupOffsets,
    ends: &BTreeMap<Place, i64>,
) -> Vec<Row<'a>> {
    let mut members: BTreeMap<Place, &GroupMember> = BTreeMap::new();
    for member in &found.members {
        for (topic, indices) in &member.assigned {
            members.extend(indices.iter().map(|index| ((topic.clone(), *index), member)));
        }
    }
    let row = |place: Place| Row {
        committed: offsets.get(&place).map(|committed| committed.offset),
        end: ends.get(&place).copied(),
        member: members.get(&place).copied(),
        place,
    };
    places(found, offsets).into_iter().map(row).collect()
}

fn write(out: &mut impl Write, found: &GroupDescription, rows: &[Row<'_>]) -> std::io::Result<()> {
    let lag: i64 = rows.iter().filter_map(Row::lag).sum();
    writeln!(out, "group     {}", found.group)?;
    writeln!(out, "type      {}", found.kind)?;
    writeln!(out, "state     {}", or_dash(found.state.clone()))?;
    writeln!(out, "assignor  {}", or_dash(found.assignor.clone()))?;
    writeln!(out, "members   {}", found.members.len())?;
    writeln!(out, "lag       {lag} in all")?;
    if !rows.is_empty() {
        writeln!(out)?;
        partitions(rows).write(out)?;
    }
    // Who has partitions stands beside them.
    let idle: Vec<&GroupMember> = found.members.iter().filter(|member| member.assigned.is_empty()).collect();
    if !idle.is_empty() {
        writeln!(out)?;
        let mut table = Table::new(&["MEMBER WITHOUT PARTITIONS", "INSTANCE", "CLIENT", "HOST"]);
        for member in idle {
            let instance = or_dash(member.instance.clone().unwrap_or_default());
            table.row([member.member.clone(), instance, member.client_id.clone(), member.host.clone()]);
        }
        table.write(out)?;
    }
    Ok(())
}

fn partitions(rows: &[Row<'_>]) -> Table {
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let text = |of: Option<&GroupMember>, f: fn(&GroupMember) -> &String| {
        or_dash(of.map(f).cloned().unwrap_or_default())
    };
    let head = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "CLIENT", "HOST"];
    let mut table = Table::new(&head);
    for row in rows {
        table.row([
            row.place.0.clone(),
            row.place.1.to_string(),
            number(row.committed),
            number(row.end),
            number(row.lag()),
            text(row.member, |member| &member.member),
            text(row.member, |member| &member.client_id),
            text(row.member, |member| &member.host),
        ]);
    }
    table
}

fn write_json(out: &mut impl Write, found: &GroupDescription, rows: &[Row<'_>]) -> std::io::Result<()> {
    for row in rows {
        let member = row.member;
        let line = serde_json::json!({
            "group": found.group,
            "type": found.kind,
            "state": found.state,
            "topic": row.place.0,
            "partition": row.place.1,
            "committed": row.committed,
            "end": row.end,
            "lag": row.lag(),
            "member": member.map(|member| &member.member),
            "instance": member.and_then(|member| member.instance.as_ref()),
            "client": member.map(|member| &member.client_id),
            "host": member.map(|member| &member.host),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Committed;

    fn member(id: &str, assigned: &[(&str, &[i32])]) -> GroupMember {
        let assigned = assigned.iter().map(|(topic, indices)| ((*topic).to_owned(), indices.to_vec()));
        GroupMember {
            member: id.into(),
            instance: None,
            client_id: "c".into(),
            host: "/h".into(),
            assigned: assigned.collect(),
        }
    }

    #[test]
    fn a_row_for_all_that_is_owned_or_committed() {
        let found = GroupDescription {
            group: "g".into(),
            kind: "classic",
            state: "Stable".into(),
            assignor: "range".into(),
            members: vec![member("a", &[("t", &[0, 1])]), member("b", &[])],
        };
        let at = |offset| Committed { offset, metadata: String::new() };
        let offsets = GroupOffsets::from([(("t".into(), 0), at(4)), (("gone".into(), 0), at(9))]);
        let ends = BTreeMap::from([(("t".to_owned(), 0), 10), (("t".to_owned(), 1), 5)]);
        let rows = rows(&found, &offsets, &ends);
        let seen: Vec<_> = rows.iter().map(|row| (row.place.0.as_str(), row.place.1, row.lag())).collect();
        assert_eq!(seen, [("gone", 0, None), ("t", 0, Some(6)), ("t", 1, None)]);
        let mut out = Vec::new();
        write(&mut out, &found, &rows).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("lag       6 in all"), "{out}");
        assert!(out.contains("t      0          4          10   6    a       c       /h\n"), "{out}");
        assert!(out.contains("MEMBER WITHOUT PARTITIONS") && out.contains("\nb "), "{out}");
    }
}
