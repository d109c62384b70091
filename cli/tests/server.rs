//! The real binary from outside: start, write, `kill -9`, start again, read, SIGTERM.

mod kit;

use std::time::Duration;

use kit::{Server, eventually, siltstone};

#[test]
fn what_was_written_survives_a_kill_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let at = server.kafka.clone();
    let run = |args: &[&str], input: &str| siltstone(&at, args, input);

    let created =
        run(&["topic", "create", "demo", "--partitions", "3", "--config", "retention.ms=1000000"], "");
    assert_eq!(created.out, "created topic demo with 3 partitions\n", "{created:?}");
    let again = run(&["topic", "create", "demo"], "");
    assert_eq!((again.status, again.out.as_str()), (1, ""));
    assert!(again.err.contains("TOPIC_ALREADY_EXISTS") && again.err.lines().count() == 1, "{again:?}");

    let lines: String = (0..2000).map(|i| format!("key{}:value {i}\n", i % 100)).collect();
    let written = run(&["produce", "demo", "-K", ":"], &lines);
    assert_eq!((written.status, written.err.as_str()), (0, "2000 records written to demo\n"));
    server.kill();
    let mut server = Server::start_at(dir.path(), &at);

    let more =
        run(&["produce", "demo", "-K", ":", "--compression", "zstd", "--print-offsets"], "key0:last\n");
    assert_eq!(more.status, 0, "{more:?}");
    assert_eq!(more.out.lines().count(), 1, "{more:?}");
    let read = run(&["consume", "demo", "--exit", "-K", ":"], "");
    assert_eq!(read.status, 0, "{read:?}");
    let of_key = |text: &str, key: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with(&format!("{key}:"))).map(str::to_owned).collect()
    };
    assert_eq!(read.out.lines().count(), 2001);
    for key in ["key1", "key42", "key99"] {
        assert_eq!(of_key(&read.out, key), of_key(&lines, key), "{key}");
    }
    assert_eq!(of_key(&read.out, "key0").last().map(String::as_str), Some("key0:last"));

    let stopped = server.terminate();
    assert_eq!(stopped, Some(0), "{}", server.log());
}

#[test]
fn commands_print_what_programs_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let run = |args: &[&str], input: &str| siltstone(&server.kafka, args, input);
    assert_eq!(run(&["topic", "create", "t"], "").status, 0);
    let input = "{\"key\":\"k\",\"value\":{\"base64\":\"/gA=\"},\"timestamp\":5,\"headers\":[{\"name\":\"h\",\"value\":\"x\"}]}\n\
                 {\"value\":null}\n";
    assert_eq!(run(&["produce", "t", "--json", "--quiet"], input).err, "");
    let read = run(&["consume", "t", "--exit", "--json"], "");
    let records: Vec<serde_json::Value> =
        read.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 2, "{read:?}");
    assert_eq!(records[0]["value"]["base64"], "/gA=");
    assert_eq!((&records[0]["key"], &records[0]["timestamp"]), (&"k".into(), &5.into()));
    assert_eq!(records[0]["headers"][0]["value"], "x");
    assert_eq!((&records[1]["offset"], &records[1]["value"]), (&1.into(), &serde_json::Value::Null));
    let formatted = run(&["consume", "t", "--from", "-1", "--exit", "--format", "%t/%p@%o %V\\n"], "");
    assert_eq!(formatted.out, "t/0@1 -1\n");
    assert_eq!(run(&["consume", "t", "--from", "0", "--max", "1", "--format", "%k"], "").out, "k");
    let described = run(&["topic", "describe", "t"], "");
    assert!(described.out.contains("offsets     2 in all"), "{described:?}");
    let altered = run(&["topic", "alter", "t", "--partitions", "4", "--config", "retention.ms=5"], "");
    assert_eq!(altered.status, 0, "{altered:?}");
    let listed = run(&["topic", "list", "--json"], "");
    assert!(listed.out.contains("\"partitions\":4"), "{listed:?}");
    let refused = run(&["topic", "alter", "t", "--config", "no.such=1"], "");
    assert!(refused.status == 1 && refused.err.contains("no.such"), "{refused:?}");
    assert_eq!(run(&["topic", "delete", "t"], "").out, "deleted topic t\n");
    let gone = run(&["consume", "t", "--exit"], "");
    assert!(gone.status == 1 && gone.err.contains("topic t"), "{gone:?}");
}

