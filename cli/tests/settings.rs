//! Settings from the outside: precedence, refusals, and the page that documents them.
#![allow(clippy::unwrap_used, reason = "a test: helpers outside of test functions count as code")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use siltstone_cli::settings::value::{HostPort, Size};
use siltstone_cli::settings::{Effective, Fallback, Flags, Problems, Settings, Source, TABLE, page, resolve};

fn flags(values: &[(&str, &str)]) -> Flags {
    let value = |(name, text): &(&str, &str)| ("--set".to_owned(), (*name).to_owned(), (*text).to_owned());
    Flags { config: None, values: values.iter().map(value).collect() }
}

fn variables(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn with_file(text: &str, flags: &Flags, env: &[(&str, &str)]) -> Result<Effective, Problems> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("siltstone.toml"), text).unwrap();
    resolve(flags, variables(env), dir.path())
}

fn nothing() -> Effective {
    resolve(&Flags::default(), Vec::new(), Path::new("/nonexistent")).unwrap()
}

fn source(effective: &Effective, name: &str) -> Source {
    effective.rows.iter().find(|row| row.name == name).unwrap().source.clone()
}

#[test]
fn defaults_hold_and_depend_on_the_store() {
    let local = nothing();
    assert_eq!(local.settings.listen_kafka, HostPort { host: "127.0.0.1".into(), port: 9092 });
    assert!(local.settings.store_url.starts_with("file:///"), "{}", local.settings.store_url);
    assert!(local.settings.store_url.ends_with("/siltstone-data/objects"));
    assert_eq!(local.settings.flush_interval, Duration::from_millis(20));
    assert_eq!(source(&local, "flush.interval"), Source::Default);
    let remote =
        resolve(&flags(&[("store.url", "s3://logs/a")]), Vec::new(), Path::new("/nonexistent")).unwrap();
    assert_eq!(remote.settings.flush_interval, Duration::from_millis(250));
    assert_eq!(remote.settings.page_bytes, Size(4 << 20));
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "[flush]\nbytes = \"1MiB\"\ninterval = \"1ms\"\nquiet = \"3ms\"\n";
    let env = [("SILTSTONE_FLUSH__BYTES", "2MiB"), ("SILTSTONE_FLUSH__INTERVAL", "2ms")];
    let effective = with_file(file, &flags(&[("flush.bytes", "3MiB")]), &env).unwrap();
    assert_eq!(effective.settings.flush_bytes, Size(3 << 20));
    assert_eq!(effective.settings.flush_interval, Duration::from_millis(2));
    assert_eq!(effective.settings.flush_quiet, Duration::from_millis(3));
    assert_eq!(source(&effective, "flush.bytes"), Source::Flag("--set".into()));
    assert_eq!(source(&effective, "flush.interval"), Source::Environment("SILTSTONE_FLUSH__INTERVAL".into()));
    assert!(matches!(source(&effective, "flush.quiet"), Source::File(_)));
}

