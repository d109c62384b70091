//! The PostgreSQL backend when connections are cut, the server crashes, and two handles race.

#[path = "postgres_proxy/mod.rs"]
mod proxy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proxy::Proxy;
use siltstone_store::postgres::testing::{self, Server};
use siltstone_store::postgres::{Address, OpenError, Options, PostgresStore};
use siltstone_store::{Commit, CommitError, KeyRange, Stamp, Store, StoreError, Version, read_all};
use tokio::time::{Instant, sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(60);

/// Cuts every connection to the database but this one.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Cuts the connection on which a handle of this name listens.
const DEAFEN: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reader' \
                      AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')";

async fn open_with(url: &str, options: Options) -> Arc<PostgresStore> {
    let address = Address::parse(url).expect("an address");
    Arc::new(PostgresStore::open(address, options).await.expect("the store opens"))
}

async fn open(url: &str) -> Arc<PostgresStore> {
    open_with(url, Options::default()).await
}

/// The server, or else the reason why the test can't run, said.
macro_rules! server_or_skip {
    ($server:expr) => {
        match $server {
            Ok(server) => server,
            Err(why) => return eprintln!("SKIPPED: {why}"),
        }
    };
}

/// What a writer was told of its appends: by value, the stamp or nothing if it isn't known.
type Told = BTreeMap<String, Option<Stamp>>;

/// Appends one after the other until told to stop. An append that certainly did not happen is left out.
async fn append(store: Arc<PostgresStore>, name: String, stop: Arc<AtomicBool>) -> (Told, Told) {
    let (mut told, mut refused) = (Told::new(), Told::new());
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let value = format!("{name}/{round:06}");
        match store.commit(Commit::blind().stamped("log/", "", value.clone()).add("sum", 1)).await {
            Ok(committed) => drop(told.insert(value, Some(committed.stamp))),
            Err(CommitError::Unknown(_)) => drop(told.insert(value, None)),
            Err(CommitError::Unavailable(_)) => drop(refused.insert(value, None)),
            Err(other) => panic!("a blind append failed: {other}"),
        }
    }
    (told, refused)
}

/// Every append that was told is there once, at its stamp, in its writer's order; none that was refused is; nothing is there twice.
async fn check(store: &dyn Store, told: &Told, refused: &Told) {
    let snapshot = store.snapshot().await.expect("a snapshot");
    let log = read_all(&*snapshot, &KeyRange::prefix("log/"), 64 << 20).await.expect("the log");
    let mut found = BTreeMap::new();
    for (key, value) in &log {
        let value = String::from_utf8(value.to_vec()).expect("text");
        assert!(found.insert(value.clone(), key.clone()).is_none(), "{value} was applied twice");
        assert!(
            told.contains_key(&value) && !refused.contains_key(&value),
            "{value} was refused, and is there"
        );
    }
    let mut last: BTreeMap<&str, &Bytes> = BTreeMap::new();
    for (value, stamp) in told {
        let Some(stamp) = stamp else { continue };
        let key = found.get(value).unwrap_or_else(|| panic!("{value} was told, and is lost"));
        assert_eq!(key.as_ref(), [b"log/".as_slice(), &stamp.0].concat(), "{value}");
        let writer = value.split('/').next().unwrap_or_default();
        assert!(last.insert(writer, key).is_none_or(|before| before < key), "{value} is out of order");
    }
    let sum = snapshot.get(b"sum").await.expect("a value").expect("a sum");
    assert_eq!(
        u64::from_le_bytes(sum.as_ref().try_into().expect("8 bytes")),
        log.len() as u64,
        "half a commit"
    );
}

