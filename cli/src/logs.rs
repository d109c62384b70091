//! Logs: to standard error, as text or JSON, at the level that the settings or `RUST_LOG` say.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::settings::Settings;
use crate::settings::value::LogFormat;

/// Logs of a server.
pub(crate) fn for_server(settings: &Settings) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&settings.log_level));
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second call, as in tests, keeps what is there.
    let _ = match settings.log_format {
        LogFormat::Json => base.json().flatten_event(true).with_ansi(false).try_init(),
        LogFormat::Text => base.with_ansi(io::stderr().is_terminal()).try_init(),
    };
}

/// Logs of a command for a person: none, unless `RUST_LOG` asks for them.
pub(crate) fn for_client() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).without_time().try_init();
}
