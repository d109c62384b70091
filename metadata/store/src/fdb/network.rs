//! FoundationDB's client has one network thread per process, which can be begun once, and must be ended before the process is.

use std::sync::{Mutex, PoisonError};

use foundationdb::api::{FdbApiBuilder, NetworkAutoStop};
use foundationdb::options::NetworkOption;

use super::error::told;
use super::options::Tls;

enum Network {
    /// Nobody has needed it.
    Idle,
    Runs(#[expect(dead_code, reason = "held until it is dropped, which ends the thread")] NetworkAutoStop),
    /// It can't be begun twice.
    Ended(String),
}

static NETWORK: Mutex<Network> = Mutex::new(Network::Idle);

/// Sees to it that the thread runs.
pub(super) fn begin(tls: &Tls) -> Result<(), String> {
    let mut network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
    match &*network {
        Network::Runs(_) => return Ok(()),
        Network::Ended(why) => return Err(why.clone()),
        Network::Idle => {}
    }
    match start(tls) {
        Ok(running) => {
            *network = Network::Runs(running);
            Ok(())
        }
        Err(why) => {
            *network = Network::Ended(why.clone());
            Err(why)
        }
    }
}

fn start(tls: &Tls) -> Result<NetworkAutoStop, String> {
    let mut builder = FdbApiBuilder::default().build().map_err(told)?;
    let given = [
        tls.certificate.clone().map(NetworkOption::TLSCertPath),
        tls.key.clone().map(NetworkOption::TLSKeyPath),
        tls.authorities.clone().map(NetworkOption::TLSCaPath),
        tls.verify_peers.clone().map(|rule| NetworkOption::TLSVerifyPeers(rule.into_bytes())),
    ];
    for option in given.into_iter().flatten() {
        builder = builder.set_option(option).map_err(told)?;
    }
    // SAFETY: what has to be dropped before the process ends is in a static, which `shutdown` empties. A process that ends without that call
    // leaves a thread in the client's code while destructors run; programs of this workspace call it, and tests end by `_exit`-like harnesses.
    #[allow(unsafe_code, reason = "the crate has no other way to begin the network")]
    let running = unsafe { builder.boot() };
    running.map_err(told)
}

/// Ends the network thread, if there is one. To be called once, when no store is used any more and before the process ends; none can be opened later.
pub fn shutdown() {
    let mut network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
    *network = Network::Ended("this process has ended FoundationDB's client".to_owned());
}
