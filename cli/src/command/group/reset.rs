//! `siltstone group reset-offsets`: where a group that nobody is in goes on from.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::or_dash;
use crate::args::ServerAddress;
use crate::client::{Client, Committed, GroupOffsets};
use crate::command::consume::{From, Offsets, chosen, span};
use crate::failure::{Failure, Outcome};
use crate::output::{Table, now};
use crate::settings::value::Value;

/// Arguments of `reset-offsets`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Id of the group. One that isn't there is made.
    group: String,
    /// A topic, or some of its partitions, as in orders:0,2. May be repeated.
    #[arg(short, long, value_name = "TOPIC[:PARTITIONS]", value_parser = topic, required_unless_present = "all_topics")]
    topic: Vec<Wanted>,
    /// All topics that the group has committed to.
    #[arg(long)]
    all_topics: bool,
    /// Where to: earliest, latest, an offset, -N (the last N of each partition), a time (2026-01-31T12:00:00Z) or @MILLISECONDS.
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true, required_unless_present = "by_duration")]
    to: Option<From>,
    /// To what was written since so long ago, as in 2h.
    #[arg(long, value_name = "DURATION", value_parser = <Duration as Value>::parse, conflicts_with = "to")]
    by_duration: Option<Duration>,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerAddress,
}

/// A topic, and the partitions of it: none are all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    partitions: Vec<i32>,
}

fn topic(text: &str) -> Result<Wanted, String> {
    let (name, list) = text.split_once(':').map_or((text, None), |(name, list)| (name, Some(list)));
    let index = |text: &str| text.trim().parse().ok().filter(|index: &i32| *index >= 0);
    let partitions: Option<Vec<i32>> =
        list.map_or(Some(Vec::new()), |list| list.split(',').map(index).collect());
    match partitions {
        Some(partitions) if !name.is_empty() => Ok(Wanted { name: name.to_owned(), partitions }),
        _ => Err(format!("{text:?} is not a topic or TOPIC:PARTITION,PARTITION")),
    }
}

pub(super) async fn run(args: ResetArgs) -> Outcome {
    let client = args.server.client();
    let group = &args.group;
    let found = client.describe_group(group).await?;
    if let Some(found) = found.filter(|found| !found.members.is_empty()) {
        let count = found.members.len();
        let noun = if count == 1 { "member" } else { "members" };
        return Err(Failure::new(format!(
            "group {group} has {count} {noun}: its offsets can be moved when all have stopped"
        )));
    }
    let before = client.group_offsets(group).await?;
    let to = match (args.to, args.by_duration) {
        (Some(to), _) => to,
        (None, ago) => From::Time(before_now(ago.unwrap_or_default())),
    };
    let mut after = GroupOffsets::new();
    for wanted in wanted(args.topic, args.all_topics, &before) {
        for (index, offset) in goals(&client, &wanted, to).await? {
            let committed = Committed { offset, metadata: String::new() };
            after.insert((wanted.name.clone(), index), committed);
        }
    }
    if after.is_empty() {
        return Err(Failure::new(format!("group {group} has committed to no topic: name some with --topic")));
    }
    if !args.dry_run {
        client.commit_group_offsets(group, &after).await?;
    }
    Ok(write(&mut std::io::stdout().lock(), &before, &after)?)
}

fn before_now(ago: Duration) -> i64 {
    now().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)).max(0)
}

/// Those that were named; with `all` also those that the group has committed to, on the partitions that it has.
fn wanted(mut named: Vec<Wanted>, all: bool, before: &GroupOffsets) -> Vec<Wanted> {
    let mut committed: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    before.keys().for_each(|(topic, index)| committed.entry(topic).or_default().push(*index));
    for (name, partitions) in committed.into_iter().filter(|_| all) {
        if !named.iter().any(|wanted| wanted.name == name) {
            named.push(Wanted { name: name.to_owned(), partitions });
        }
    }
    named
}

/// Where each partition goes on from; an offset outside of what is there becomes its nearest that is.
async fn goals(client: &Client, wanted: &Wanted, to: From) -> Result<Offsets, Failure> {
    let topic = client.topic(&wanted.name, false).await?;
    let partitions = chosen(&topic, &wanted.partitions)?;
    let (first, ends) = span(client, &topic.name, &partitions, From::Beginning).await?;
    let (goals, _) = span(client, &topic.name, &partitions, to).await?;
    Ok(goals
        .into_iter()
        .map(|(index, offset)| (index, within(offset, first.get(&index), ends.get(&index))))
        .collect())
}

fn within(offset: i64, first: Option<&i64>, end: Option<&i64>) -> i64 {
    let first = first.copied().unwrap_or(0);
    offset.clamp(first, end.copied().unwrap_or(first).max(first))
}

fn write(out: &mut impl Write, before: &GroupOffsets, after: &GroupOffsets) -> std::io::Result<()> {
    let mut table = Table::new(&["TOPIC", "PARTITION", "FROM", "TO"]);
    for (place, goal) in after {
        let old = before.get(place).map(|committed| committed.offset.to_string());
        table.row([
            place.0.clone(),
            place.1.to_string(),
            or_dash(old.unwrap_or_default()),
            goal.offset.to_string(),
        ]);
    }
    table.write(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_with_their_partitions() {
        let read = |text| topic(text).map(|wanted| (wanted.name, wanted.partitions));
        assert_eq!(read("t"), Ok(("t".into(), vec![])));
        assert_eq!(read("t:0,2"), Ok(("t".into(), vec![0, 2])));
        for bad in ["", ":1", "t:", "t:x", "t:-1", "t:1,,2"] {
            assert!(topic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_topics_are_those_committed_to() {
        let at = |offset| Committed { offset, metadata: String::new() };
        let before = GroupOffsets::from([
            (("a".into(), 1), at(1)),
            (("a".into(), 3), at(1)),
            (("b".into(), 0), at(1)),
        ]);
        let named = vec![Wanted { name: "b".into(), partitions: vec![] }];
        let both = wanted(named.clone(), true, &before);
        assert_eq!(both, [named[0].clone(), Wanted { name: "a".into(), partitions: vec![1, 3] }]);
        assert_eq!(wanted(named.clone(), false, &before), named);
    }

    #[test]
    fn goals_lie_within_what_is_there() {
        assert_eq!(within(5, Some(&2), Some(&9)), 5);
        assert_eq!(within(0, Some(&2), Some(&9)), 2);
        assert_eq!(within(50, Some(&2), Some(&9)), 9);
    }
}
