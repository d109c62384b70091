//! The `siltstone` command: a server in one process, and what a person needs beside it.
//!
//! [`client`] is a small Kafka client, [`settings`] what a server reads before it starts; [`run`] is the command itself. Results go to
//! standard output, everything else to standard error. Exit status: 0, 1 for a failure (one sentence says why), 2 for a
//! command line that can't be understood.

mod args;
pub mod client;
mod command;
mod failure;
mod logs;
mod output;
pub mod settings;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::{Failure, Outcome};

/// Threads of the commands that are clients.
const CLIENT_WORKERS: usize = 2;

/// Runs the command that this process was started with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = execute(cli.command);
    // Its network thread must have ended before destructors run.
    #[cfg(feature = "foundationdb")]
    siltstone_store::fdb::shutdown();
    match outcome {
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::Said(sentence)) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "siltstone: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Outcome {
    match command {
        Command::Standalone(args) => command::standalone::run(&args),
        Command::Agent(args) => command::agent::run(&args),
        Command::Compactor(args) => command::compactor::run(args),
        Command::Fsck(args) => client(command::fsck::run(args)),
        Command::Features(args) => client(command::features::run(args)),
        Command::Restored(args) => client(command::restored::run(args)),
        Command::Config(args) => command::config::run(&args),
        Command::Version => Ok(writeln!(std::io::stdout(), "siltstone {}", env!("CARGO_PKG_VERSION"))?),
        Command::Topic(args) => client(command::topic::run(args)),
        Command::Erase(args) => client(command::erase::run(args)),
        Command::Group(args) => client(command::group::run(args)),
        Command::Produce(args) => client(command::produce::run(args)),
        Command::Consume(args) => client(command::consume::run(args)),
        Command::Bench(args) => client(command::bench::run(args)),
        Command::Inspect(args) => client(command::inspect::run(args)),
    }
}

fn client(work: impl Future<Output = Outcome>) -> Outcome {
    logs::for_client();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(CLIENT_WORKERS).enable_all().build()?;
    let outcome = runtime.block_on(work);
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    outcome
}
