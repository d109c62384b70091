//! Against an S3 server inside the test, written by others: the protocol, errors by kind, bulk deletes, listing.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use siltstone_objects::{Credentials, Environment, Objects, Options, PutError, ReadError, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code><Message>No such bucket.</Message></Error>";

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Serves the directories below `root` as buckets, until the test's runtime ends.
async fn serve(root: &Path) -> String {
    let files = s3s_fs::FileSystem::new(root).expect("a directory");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let http = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
            let service = service.clone();
            tokio::spawn(async move {
                _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    format!("http://{address}")
}

fn options(endpoint: &str, secret: &str) -> Options {
    let keys = Credentials {
        access_key_id: "key".into(),
        secret_access_key: Secret::new(secret),
        session_token: None,
    };
    Options {
        endpoint: Some(endpoint.to_owned()),
        credentials: Some(keys),
        allow_http: true,
        ..Options::default()
    }
}

fn open(url: &str, options: &Options) -> Objects {
    Objects::open(url, options, &Environment::default(), 1).expect("good options")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_written_read_listed_and_emptied() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("logs")).unwrap();
    let endpoint = serve(root.path()).await;
    for unsigned in [None, Some(true)] {
        let objects = open(
            "s3://logs/some/prefix",
            &Options { unsigned_payload: unsigned, ..options(&endpoint, "secret") },
        );
        objects.check(soon()).await.unwrap();
        let chunks: Vec<Bytes> = (0..128u8).map(|n| Bytes::from(vec![n; 64 << 10])).collect();
        objects.put("seg/1", chunks.clone(), soon()).await.unwrap();
        let whole = chunks.concat();
        assert_eq!(objects.get("seg/1", 0..8 << 20, soon()).await.unwrap(), whole);
        assert_eq!(objects.get("seg/1", 65_000..70_000, soon()).await.unwrap(), whole[65_000..70_000]);
        assert_eq!(objects.head("seg/1", soon()).await.unwrap().size, 8 << 20);
        let beyond = objects.get("seg/1", 0..(8 << 20) + 1, soon()).await.expect_err("beyond the end");
        assert!(matches!(beyond, ReadError::Corrupt { .. }), "{beyond}");
        let far = objects.get("seg/1", 9 << 20..10 << 20, soon()).await.expect_err("far beyond the end");
        assert!(matches!(far, ReadError::Corrupt { .. }), "{far}");
        let missing = objects.get("seg/2", 0..1, soon()).await.expect_err("missing");
        assert!(matches!(missing, ReadError::NotFound { .. }), "{missing}");
        let pages: Vec<_> = objects.list("", soon()).try_collect().await.unwrap();
        let names: Vec<_> = pages.iter().flatten().map(|info| info.name.as_str()).collect();
        assert_eq!(names, ["seg/1"]);
        objects.delete(vec!["seg/1".into(), "seg/2".into()], soon()).await.unwrap();
        let gone = objects.head("seg/1", soon()).await.expect_err("deleted");
        assert!(matches!(gone, ReadError::NotFound { .. }), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_must_mend_is_refused_at_once() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("logs")).unwrap();
    let endpoint = serve(root.path()).await;
    let wrong_key = open("s3://logs", &options(&endpoint, "wrong"));
    let error = wrong_key.put("a", vec![Bytes::from_static(b"x")], soon()).await.expect_err("a wrong key");
    assert!(matches!(error, PutError::Refused { may_exist: false, .. }), "{error}");
    let error = wrong_key.get("a", 0..1, soon()).await.expect_err("a wrong key");
    assert!(matches!(error, ReadError::Refused { .. }), "{error}");
    let error = wrong_key.check(soon()).await.expect_err("a wrong key");
    assert_eq!(error.step, "writing");
    assert!(error.to_string().contains(&endpoint), "{error}");
}

/// Keys in a profile, as a tool that rotates them writes them.
fn profile(dir: &Path, secret: &str) {
    let text = format!("[default]\naws_access_key_id=key\naws_secret_access_key={secret}\n");
    std::fs::write(dir.join("credentials"), text).expect("a profile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_credentials_are_taken_from_the_profile_while_it_runs() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("logs")).unwrap();
    let endpoint = serve(root.path()).await;
    let home = tempfile::tempdir().unwrap();
    profile(home.path(), "old");
    let file = home.path().join("credentials").display().to_string();
    let environment = Environment::from_iter([("AWS_SHARED_CREDENTIALS_FILE".to_owned(), file)]);
    let options = Options { endpoint: Some(endpoint), allow_http: true, ..Options::default() };
    let objects = Objects::open("s3://logs", &options, &environment, 1).expect("good options");
    profile(home.path(), "secret");
    // All of them are refused at first; one reads the profile again, and all go on.
    let puts = (0..8).map(|n| {
        let objects = objects.clone();
        async move { objects.put(&format!("a/{n}"), vec![Bytes::from_static(b"x")], soon()).await }
    });
    for put in futures::future::join_all(puts).await {
        put.expect("it is stored with the new secret");
    }
    assert_eq!(objects.trouble(), None);
}

/// A server that gives each request the next of these answers, and the last one for ever.
async fn canned(answers: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut requests = 0;
        while let Ok((socket, _)) = listener.accept().await {
            let (status, body) = answers[requests.min(answers.len() - 1)];
            requests += 1;
            answer(socket, status, body).await;
        }
    });
    endpoint
}

async fn answer(mut socket: TcpStream, status: &str, body: &str) {
    // Requests here are small: head and body together are far below this.
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        body.len() >= length.unwrap_or(0)
    };
    while !whole(&request) {
        match socket.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"e\"\r\nConnection: close\r\n\r\n");
    _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
    _ = socket.shutdown().await;
}