/// Runs writers on two handles while `harm` is done, then checks what they were told.
async fn under(url: &str, harm: impl AsyncFnOnce()) -> (Told, Told) {
    let stop = Arc::new(AtomicBool::new(false));
    let handles = [open(url).await, open(url).await];
    let writers: Vec<_> = (0..8)
        .map(|writer| tokio::spawn(append(handles[writer % 2].clone(), format!("w{writer}"), stop.clone())))
        .collect();
    harm().await;
    // Everybody gets something done after it.
    let after = handles[0].commit(Commit::blind().set("after", "x")).await;
    assert!(after.is_ok(), "{after:?}");
    stop.store(true, Ordering::Relaxed);
    let (mut told, mut refused) = (Told::new(), Told::new());
    for writer in writers {
        let own = timeout(DEADLINE, writer).await.expect("the writer ends").expect("and ends well");
        told.extend(own.0);
        refused.extend(own.1);
    }
    assert!(told.len() > 100, "{} appends", told.len());
    check(&*handles[1], &told, &refused).await;
    (told, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_cost_nothing_but_time() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let (told, refused) = under(&url, async || {
        for _ in 0..40 {
            sleep(Duration::from_millis(30)).await;
            testing::run(&url, CUT).await;
        }
    })
    .await;
    // The server was there all the time: so every result was to be had.
    assert!(refused.is_empty() && told.values().all(Option::is_some), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_server_loses_nothing_and_results_are_known() {
    let server = server_or_skip!(Server::start());
    let url = server.database().await;
    let (told, _) = under(&url, async || {
        for _ in 0..3 {
            sleep(Duration::from_millis(300)).await;
            server.crash_and_restart();
        }
    })
    .await;
    assert!(
        told.values().all(Option::is_some),
        "the server came back in time, so every result was to be had"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_calls_end_with_an_error_and_work_again_after() {
    let server = server_or_skip!(Server::start());
    let url = server.database().await;
    let options = Options { patience: Duration::from_millis(300), ..Options::default() };
    let store = open_with(&url, options.clone()).await;
    store.commit(Commit::blind().set("k", "1")).await.expect("a commit");
    let watch = store.watch(b"k").await.expect("a watch");
    let old = store.snapshot().await.expect("a snapshot");
    server.crash();
    let refused = store.commit(Commit::blind().set("k", "2")).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_) | CommitError::Unknown(_))), "{refused:?}");
    assert!(matches!(store.snapshot().await.err(), Some(StoreError::Unavailable(_))));
    assert!(matches!(old.get(b"k").await, Err(StoreError::Unavailable(_))));
    let address = Address::parse(&url).expect("an address");
    let refused = PostgresStore::open(address, options).await;
    assert!(matches!(refused, Err(OpenError::Unreachable { .. })), "{refused:?}");
    // Whoever watches must look again: nobody knows what was missed.
    timeout(DEADLINE, watch).await.expect("the watch ends").expect("and fires");
    server.recover();
    let end = Instant::now() + DEADLINE;
    while let Err(error) = store.commit(Commit::blind().set("k", "3")).await {
        assert!(Instant::now() < end, "{error}");
    }
    // Held by nothing but its number, the old snapshot is still what it was.
    assert_eq!(old.get(b"k").await, Ok(Some("1".into())));
    assert_eq!(store.snapshot().await.expect("a snapshot").get(b"k").await, Ok(Some("3".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_that_race_never_both_win() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let handles = [open(&url).await, open(&url).await];
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = handles[task % 2].clone();
            tokio::spawn(async move {
                let mut done = 0_u64;
                while done < 25 {
                    let read = store.snapshot().await.expect("a snapshot");
                    let old = read.get(b"n").await.expect("a value");
                    let old =
                        old.map_or(0, |old| u64::from_le_bytes(old.as_ref().try_into().expect("8 bytes")));
                    let next =
                        Commit::at(read.version()).read_key("n").set("n", (old + 1).to_le_bytes().to_vec());
                    match store.commit(next).await {
                        Ok(_) => done += 1,
                        Err(error) => assert_eq!(error, CommitError::Conflict),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        timeout(DEADLINE, task).await.expect("the task ends").expect("and ends well");
    }
    let sum = handles[0].snapshot().await.expect("a snapshot").get(b"n").await;
    assert_eq!(sum, Ok(Some(Bytes::from(200_u64.to_le_bytes().to_vec()))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_handle_sees_at_once_what_another_was_told_and_its_watches_fire() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let (one, other) = (open(&url).await, open(&url).await);
    for round in 0..50_u32 {
        let watch = other.watch(b"k").await.expect("a watch");
        let committed = one.commit(Commit::blind().set("k", round.to_string())).await.expect("a commit");
        let snapshot = other.snapshot().await.expect("a snapshot");
        assert!(snapshot.version() >= committed.version);
        assert_eq!(snapshot.get(b"k").await, Ok(Some(round.to_string().into())));
        let at = other.snapshot_at(committed.version).await.expect("the version is there");
        assert_eq!(at.get(b"k").await, Ok(Some(round.to_string().into())));
        timeout(DEADLINE, watch).await.expect("the watch ends").expect("and fires");
    }
}

/// Who watches and reads at what was heard misses nothing that another handle wrote, whatever is cut meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_is_enough_also_when_connections_are_cut() {
    const LAST: i64 = 399;
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let (writer, reader) = (open(&url).await, open(&format!("{url}?application_name=reader")).await);
    let name = url.rsplit('/').next().unwrap();
    let (tell, mut told) = tokio::sync::watch::channel(-1);
    let following = tokio::spawn(async move {
        let (mut last, mut heard_it) = (-1, 0);
        loop {
            let watch = reader.watch(b"k").await.expect("a watch");
            let heard = reader.heard();
            let snapshot = match heard {
                Some(version) => reader.snapshot_at(version).await.expect("what was heard can be read"),
                None => reader.snapshot().await.expect("a snapshot"),
            };
            let value = snapshot.get(b"k").await.expect("a value");
            let seen = value.map_or(-1, |value| std::str::from_utf8(&value).unwrap().parse::<i64>().unwrap());
            assert!(last <= seen, "{last}, then {seen}");
            heard_it += i32::from(heard.is_some() && last < seen);
            last = seen;
            tell.send_replace(last);
            if last == LAST {
                return heard_it;
            }
            timeout(DEADLINE, watch).await.expect("the watch ends").expect("and fires");
        }
    });
    for round in 0..=LAST {
        if round % 40 != 39 {
            writer.commit(Commit::blind().set("k", round.to_string())).await.expect("the commit succeeds");
        }
        if round % 80 == 20 {
            testing::run(&url, CUT).await;
        }
        // What is written while the reader does not listen, and nobody tells of later.
        if round % 40 == 39 {
            server.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
            server.run(DEAFEN).await;
            sleep(Duration::from_millis(200)).await;
            writer.commit(Commit::blind().set("k", round.to_string())).await.expect("the commit succeeds");
            server.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
            let seen = timeout(DEADLINE, told.wait_for(|seen| *seen == round)).await;
            seen.expect("it is found").expect("the reader goes on");
        }
    }
    let heard_it = timeout(DEADLINE, following).await.expect("it comes to the end").expect("it ends well");
    assert!(heard_it > 0, "nothing was ever heard");
}

/// A number that the server says.
async fn number(url: &str, query: &str) -> i64 {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let number = client.query_one(query, &[]).await.expect("a row").get(0);
    drop(client);
    connection.await.expect("the connection ends").expect("and ends well");
    number
}

/// An idle store whose history was removed to the last row is at the version that it was at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_rests_keeps_its_version() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let short = Duration::from_millis(50);
    let options =
        Options { snapshot_age: short, told_age: short, tidy_interval: short, ..Options::default() };
    let store = open_with(&url, options).await;
    let mut last = Version(0);
    for round in 0..30_u32 {
        last = store
            .commit(Commit::blind().set("k", round.to_string()).clear("l"))
            .await
            .expect("a commit")
            .version;
    }
    let end = Instant::now() + DEADLINE;
    let left = "SELECT count(*) FROM siltstone_commit UNION ALL SELECT count(*) FROM siltstone_entry";
    while number(&url, &format!("SELECT sum(count)::bigint FROM ({left}) left_over")).await > 2 {
        assert!(Instant::now() < end, "history is left");
        sleep(short).await;
    }
    for _ in 0..5 {
        sleep(short).await;
        assert_eq!(number(&url, "SELECT max(version) FROM siltstone_commit").await, last.0.cast_signed());
    }
    let snapshot = open(&url).await.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.version(), snapshot.get(b"k").await), (last, Ok(Some("29".into()))));
    let next = Commit::at(last).read_key("k").set("k", "next");
    assert!(store.commit(next).await.expect("a commit").version > last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_removed_and_snapshots_that_need_it_are_too_old() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let interval = Duration::from_millis(20);
    let options =
        Options { snapshot_age: Duration::from_millis(200), tidy_interval: interval, ..Options::default() };
    let store = open_with(&url, options).await;
    store.commit(Commit::blind().set("kept", "x").set("gone", "x").set("hot", "0")).await.expect("a commit");
    let old = store.snapshot().await.expect("a snapshot");
    for round in 1..300_u32 {
        let more =
            Commit::blind().set("hot", round.to_string()).clear("gone").clear_range(KeyRange::new("x", "y"));
        store.commit(more.stamped("log/", "", "x")).await.expect("a commit");
    }
    let end = Instant::now() + DEADLINE;
    loop {
        // The last commit may be removed from history only when there is a later one: so there is always one to read at.
        store.commit(Commit::blind().set("beat", "x")).await.expect("a commit");
        let left = number(&url, "SELECT count(*) FROM siltstone_entry").await;
        if left <= 299 + 2 + 30 {
            break;
        }
        assert!(Instant::now() < end, "{left} rows are left");
        sleep(interval).await;
    }
    assert_eq!(old.get(b"hot").await, Err(StoreError::TooOld));
    let range = old.range(&KeyRange::prefix("log/"), siltstone_store::RangeLimit::default()).await;
    assert_eq!(range.err(), Some(StoreError::TooOld));
    let late = Commit::at(old.version()).read_key("kept").set("kept", "y");
    assert_eq!(store.commit(late).await.err(), Some(CommitError::TooOld));
    let now = store.snapshot().await.expect("a snapshot");
    assert_eq!(now.get(b"hot").await, Ok(Some("299".into())));
    assert_eq!(now.get(b"kept").await, Ok(Some("x".into())));
    assert_eq!(now.get(b"gone").await, Ok(None));
    assert_eq!(read_all(&*now, &KeyRange::prefix("log/"), 1 << 20).await.expect("the log").len(), 299);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_an_empty_database_at_once_make_one_store() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(&url).await.commit(Commit::blind().add("n", 1)).await })
        })
        .collect();
    for opened in opening {
        let committed = timeout(DEADLINE, opened).await.expect("it opens").expect("the task ends well");
        assert!(committed.is_ok(), "{committed:?}");
    }
    let n = open(&url).await.snapshot().await.expect("a snapshot").get(b"n").await;
    assert_eq!(n, Ok(Some(Bytes::from(6_u64.to_le_bytes().to_vec()))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_newer_program_is_left_alone() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    drop(open(&url).await);
    testing::run(&url, "UPDATE siltstone_meta SET format = 2").await;
    let refused = PostgresStore::open(Address::parse(&url).expect("an address"), Options::default()).await;
    assert!(matches!(refused, Err(OpenError::Newer { found: 2, known: 1, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_to_whom_the_certificate_names() {
    let server = server_or_skip!(Server::start());
    let (url, authority) = (server.database().await, server.encrypt().await);
    let authority = authority.display();
    let end = Instant::now() + DEADLINE;
    let opened = loop {
        let address = Address::parse(&format!("{url}?sslmode=verify-full&sslrootcert={authority}"))
            .expect("an address");
        match PostgresStore::open(address, Options::default()).await {
            Ok(opened) => break opened,
            // The server takes its new settings up a moment later.
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    };
    opened.commit(Commit::blind().set("k", "x")).await.expect("a commit");
    assert!(
        number(&url, "SELECT count(*) FROM pg_stat_ssl WHERE ssl").await > 0,
        "connections are encrypted"
    );
    // The system does not know that authority, and the certificate does not name that host.
    let unknown = format!("{url}?sslmode=verify-full");
    let other_name =
        format!("{url}?sslmode=verify-full&sslrootcert={authority}").replace("127.0.0.1", "localhost");
    for wrong in [unknown, other_name] {
        let refused =
            PostgresStore::open(Address::parse(&wrong).expect("an address"), Options::default()).await;
        assert!(matches!(refused, Err(OpenError::Unreachable { .. })), "{wrong}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_socket_will_do() {
    let server = server_or_skip!(Server::start());
    let url = server.database().await;
    let (_, rest) = url.rsplit_once(':').expect("a port");
    let (port, database) = rest.split_once('/').expect("a database");
    let directory = server.directory().display().to_string().replace('/', "%2F");
    let store = open(&format!("postgres://siltstone@{directory}:{port}/{database}")).await;
    store.commit(Commit::blind().set("k", "x")).await.expect("a commit");
}

/// A commit that its connection delivers only after another has taken its place must never happen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_late_from_a_lost_connection_is_void() {
    let server = server_or_skip!(Server::shared());
    let url = server.database().await;
    let proxy = Proxy::start(&url, b"held-value").await;
    let store = open(&proxy.url).await;
    let committed = store.commit(Commit::blind().stamped("log/", "", "held-value").add("n", 1)).await;
    let committed = committed.expect("it is known that the first did not happen, and so it was sent again");
    let answer = proxy.deliver(b"SI001").await;
    assert!(String::from_utf8_lossy(&answer).contains("SI001"), "the late one is refused: {answer:?}");
    let snapshot = store.snapshot().await.expect("a snapshot");
    let log = read_all(&*snapshot, &KeyRange::prefix("log/"), 1 << 20).await.expect("the log");
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].0.as_ref(), [b"log/".as_slice(), &committed.stamp.0].concat());
    assert_eq!(snapshot.get(b"n").await, Ok(Some(Bytes::from(1_u64.to_le_bytes().to_vec()))));
}

/// Keys that are longer than PostgreSQL's indexes take sort among the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_keys_are_keys_like_others() {
    let server = server_or_skip!(Server::shared());
    let store = open(&server.database().await).await;
    // Bytes that no index could compress.
    let noise = |seed: u32, len: usize| -> Vec<u8> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & 0x7f
        };
        (0..len).map(next).collect()
    };
    let keys: BTreeMap<Vec<u8>, String> = (0..60_u32)
        .map(|item| {
            let length = [3, 1_999, 2_000, 2_001, 9_000][item as usize % 5];
            let shared = if item % 2 == 0 { noise(1, length - 2) } else { noise(item, length - 2) };
            let key = [b"p".as_slice(), &shared, &[item as u8]].concat();
            (key, item.to_string())
        })
        .collect();
    for (key, value) in &keys {
        store.commit(Commit::blind().set(key.clone(), "old")).await.expect("a commit");
        store.commit(Commit::blind().set(key.clone(), value.clone())).await.expect("a commit");
    }
    let snapshot = store.snapshot().await.expect("a snapshot");
    for reverse in [false, true] {
        let mut expected: Vec<_> = keys.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if reverse {
            expected.reverse();
        }
        for entries in [1, 7, 1_000] {
            let (mut rest, mut all) = (KeyRange::prefix("p"), Vec::new());
            loop {
                let limit = siltstone_store::RangeLimit { entries, bytes: 30_000, reverse };
                let page = snapshot.range(&rest, limit).await.expect("a page");
                all.extend(
                    page.entries
                        .iter()
                        .map(|(key, value)| (key.to_vec(), String::from_utf8_lossy(value).into_owned())),
                );
                let Some((last, _)) = page.entries.last().filter(|_| page.more) else { break };
                match reverse {
                    false => rest.begin = KeyRange::key(last.clone()).end,
                    true => rest.end = last.clone(),
                }
            }
            assert_eq!(all, expected, "{entries} at once, reverse: {reverse}");
        }
    }
    let longest = keys.keys().max_by_key(|key| key.len()).expect("a key").clone();
    let late = Commit::at(snapshot.version()).read_key(longest.clone()).set("own", "x");
    store.commit(Commit::blind().clear_range(KeyRange::prefix("p"))).await.expect("a commit");
    assert_eq!(store.commit(late).await.err(), Some(CommitError::Conflict));
    assert_eq!(snapshot.get(&longest).await.map(|value| value.is_some()), Ok(true));
    let now = store.snapshot().await.expect("a snapshot");
    assert_eq!(now.get(&longest).await, Ok(None));
    assert_eq!(read_all(&*now, &KeyRange::prefix("p"), 1 << 20).await.expect("a range"), []);
}
