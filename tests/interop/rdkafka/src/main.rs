//! The `rdkafka` crate: the steps of scenarios/clients.py. `steps` holds them, `records` what is written.

mod records;
mod steps;

use std::error::Error;

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
    let [bootstrap, topic, base] = args.as_slice() else {
        return Err("usage: interop-rdkafka BOOTSTRAP TOPIC BASE-TIMESTAMP".into());
    };
    let run = steps::Run { bootstrap: bootstrap.clone(), topic: topic.clone(), base: base.parse()? };
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run.all())
}