#[tokio::test]
async fn answers_are_sorted_by_what_to_do() {
    let put = |endpoint: String| async move {
        let objects = open("s3://logs", &options(&endpoint, "secret"));
        objects.put("a", vec![Bytes::from_static(b"x")], soon()).await
    };
    let refusals: [&'static [(&str, &str)]; 3] = [
        &[("404 Not Found", NO_BUCKET)],
        &[("400 Bad Request", "<Error><Code>InvalidArgument</Code></Error>")],
        &[("301 Moved Permanently", "<Error><Code>PermanentRedirect</Code></Error>")],
    ];
    for answers in refusals {
        let error = put(canned(answers).await).await.expect_err(answers[0].0);
        assert!(matches!(error, PutError::Refused { may_exist: false, .. }), "{}: {error}", answers[0].0);
    }
    let passing: &'static [(&str, &str)] = &[
        ("503 Slow Down", ""),
        ("500 Internal Server Error", ""),
        ("429 Too Many Requests", ""),
        ("200 OK", ""),
    ];
    put(canned(passing).await).await.expect("it was tried again");
    let objects = open("s3://logs", &options(&canned(&[("404 Not Found", NO_BUCKET)]).await, "secret"));
    let error = objects.get("a", 0..1, soon()).await.expect_err("no such bucket");
    assert!(matches!(error, ReadError::Refused { .. }), "{error}");
    let error = objects.delete(vec!["a".into()], soon()).await.expect_err("no such bucket");
    assert_eq!((error.left, error.refused), (vec!["a".to_owned()], true));
    // What a HEAD leaves open, the GET behind it says.
    let told: &'static [(&str, &str)] = &[("404 Not Found", ""), ("404 Not Found", NO_BUCKET)];
    let objects = open("s3://logs", &options(&canned(told).await, "secret"));
    let error = objects.head("a", soon()).await.expect_err("no such bucket");
    assert!(matches!(error, ReadError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn expired_credentials_are_refused_until_others_are_accepted() {
    let answers: &'static [(&str, &str)] = &[
        ("400 Bad Request", "<Error><Code>ExpiredToken</Code></Error>"),
        // The credentials were read again, and are the same.
        ("400 Bad Request", "<Error><Code>ExpiredToken</Code></Error>"),
        ("200 OK", ""),
    ];
    let objects = open("s3://logs", &options(&canned(answers).await, "secret"));
    let put = || objects.put("a", vec![Bytes::from_static(b"x")], soon());
    let error = put().await.expect_err("expired");
    assert!(matches!(error, PutError::Refused { may_exist: false, .. }), "{error}");
    assert!(
        objects.trouble().is_some_and(|trouble| trouble.refused && trouble.reason.contains("ExpiredToken"))
    );
    put().await.expect("accepted");
    assert_eq!(objects.trouble(), None);
}

#[tokio::test]
async fn a_store_that_is_not_there_is_unavailable_and_certainly_has_nothing() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let objects = open("s3://logs", &options(&endpoint, "secret"));
    let shortly = Instant::now() + Duration::from_millis(300);
    let error = objects.put("a", vec![Bytes::from_static(b"x")], shortly).await.expect_err("nobody listens");
    assert!(matches!(error, PutError::Unavailable { .. }), "{error}");
}

/// Nothing ends such a connection: neither side hears of the other any more.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_into_silence_is_found_out_before_its_time_is_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let mut options = options(&endpoint, "secret");
    let hour = Duration::from_secs(3600);
    options.requests.timeout = hour;
    options.requests.hedge_put = None;
    options.requests.tcp_user_timeout = Duration::from_millis(200);
    let objects = open("s3://logs", &options);
    // More than the systems on both sides take without anybody who reads it.
    let chunks = vec![Bytes::from(vec![7; 1 << 20]); 32];
    let put = tokio::spawn({
        let objects = objects.clone();
        async move { objects.put("seg/1", chunks, Instant::now() + hour).await }
    });
    let (_silent, _) = listener.accept().await.expect("the PUT");
    let trouble = async {
        loop {
            match objects.trouble() {
                Some(trouble) => return trouble,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let trouble =
        tokio::time::timeout(Duration::from_secs(20), trouble).await.expect("it fails, and not in an hour");
    assert!(!trouble.refused, "{trouble:?}");
    listener.accept().await.expect("it is tried again");
    put.abort();
}
