//! The pages `docs/configuration/topics.md` and `brokers.md`, made from the tables. A test keeps the files equal to them.

use crate::definition::{Definition, Meaning, Scope};
use crate::{broker, topic};
use std::fmt::Write;

const GENERATED: &str = "<!-- Made from the tables in metadata/configs. To make it again: \
                         SILTSTONE_WRITE_DOCS=1 cargo test -p siltstone-configs --test docs -->\n";

const TOPIC_INTRO: &str = "\
Topics have the configs of Kafka 4.2 under Kafka's names, and one of our own, `siltstone.write`. Set them when a topic is
created, or later with `siltstone topic alter`, `kafka-configs.sh` or any admin client. A config that is not set takes the value of its
broker-level name, if it has one, and else the default below.

Nothing is silently ignored. Each config is in one of three groups: it does what Kafka says that it does; or it is accepted, kept and
shown, but changes nothing here, for the reason given; or any value but the default is refused, because it would
promise what Siltstone does not do. Unknown configs are refused.
";

const BROKER_INTRO: &str = "\
Agents answer for the broker configs that clients and tools look at, under the names of Kafka 4.2. \"Cluster-wide\" and \"per-broker\" configs can be
changed while agents run, with `kafka-configs.sh` or any admin client: for all agents, or for one. \"Read-only\" ones come from an agent's own settings.

Nothing is silently ignored. Each config is in one of three groups: it does what Kafka says that it does; or it is accepted, kept and
shown, but changes nothing here, for the reason given; or any value but the default is refused, because it would
promise what Siltstone does not do. Unknown configs are refused.
";

/// The page about topic configs, in Markdown.
pub fn topic_page() -> String {
    page("Topic configs", TOPIC_INTRO, topic::definitions())
}

/// The page about broker configs, in Markdown.
pub fn broker_page() -> String {
    page("Broker configs", BROKER_INTRO, broker::definitions())
}

fn page(title: &str, intro: &str, definitions: &[&Definition]) -> String {
    let mut page = format!("{GENERATED}# {title}\n\n{intro}");
    section(&mut page, "Honoured", definitions, |meaning| matches!(meaning, Meaning::Honoured));
    section(&mut page, "Accepted without effect", definitions, |meaning| {
        matches!(meaning, Meaning::AcceptedWithoutEffect(_))
    });
    section(&mut page, "Only the default is accepted", definitions, |meaning| {
        matches!(meaning, Meaning::Refused(_))
    });
    page
}

fn section(page: &mut String, title: &str, definitions: &[&Definition], belongs: fn(&Meaning) -> bool) {
    let rows: Vec<&&Definition> = definitions.iter().filter(|d| belongs(&d.meaning)).collect();
    let topics = rows.iter().all(|d| d.scope == Scope::Topic);
    let reasons = rows.iter().any(|d| d.meaning != Meaning::Honoured);
    let fourth = if topics { "Broker-level name" } else { "Changed" };
    let why = if reasons { ("| Why ", "|---") } else { ("", "") };
    // Writing into a String can't fail.
    let _ = writeln!(
        page,
        "\n## {title}\n\n| Config | Type, allowed | Default | {fourth} | What it is for {}|",
        why.0
    );
    let _ = writeln!(page, "|---|---|---|---|---{}|", why.1);
    for definition in rows {
        let _ = writeln!(page, "{}", row(definition));
    }
}

fn row(definition: &Definition) -> String {
    let kind = definition.kind.to_string().to_lowercase();
    let rule = definition.rule.to_string();
    let allowed = if rule.is_empty() { kind } else { format!("{kind}, `{}`", escape(&rule)) };
    let default = match definition.default {
        None => "none".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{}`", escape(text)),
    };
    let why = match definition.meaning {
        Meaning::Honoured => String::new(),
        Meaning::AcceptedWithoutEffect(reason) | Meaning::Refused(reason) => format!(" {} |", escape(reason)),
    };
    let (name, doc) = (definition.name, escape(definition.doc));
    format!("| `{name}` | {allowed} | {default} | {} | {doc} |{why}", fourth(definition))
}

fn fourth(definition: &Definition) -> String {
    let names = || definition.synonyms.iter().map(|s| format!("`{}`", s.name)).collect::<Vec<_>>().join(", ");
    match definition.scope {
        Scope::Topic => names(),
        Scope::ReadOnly => "read-only".to_owned(),
        Scope::PerBroker => "per-broker".to_owned(),
        Scope::ClusterWide => "cluster-wide".to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