#[test]
fn the_http_port_tells_health_and_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    eventually("it is ready", || server.get("/ready").starts_with("HTTP/1.1 200"));
    assert!(server.get("/health").ends_with("alive\n"));
    assert!(server.get("/nothing").starts_with("HTTP/1.1 404"));
    assert_eq!(siltstone(&server.kafka, &["topic", "create", "m"], "").status, 0);
    assert_eq!(siltstone(&server.kafka, &["produce", "m"], "a\nb\n").status, 0);
    let metrics = server.get("/metrics");
    for name in [
        "siltstone_produce_flushes_total",
        "siltstone_produce_commit_seconds_bucket",
        "process_resident_memory_bytes",
        "siltstone_kafka_requests_total",
    ] {
        assert!(metrics.contains(name), "{name} is not in:\n{metrics}");
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_second_server_and_a_bad_start_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let data = dir.path().to_str().unwrap();
    let second = siltstone(&server.kafka, &["inspect", "shard", "0", "--data", data], "");
    assert!(second.status == 1 && second.err.contains("in use by a running server"), "{second:?}");
    let second =
        kit::plain(&["standalone", "--data", data, "--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    assert!(second.status == 1 && second.err.contains("another server runs on"), "{second:?}");
    let elsewhere = dir.path().join("other");
    let busy = kit::plain(&["standalone", "--data", elsewhere.to_str().unwrap(), "--kafka", &server.kafka]);
    assert!(busy.status == 1 && busy.err.contains("listen.kafka"), "{busy:?}");
    let bad = kit::plain(&["standalone", "--set", "flush.bytes=1", "--set", "nonsense=1"]);
    assert!(
        bad.status == 1
            && bad.err.contains("nonsense")
            && bad.err.contains("64KiB")
            && bad.err.lines().count() == 3,
        "{bad:?}"
    );
    let nobody = siltstone("127.0.0.1:1", &["topic", "list"], "");
    assert!(nobody.status == 1 && nobody.err.contains("siltstone standalone"), "{nobody:?}");
    assert_eq!(kit::plain(&["consume"]).status, 2);
}

#[test]
fn shards_and_segments_can_be_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let run = |args: &[&str], input: &str| siltstone(&server.kafka, args, input);
    assert_eq!(run(&["topic", "create", "big", "--config", "siltstone.write=object"], "").status, 0);
    let written = run(&["produce", "big", "-k", "thekey", "--header", "a=b"], "first\nsecond\n");
    assert_eq!(written.status, 0, "{written:?}");
    assert_eq!(server.terminate(), Some(0));
    let data = dir.path().to_str().unwrap();
    let mut shown = String::new();
    for shard in 0..16 {
        shown += &kit::plain(&["inspect", "shard", &shard.to_string(), "--data", data]).out;
    }
    assert!(shown.contains("big/0: 1 batches, 2 records"), "{shown}");
    let segments = kit::files(&dir.path().join("objects/seg"));
    assert_eq!(segments.len(), 1, "{segments:?}");
    let path = segments[0].to_str().unwrap();
    let segment = kit::plain(&["inspect", "segment", path, "--records"]);
    assert!(segment.status == 0 && segment.out.contains("value \"second\" headers 1"), "{segment:?}");
    let url = format!("file://{path}");
    assert_eq!(kit::plain(&["inspect", "segment", &url, "--records"]).out, segment.out);
    let mut bytes = std::fs::read(path).unwrap();
    bytes[70] ^= 1;
    let damaged = dir.path().join("damaged");
    std::fs::write(&damaged, bytes).unwrap();
    let found = kit::plain(&["inspect", "segment", damaged.to_str().unwrap()]);
    assert!(
        found.status == 1 && found.out.contains("DAMAGED") && found.err.contains("1 block is damaged"),
        "{found:?}"
    );
}

#[test]
fn following_ends_when_the_reader_goes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(siltstone(&server.kafka, &["topic", "create", "f"], "").status, 0);
    let mut follower = kit::Child::spawn(&server.kafka, &["consume", "f", "--from", "beginning"]);
    for round in 0..3 {
        assert_eq!(siltstone(&server.kafka, &["produce", "f"], &format!("line {round}\n")).status, 0);
        assert_eq!(follower.line(Duration::from_secs(20)), Some(format!("line {round}")));
    }
    follower.close_output();
    // It learns that nobody reads any more when it has something to say.
    eventually("the follower ends", || {
        assert_eq!(siltstone(&server.kafka, &["produce", "f"], "unread\n").status, 0);
        follower.has_ended()
    });
    assert_eq!(follower.wait(Duration::from_secs(20)), Some((0, String::new())));
}
