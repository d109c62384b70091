//! `siltstone config`: the settings that hold, as a TOML file that would give them again.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::args::ServerArgs;
use crate::failure::Outcome;
use crate::settings::{Row, load};

/// Runs the command.
pub(crate) fn run(args: &ServerArgs) -> Outcome {
    let effective = load(&args.flags())?;
    std::io::stdout().write_all(page(&effective.rows).as_bytes())?;
    Ok(())
}

/// One line a setting, in tables; settings without a value, and secrets, stand in comments.
fn page(rows: &[Row]) -> String {
    let mut page = String::new();
    let mut table = "";
    for row in rows {
        let (group, key) = row.name.split_once('.').unwrap_or(("", &row.name));
        if group != table {
            let _ = writeln!(page, "\n[{group}]");
            table = group;
        }
        let key = if key.contains('.') { format!("{key:?}") } else { key.to_owned() };
        let line = match row.value.as_deref() {
            None => format!("# {key} is not set"),
            Some("(hidden)") => format!("# {key} is set and not shown"),
            Some(value) => format!("{key} = {}", bare(value)),
        };
        let _ = writeln!(page, "{line:<48} # {}", row.source);
    }
    page
}

/// As TOML writes it: numbers and truth values without quotes.
fn bare(value: &str) -> toml::Value {
    let number = value.parse().ok().filter(|number: &i64| number.to_string() == value);
    let flag = value.parse().map(toml::Value::Boolean);
    number.map(toml::Value::Integer).or(flag.ok()).unwrap_or_else(|| toml::Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Flags, resolve};

    #[test]
    fn what_is_printed_gives_the_same_settings_again() {
        let given = [
            ("flush.bytes", "3MiB"),
            ("kafka.num.partitions", "7"),
            ("store.secret_access_key", "no"),
            ("store.access_key_id", "k\""),
        ];
        let values =
            given.map(|(name, text)| ("--set".to_owned(), name.to_owned(), text.to_owned())).to_vec();
        let first = resolve(&Flags { config: None, values }, Vec::new(), Path::new("/nonexistent")).unwrap();
        let printed = page(&first.rows);
        assert!(printed.contains("flag --set") && !printed.contains("\"no\""), "{printed}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("siltstone.toml"), &printed).unwrap();
        let secret = Flags {
            config: None,
            values: vec![("--set".into(), "store.secret_access_key".into(), "no".into())],
        };
        let second = resolve(&secret, Vec::new(), dir.path()).unwrap();
        assert_eq!(first.settings, second.settings);
    }
}
