//! `siltstone compactor` and `siltstone compactor plan` from outside.

#[allow(dead_code, reason = "other tests use the rest of it")]
mod kit;

use kit::{Server, eventually, plain, siltstone};

#[test]
fn a_compactor_runs_on_its_own_and_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut server = Server::start(dir.path());
    assert_eq!(siltstone(&server.kafka, &["topic", "create", "t"], "").status, 0);
    assert_eq!(siltstone(&server.kafka, &["produce", "t"], "a\nb\n").status, 0);
    for args in [&["compactor", "--http", "127.0.0.1:0"][..], &["compactor", "plan"]] {
        let refused = plain(&[args, &["--data", data]].concat());
        let told = refused.err.contains("stop the server first");
        assert!(refused.status == 1 && told && refused.err.lines().count() == 1, "{refused:?}");
    }
    assert_eq!(server.terminate(), Some(0));
    let mut compactor = Server::run(&["compactor", "--set", "compactor.interval=50ms"], dir.path());
    eventually("it works", || compactor.get("/ready").starts_with("HTTP/1.1 200"));
    assert!(compactor.get("/health").ends_with("alive\n"));
    assert!(compactor.get("/metrics").contains("process_resident_memory_bytes"));
    assert_eq!(compactor.terminate(), Some(0), "{}", compactor.log());
    let plan = plain(&["compactor", "plan", "--data", data]);
    assert!(plan.status == 0 && plan.out.contains("Merges") && plan.out.contains("Reclaim"), "{plan:?}");
    let plan = plain(&["compactor", "plan", "--json", "--data", data]);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["shards"].as_array().unwrap().len(), 16);
    // The registration of the compactor was ended as it should be, and so was the server's.
    assert!(plan["reclaim"]["ended_registrations"].as_array().unwrap().len() >= 2, "{plan}");
}

#[test]
fn a_directory_without_a_cluster_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plain(&["compactor", "plan", "--data", dir.path().to_str().unwrap()]);
    assert!(plan.status == 1 && plan.err.contains("no cluster was ever made"), "{plan:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "and nothing is made there");
}

#[test]
fn fsck_says_what_is_wrong_and_how_bad_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let args = ["--set", "checkpoint.interval=100ms", "--set", "checkpoint.floor_lag=100ms"];
    let mut server =
        Server::run(&[&["standalone", "--kafka", "127.0.0.1:0"][..], &args].concat(), dir.path());
    let create = ["topic", "create", "t", "--config", "siltstone.write=object"];
    assert_eq!(siltstone(&server.kafka, &create, "").status, 0);
    let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
    assert_eq!(siltstone(&server.kafka, &["produce", "t", "--quiet"], &lines).status, 0);
    let running = plain(&["fsck", "--data", data]);
    assert!(running.status == 1 && running.err.contains("stop the server first"), "{running:?}");
    assert_eq!(server.terminate(), Some(0));
    let clean = plain(&["fsck", "--deep", "--data", data]);
    assert!(clean.status == 0 && clean.out.contains("nothing is wrong"), "{clean:?}");
    let clean = plain(&["fsck", "--json", "--data", data]);
    let told: serde_json::Value = serde_json::from_str(&clean.out).unwrap();
    assert_eq!(
        (&told["clean"], told["checked"]["objects"].as_u64() > Some(0)),
        (&true.into(), true),
        "{told}"
    );

    let object = kit::files(&dir.path().join("objects/seg")).pop().unwrap();
    let bytes = std::fs::read(&object).unwrap();
    let mut damaged = bytes.clone();
    damaged[70] ^= 1;
    std::fs::write(&object, damaged).unwrap();
    assert_eq!(plain(&["fsck", "--data", data]).status, 0);
    let found = plain(&["fsck", "--deep", "--data", data]);
    assert!(
        found.status == 1 && found.out.contains("block (error") && found.out.contains("t/0"),
        "{found:?}"
    );
    std::fs::remove_file(&object).unwrap();
    let found = plain(&["fsck", "--repair", "--json", "--data", data]);
    let told: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!((found.status, &told["findings"][0]["kind"]), (1, &"missing-object".into()), "{told}");
    assert_eq!(
        (&told["findings"][0]["topic"], &told["repairs"]),
        (&"t".into(), &serde_json::json!([])),
        "{told}"
    );
    std::fs::write(&object, bytes).unwrap();
    assert_eq!(plain(&["fsck", "--deep", "--data", data]).status, 0);
}
