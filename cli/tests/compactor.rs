//! `siltstone compactor` and `siltstone compactor plan` from outside.

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
}
