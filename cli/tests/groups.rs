//! `siltstone group` on the real binary. Groups with members are seen in `tests/interop`.

#[allow(dead_code, reason = "other tests use the rest of it")]
mod kit;

use kit::{Server, siltstone};

#[test]
fn a_group_is_made_moved_described_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let at = server.kafka.clone();
    let run = |args: &[&str]| siltstone(&at, args, "");
    assert_eq!(run(&["topic", "create", "t", "--partitions", "2"]).status, 0);
    let lines: String = (0..10).map(|i| format!("{i}\n")).collect();
    assert_eq!(siltstone(&at, &["produce", "t", "--partition", "0", "--quiet"], &lines).status, 0);

    let missing = run(&["group", "describe", "g"]);
    assert!(missing.status == 1 && missing.err.contains("no group g"), "{missing:?}");
    let nothing = run(&["group", "reset-offsets", "g", "--all-topics", "--to", "latest"]);
    assert!(nothing.status == 1 && nothing.err.contains("--topic"), "{nothing:?}");

    let dry = run(&["group", "reset-offsets", "g", "--topic", "t:0", "--to", "4", "--dry-run"]);
    assert_eq!(dry.out, "TOPIC  PARTITION  FROM  TO\nt      0          -     4\n", "{dry:?}");
    assert_eq!(run(&["group", "list"]).out, "GROUP  TYPE  STATE  PROTOCOL\n");
    let done = run(&["group", "reset-offsets", "g", "--topic", "t:0", "--to", "4"]);
    assert_eq!(done.out, dry.out, "{done:?}");
    let listed = run(&["group", "list", "--json"]);
    assert!(
        listed.out.contains("\"group\":\"g\"") && listed.out.contains("\"state\":\"Empty\""),
        "{listed:?}"
    );

    server.kill();
    let server = Server::start_at(dir.path(), &at);
    let described = run(&["group", "describe", "g"]);
    assert!(described.out.contains("lag       6 in all"), "{described:?}");
    let goals = [("earliest", "0"), ("latest", "10"), ("999", "10"), ("-3", "7"), ("@0", "0")];
    for (to, goal) in goals {
        let moved = run(&["group", "reset-offsets", "g", "--all-topics", "--to", to]);
        assert!(moved.out.ends_with(&format!("{goal}\n")), "{to}: {moved:?}");
    }
    let since = run(&["group", "reset-offsets", "g", "--all-topics", "--by-duration", "1d"]);
    assert!(since.out.ends_with("  0\n"), "{since:?}");
    let json = run(&["group", "describe", "g", "--json"]);
    let line: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&line["committed"], &line["end"], &line["lag"]), (&0.into(), &10.into(), &10.into()));

    assert_eq!(run(&["group", "delete", "g"]).out, "deleted group g\n");
    let gone = run(&["group", "delete", "g"]);
    assert!(gone.status == 1 && gone.err.contains("GROUP_ID_NOT_FOUND"), "{gone:?}");
    drop(server);
}
