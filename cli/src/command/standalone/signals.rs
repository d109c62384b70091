//! SIGTERM and SIGINT: the first asks for a clean end, the second for an end at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a server.
pub(in crate::command) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(in crate::command) fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The number of the next one.
    pub(in crate::command) async fn next(&mut self) -> i32 {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        }
    }
}

/// Ends the process as a shell would report that signal. What was acknowledged is durable all the same.
pub(in crate::command) fn end_at_once(number: i32) {
    tracing::warn!("ended by a second signal: what was not yet acknowledged is lost");
    std::process::exit(128 + number);
}
