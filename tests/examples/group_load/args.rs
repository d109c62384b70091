//! The command line.

use crate::wire::Failure;

/// How members live in their groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// They don't join: who commits is nobody's member.
    None,
    Classic,
    Consumer,
}

#[derive(Debug, Clone)]
pub(crate) struct Args {
    /// `commits` or `rebalance`.
    pub(crate) what: String,
    /// HOST:PORT.
    pub(crate) server: String,
    /// The server's process, whose CPU time is told.
    pub(crate) pid: Option<u32>,
    pub(crate) protocol: Protocol,
    pub(crate) groups: usize,
    /// Of each group.
    pub(crate) members: usize,
    pub(crate) partitions: i32,
    /// Partitions in each commit.
    pub(crate) each: i32,
    pub(crate) seconds: u64,
    /// Of members of the classic protocol, milliseconds.
    pub(crate) session: i32,
}

impl Args {
    pub(crate) fn parse() -> Result<Self, Failure> {
        let mut words = std::env::args().skip(1);
        let mut args = Args {
            what: words.next().ok_or("which: commits or rebalance?")?,
            server: "127.0.0.1:9092".to_owned(),
            pid: None,
            protocol: Protocol::Classic,
            groups: 200,
            members: 10,
            partitions: 2000,
            each: 1,
            seconds: 10,
            session: 10_000,
        };
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name.as_str() {
                "--server" => args.server = value,
                "--pid" => args.pid = Some(value.parse()?),
                "--groups" => args.groups = value.parse()?,
                "--members" => args.members = value.parse()?,
                "--partitions" => args.partitions = value.parse()?,
                "--each" => args.each = value.parse()?,
                "--seconds" => args.seconds = value.parse()?,
                "--session" => args.session = value.parse()?,
                "--protocol" => args.protocol = protocol(&value)?,
                _ => return Err(format!("{name}?").into()),
            }
        }
        Ok(args)
    }
}

fn protocol(name: &str) -> Result<Protocol, Failure> {
    match name {
        "none" => Ok(Protocol::None),
        "classic" => Ok(Protocol::Classic),
        "consumer" => Ok(Protocol::Consumer),
        _ => Err(format!("protocol {name}?").into()),
    }
}
