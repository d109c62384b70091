//! docs/configuration/settings.md, made from the table.

use std::fmt::Write;

use super::read::variable;
use super::table::{Definition, Fallback, TABLE};

const INTRO: &str = "\
<!-- Made from the table in cli/src/settings/table.rs. To make it again: SILTSTONE_WRITE_DOCS=1 cargo test -p siltstone --test settings -->
# Settings of a server

Settings come from four places. The first that has a setting wins:

1. flags: `--data`, `--store`, `--kafka`, `--http`, `--zone`, and `--set NAME=VALUE` for every setting;
2. environment variables: `SILTSTONE_` and the name in capitals, with `__` for each dot: `SILTSTONE_FLUSH__BYTES=16MiB`;
3. a TOML file: the one that `--config` names, else `SILTSTONE_CONFIG`, else `./siltstone.toml` if it is there;
4. the defaults below.

Unknown settings and bad values are refused, all at once, each with its name and where it was given; also those that something else
overrides. `siltstone config` prints what holds and where it came from. A running server does not read its settings again.

Sizes are a whole number and B, KiB, MiB, GiB, TiB (or kB, MB, GB, TB): `8MiB`. Durations are a whole number and us, ms, s, m, h, d: `250ms`.

Broker configs under Kafka's names are in the table `kafka`; [brokers.md](brokers.md) lists them. In the environment dots become
underscores: `SILTSTONE_KAFKA__AUTO_CREATE_TOPICS_ENABLE=false`. `max.connections` and `socket.request.max.bytes`, the limits of
connections and of a request's size, are among them.

```toml
data = \"/var/lib/siltstone\"

[listen]
kafka = \"0.0.0.0:9092\"
advertised = \"log.example.org:9092\"

[store]
url = \"s3://bucket/prefix\"
region = \"eu-central-1\"

[flush]
bytes = \"16MiB\"

[kafka]
\"auto.create.topics.enable\" = false
\"num.partitions\" = 4
```

`Local` is a store of `file://` or `memory://`; `remote` any other.
";

/// The page, in Markdown.
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    let mut group = None;
    for definition in TABLE {
        let name = definition.name.split_once('.').map_or("", |(group, _)| group);
        if group != Some(name) {
            let title = if name.is_empty() { "data" } else { name };
            // Writing into a String can't fail.
            let _ = write!(
                page,
                "\n## {title}\n\n| Setting | Kind | Default | What it is for |\n|---|---|---|---|\n"
            );
            group = Some(name);
        }
        page.push_str(&row(definition));
    }
    page
}

fn row(definition: &Definition) -> String {
    let default = match definition.default {
        Fallback::Is("") => "empty".to_owned(),
        Fallback::Is(text) => format!("`{text}`"),
        Fallback::ByStore { local, remote } => format!("local `{local}`, remote `{remote}`"),
        Fallback::Follows(words) | Fallback::Unset(words) => words.to_owned(),
    };
    let (name, kind, doc) = (definition.name, definition.kind, definition.doc);
    format!("| `{name}`<br>`{}` | {kind} | {default} | {doc} |\n", variable(name))
}