#[test]
fn every_problem_is_reported_with_its_name_and_source() {
    let file = "typo = 1\n[flush]\nbyte = \"1MiB\"\ninterval = 250\n[kafka]\n\"num.partitions\" = 0\n\"nonsense\" = 1\n";
    let env = [
        ("SILTSTONE_CACHE__BYTES", "much"),
        ("SILTSTONE_FLUSH_BYTES", "1MiB"),
        ("SILTSTONE_PORT_9092_TCP", "x"),
    ];
    let problems = with_file(file, &flags(&[("node.id", "-1")]), &env).unwrap_err();
    let text = problems.to_string();
    assert_eq!(problems.0.len(), 8, "{text}");
    for expected in [
        "node.id (flag --set)",
        "cache.bytes (environment variable SILTSTONE_CACHE__BYTES)",
        "did you mean SILTSTONE_FLUSH__BYTES?",
        "typo (file ",
        "did you mean flush.bytes?",
        "flush.interval (file ",
        "kafka.num.partitions (file ",
        "kafka.nonsense (file ",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
}

#[test]
fn a_bad_value_is_refused_even_where_something_else_wins() {
    let problems =
        with_file("[flush]\nbytes = \"lots\"\n", &flags(&[("flush.bytes", "1MiB")]), &[]).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert!(problems.to_string().contains("flush.bytes (file "), "{problems}");
}

#[test]
fn rules_between_settings_name_who_broke_them() {
    let broken = [("buffer.bytes", "1MiB"), ("checkpoint.lease", "40s"), ("store.access_key_id", "k")];
    let problems = resolve(&flags(&broken), Vec::new(), Path::new("/nonexistent")).unwrap_err();
    let text = problems.to_string();
    let both = resolve(
        &flags(&[("nonsense", "1"), ("store.url", "ftp://x")]),
        Vec::new(),
        Path::new("/nonexistent"),
    );
    assert_eq!(both.unwrap_err().0.len(), 2);
    assert!(text.contains("flush.bytes (default): must be at most buffer.bytes (1MiB)"), "{text}");
    assert!(text.contains("checkpoint.lease (flag --set)"), "{text}");
    assert!(text.contains("store.access_key_id (flag --set)"), "{text}");
}

#[test]
fn kafkas_configs_are_checked_and_facts_are_not_theirs_to_set() {
    let env = [("SILTSTONE_KAFKA__AUTO_CREATE_TOPICS_ENABLE", "FALSE")];
    let effective = with_file("[kafka]\nnum.partitions = 4\n", &Flags::default(), &env).unwrap();
    let kafka = &effective.settings.kafka;
    assert_eq!(kafka.get("auto.create.topics.enable").map(String::as_str), Some("false"));
    assert_eq!(kafka.get("num.partitions").map(String::as_str), Some("4"));
    let bound = HostPort { host: "127.0.0.1".into(), port: 9092 };
    let fixed = effective.settings.fixed(1, &bound, &bound);
    assert_eq!(fixed.get("listeners").map(String::as_str), Some("PLAINTEXT://127.0.0.1:9092"));
    let problems = with_file("[kafka]\n\"node.id\" = 3\n", &Flags::default(), &[]).unwrap_err();
    assert!(problems.to_string().contains("follows from the setting node.id"), "{problems}");
}

#[test]
fn files_that_are_missing_or_no_toml_are_refused() {
    let missing = Flags { config: Some("/nonexistent/x.toml".into()), values: Vec::new() };
    let problems = resolve(&missing, Vec::new(), Path::new("/nonexistent")).unwrap_err();
    assert!(problems.to_string().contains("/nonexistent/x.toml can't be read"), "{problems}");
    let problems = with_file("[flush\n", &Flags::default(), &[]).unwrap_err();
    assert!(problems.to_string().contains("is not TOML"), "{problems}");
}

#[test]
fn secrets_are_never_shown() {
    let keys = [("store.access_key_id", "id"), ("store.secret_access_key", "tell-nobody")];
    let effective = resolve(&flags(&keys), Vec::new(), Path::new("/nonexistent")).unwrap();
    assert!(!format!("{effective:?}").contains("tell-nobody"));
}

#[test]
fn the_table_is_sound() {
    let mut names = std::collections::BTreeSet::new();
    for definition in TABLE {
        assert!(names.insert(definition.name), "{} is there twice", definition.name);
        let texts = match definition.default {
            Fallback::Is(text) => vec![text],
            Fallback::ByStore { local, remote } => vec![local, remote],
            Fallback::Follows(_) | Fallback::Unset(_) => vec![],
        };
        for text in texts {
            let mut settings = Settings::default();
            (definition.set)(&mut settings, text).unwrap_or_else(|why| panic!("{}: {why}", definition.name));
            let shown = (definition.get)(&settings);
            assert_eq!(shown.as_deref(), Some(text), "{}", definition.name);
        }
    }
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration/settings.md");
    if std::env::var_os("SILTSTONE_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page(),
        "docs/configuration/settings.md is not what the table says; make it again:\n\
         SILTSTONE_WRITE_DOCS=1 cargo test -p siltstone --test settings"
    );
}

#[test]
fn settings_between_agents_fit_together() {
    let shared = ("metadata.url", "postgres://user@host/database");
    let problems = |values: &[(&str, &str)]| -> Vec<String> {
        match resolve(&flags(values), Vec::new(), Path::new("/nonexistent")) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
        }
    };
    let named = |values: &[(&str, &str)], name: &str| problems(values).iter().any(|line| line.contains(name));
    assert!(named(&[("peer.listen", "0.0.0.0:9093")], "peer.listen"), "nobody is there");
    assert!(named(&[shared, ("peer.advertised", "a:1")], "peer.advertised"));
    let listens = [shared, ("peer.listen", "0.0.0.0:9093")];
    assert_eq!(problems(&listens), Vec::<String>::new());
    let certificate = ("peer.certificate", "a.pem");
    assert!(named(&[listens[0], listens[1], certificate], "peer.key"));
    assert!(named(&[listens[0], listens[1], ("peer.name", "agents")], "peer.name"));
    let all = [("peer.key", "k.pem"), ("peer.authority", "c.pem"), ("peer.name", "agents")];
    let whole: Vec<_> = listens.into_iter().chain([certificate]).chain(all).collect();
    assert_eq!(problems(&whole), Vec::<String>::new());
    assert!(named(&[("peer.answer_bytes", "1KiB"), ("peer.patience", "0")], "peer.patience"));
}
