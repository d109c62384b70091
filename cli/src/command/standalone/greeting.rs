//! What a newcomer sees first.

use std::io::{self, Write};

use siltstone_agent::engine::Foundations;

use super::listeners::Listeners;
use crate::settings::Settings;
use crate::settings::value::HostPort;

/// The address that commands try by themselves.
const USUAL: &str = "127.0.0.1:9092";

/// Says where everything is, and three lines to paste.
pub(super) fn print(
    settings: &Settings,
    listeners: &Listeners,
    advertised: &HostPort,
    foundations: &Foundations,
) -> io::Result<()> {
    let text = text(settings, listeners, advertised, foundations.objects.place());
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Nobody has to read this.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn text(settings: &Settings, listeners: &Listeners, advertised: &HostPort, objects: &str) -> String {
    let kafka = &listeners.kafka_address;
    let known_as =
        if advertised == kafka { String::new() } else { format!(", known to clients as {advertised}") };
    let local = HostPort { host: "127.0.0.1".to_owned(), port: kafka.port };
    let reach = if kafka.is_any() { &local } else { kafka };
    let at = if reach.to_string() == USUAL { String::new() } else { format!(" -b {reach}") };
    format!(
        "siltstone {version}\n\
         kafka     {kafka}{known_as}\n\
         http      http://{http} (/metrics, /health, /ready)\n\
         metadata  {data}\n\
         objects   {objects}\n\
         \n\
         Try it in another terminal:\n\
         \n\
         \x20 siltstone topic create demo{at}\n\
         \x20 echo hello | siltstone produce demo{at}\n\
         \x20 siltstone consume demo --from beginning{at}\n\
         \n",
        version = env!("CARGO_PKG_VERSION"),
        http = listeners.http_address,
        data = settings.metadata_url.as_ref().map_or_else(|| settings.data.clone(), ToString::to_string),
    )
}
