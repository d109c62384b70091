//! The `rdkafka` crate: the steps of scenarios/clients.py (`steps`, and `records`, which holds what is written) and, after the word
//! `groups`, those of scenarios/group_clients.py (`groups`).

mod groups;
mod records;
mod steps;

use std::error::Error;
use std::time::{Duration, Instant};

/// What a failed check or a failed call ends the program with.
type Failure = Box<dyn Error + Send + Sync>;

/// Fails with `what` and both values unless they are equal.
fn demand<T: PartialEq + std::fmt::Debug>(got: T, want: T, what: &str) -> Result<(), Failure> {
    if got == want {
        return Ok(());
    }
    Err(format!("{what}: got {got:?}, want {want:?}").into())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["groups", bootstrap, source, out, group] => groups::Run {
            bootstrap: (*bootstrap).into(),
            source: (*source).into(),
            out: (*out).into(),
            group: (*group).into(),
            end: Instant::now() + Duration::from_secs(60),
        }
        .all(),
        [bootstrap, topic, base] => {
            let run =
                steps::Run { bootstrap: (*bootstrap).into(), topic: (*topic).into(), base: base.parse()? };
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?
                .block_on(run.all())
        }
        _ => {
            Err("usage: interop-rdkafka BOOTSTRAP TOPIC BASE-TIMESTAMP | groups BOOTSTRAP IN OUT GROUP"
                .into())
        }
    }
}
