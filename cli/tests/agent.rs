//! `siltstone agent` says what it lacks, and never shows a password. That it works is shown in `tests/interop` (scenario `agents`).
#![allow(clippy::unwrap_used, reason = "a test: helpers outside of test functions count as code")]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod kit;

use kit::plain;

#[test]
fn an_agent_needs_stores_that_can_be_shared() {
    let ended = plain(&["agent", "--store", "s3://bucket/prefix"]);
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("--metadata postgres://"), "{}", ended.err);
    let ended = plain(&["agent", "--metadata", "postgres://u@127.0.0.1/d"]);
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("--store s3://"), "{}", ended.err);
    let ended = plain(&["standalone", "--metadata", "postgres://u:pa55@127.0.0.1/d"]);
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("siltstone agent") && !ended.err.contains("pa55"), "{}", ended.err);
}

#[test]
fn the_password_is_in_no_output() {
    let url = "postgres://u:pa55@127.0.0.1:1/d";
    // Nobody listens there.
    let ended = plain(&[
        "agent",
        "--metadata",
        url,
        "--store",
        "memory://",
        "--kafka",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("postgres://u@127.0.0.1:1/d"), "{}", ended.err);
    let shown = plain(&["config", "--metadata", url, "--set", "metadata.password=pa55"]);
    assert_eq!(shown.status, 0);
    assert!(shown.out.contains("url = \"postgres://u@127.0.0.1:1/d\""), "{}", shown.out);
    let wrong = plain(&["config", "--metadata", "postgres://u:pa55@127.0.0.1:1/d?sslmode=prefer"]);
    assert_eq!(wrong.status, 1);
    for text in [&ended.err, &ended.out, &shown.out, &shown.err, &wrong.err, &wrong.out] {
        assert!(!text.contains("pa55"), "{text}");
    }
}
