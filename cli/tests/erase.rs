//! `siltstone erase` on the real binary, from the request to the receipt and its end.

#[allow(dead_code, reason = "other tests use the rest of it")]
mod kit;

use kit::{Server, files, siltstone};
use serde_json::Value;

const SETTINGS: [&str; 5] = [
    "checkpoint.interval=100ms",
    "checkpoint.floor_lag=200ms",
    "compactor.interval=200ms",
    "compactor.wait=1s",
    "compactor.grace=1s",
];

#[test]
fn a_key_is_erased_with_a_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let set = SETTINGS.iter().flat_map(|setting| ["--set", setting]);
    let args: Vec<&str> = ["standalone", "--kafka", "127.0.0.1:0"].into_iter().chain(set).collect();
    let server = Server::run(&args, dir.path());
    let at = server.kafka.clone();
    let run = |args: &[&str]| siltstone(&at, args, "");
    assert_eq!(run(&["topic", "create", "t", "--config", "siltstone.write=object"]).status, 0);
    let line = |n: usize| {
        let (key, value) = if n.is_multiple_of(4) { ("alice", "the-secret") } else { ("bob", "open") };
        format!("{{\"key\":\"{key}\",\"value\":\"{value}-{n}\"}}\n")
    };
    let lines: String = (0..40).map(line).collect();
    assert_eq!(siltstone(&at, &["produce", "t", "--json", "--quiet"], &lines).status, 0);
    let secret = || {
        let holds = |path: &std::path::PathBuf| {
            String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains("the-secret")
        };
        files(&dir.path().join("objects")).iter().filter(|path| holds(path)).count()
    };
    assert_eq!(secret(), 1);

    let none = run(&["erase", "--topic", "no", "--key", "alice"]);
    assert!(none.status == 1 && none.err.contains("there is no topic 'no'"), "{none:?}");
    let file = dir.path().join("keys");
    std::fs::write(&file, "nobody\n").unwrap();
    let from = file.to_str().unwrap();
    let args =
        ["erase", "--topic", "t", "--key", "alice", "--keys-from", from, "--key-hex", "00ff", "--json"];
    let asked = run(&args);
    let asked: Value = serde_json::from_str(&asked.out).unwrap_or_else(|error| panic!("{error}: {asked:?}"));
    assert_eq!((asked["topic"].as_str(), asked["keys"].as_u64()), (Some("t"), Some(3)));
    let id = asked["erasure"].as_str().unwrap().to_owned();
    let left = run(&["consume", "t", "--from", "beginning", "--exit", "--json"]);
    assert!(left.out.lines().count() == 30 && !left.out.contains("alice"), "{left:?}");

    let again = run(&["erase", "--topic", "t", "--key", "alice", "--wait"]);
    assert!(again.status == 0 && again.out.contains("completed  20"), "{again:?}");
    let receipt = run(&["erase", "receipt", &id, "--json"]);
    let receipt: Value = serde_json::from_str(&receipt.out).unwrap();
    assert_eq!(receipt["keys"], 3);
    assert_eq!(receipt["partitions"][0]["upto"], 40);
    assert_eq!(receipt["objects"].as_array().unwrap().len(), 1, "{receipt}");
    assert_eq!(receipt["objects"][0]["records"], 10);
    assert_eq!(secret(), 0, "{receipt}");
    let listed = run(&["erase", "list"]);
    assert_eq!(listed.out.lines().count(), 3, "{listed:?}");
    let left = run(&["consume", "t", "--from", "beginning", "--exit", "--json"]);
    assert_eq!(left.out.lines().count(), 30, "{left:?}");
    drop(server);
}
