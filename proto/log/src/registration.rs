//! Rows of processes that run: what they are, which never changes, and how they stand, which does (design, sections 2 and 6).
//!
//! ```text
//! registration  := version u8 (1 to 3) | id 16 | node id varint | started zigzag | zone string | host string | port varint
//!                  | lowest level varint | highest level varint
//!                  | from version 2 on, written for what is no agent: role u8 (0 agent, 1 compactor)
//!                  | from version 3 on, written where there is any of it: further listeners: count varint, (name string, endpoint)…
//!                    | peers: present u8 (0 or 1), if 1: endpoint
//! endpoint      := host string | port varint
//! standing      := version u8 (1) | weight varint, 0 to 1000
//! ```

use crate::RegistrationId;
use crate::codec::{FormatError, Reader, Write};

const VERSION: u8 = 1;
/// Of a registration that is not an agent's.
const WITH_ROLE: u8 = 2;
/// Of a registration with more than one place where it is reached.
const WITH_PLACES: u8 = 3;

/// A process that runs, or has not been declared dead yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationRow {
    /// The life.
    pub id: RegistrationId,
    /// Kafka's node id.
    pub node: u32,
    /// When it began, by its own clock, milliseconds since the Unix epoch.
    pub started: i64,
    /// The zone that it is in; may be empty.
    pub zone: String,
    /// Where clients of its first listener reach it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The lowest feature level that it can follow.
    pub lowest_level: u32,
    /// The highest.
    pub highest_level: u32,
    /// What it does.
    pub role: Role,
    /// Its further listeners for clients, each with a name of its own. Programs that know only version 2 can't read a row that has any:
    /// upgrade all of them before.
    pub listeners: Vec<Listener>,
    /// Where other agents reach it, if it listens for them. The same holds for older programs.
    pub peer: Option<Endpoint>,
}

/// A place in the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name or an address, as others are to use it.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A listener for clients beside the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What it is called on all agents: who came through it is told of the others' listeners of this name.
    pub name: String,
    /// Where clients reach it.
    pub place: Endpoint,
}

/// What a registered process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Serves clients.
    #[default]
    Agent,
    /// Works in the background only: no client is sent to it.
    Compactor,
}

/// How much of what is shared out among agents one of them wants, per mille of what a whole one takes: it rises from a little while the
/// agent warms up, is 1 while it stands back, and 0 once it drains. Who has no such row wants all of its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    weight: u16,
}

impl Standing {
    /// The weight of an agent that takes all of its share.
    pub const FULL: Standing = Standing { weight: 1000 };
    /// The weight of an agent that leaves: no client is sent to it any more.
    pub const DRAINING: Standing = Standing { weight: 0 };

    /// The weight of an agent that can store nothing just now: clients are sent to it where all agents are so, else not.
    pub const BACK: Standing = Standing { weight: 1 };

    /// So many of 1000; more counts as 1000.
    pub fn new(weight: u16) -> Standing {
        Standing { weight: weight.min(Standing::FULL.weight) }
    }

    /// From 0 to 1000.
    pub fn weight(self) -> u16 {
        self.weight
    }

    /// Whether it is about to leave.
    pub fn drains(self) -> bool {
        self == Standing::DRAINING
    }

    /// Whether others had better be asked just now.
    pub fn stands_back(self) -> bool {
        self == Standing::BACK
    }

    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.varint(u64::from(self.weight));
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a standing.
    pub fn decode(bytes: &[u8]) -> Result<Standing, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("standing", 1..=VERSION)?;
        let weight = reader.varint("weight")?;
        let weight = u16::try_from(weight).ok().filter(|weight| *weight <= Standing::FULL.weight);
        let weight = weight.ok_or_else(|| reader.invalid("weight"))?;
        reader.end("standing")?;
        Ok(Standing { weight })
    }
}

impl Default for Standing {
    fn default() -> Self {
        Standing::FULL
    }
}

impl RegistrationRow {
    /// Where clients of the listener of this name reach it, if it has that one; an empty name is that of the first.
    pub fn listener(&self, name: &str) -> Option<(&str, u16)> {
        if name.is_empty() {
            return Some((&self.host, self.port));
        }
        let found = self.listeners.iter().find(|listener| listener.name == name)?;
        Some((&found.place.host, found.place.port))
    }

    fn version(&self) -> u8 {
        match self.role {
            _ if !self.listeners.is_empty() || self.peer.is_some() => WITH_PLACES,
            Role::Compactor => WITH_ROLE,
            Role::Agent => VERSION,
        }
    }

    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let version = self.version();
        let mut out = vec![version];
        out.bytes(&self.id.0.to_be_bytes());
        out.varint(u64::from(self.node));
        out.zigzag(self.started);
        out.string(&self.zone);
        out.string(&self.host);
        out.varint(u64::from(self.port));
        out.varint(u64::from(self.lowest_level));
        out.varint(u64::from(self.highest_level));
        if version >= WITH_ROLE {
            out.u8(u8::from(self.role == Role::Compactor));
        }
        if version >= WITH_PLACES {
            self.write_places(&mut out);
        }
        out
    }

    fn write_places(&self, out: &mut Vec<u8>) {
        out.varint(self.listeners.len() as u64);
        for listener in &self.listeners {
            out.string(&listener.name);
            listener.place.write(out);
        }
        out.u8(u8::from(self.peer.is_some()));
        if let Some(peer) = &self.peer {
            peer.write(out);
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a registration.
    pub fn decode(bytes: &[u8]) -> Result<RegistrationRow, FormatError> {
        let mut reader = Reader::new(bytes);
        let version = reader.version("registration row", 1..=WITH_PLACES)?;
        let mut row = RegistrationRow {
            id: reader.registration()?,
            node: reader.varint_u32("node id")?,
            started: reader.zigzag("started")?,
            zone: reader.string("zone")?,
            host: reader.string("host")?,
            port: read_port(&mut reader)?,
            lowest_level: reader.varint_u32("lowest level")?,
            highest_level: reader.varint_u32("highest level")?,
            role: if version < WITH_ROLE { Role::Agent } else { Role::read(&mut reader)? },
            listeners: Vec::new(),
            peer: None,
        };
        if version >= WITH_PLACES {
            let count = reader.count(3, "listeners")?;
            row.listeners = (0..count).map(|_| Listener::read(&mut reader)).collect::<Result<_, _>>()?;
            row.peer = match reader.u8("peers")? {
                0 => None,
                1 => Some(Endpoint::read(&mut reader)?),
                _ => return Err(reader.invalid("peers")),
            };
        }
        reader.end("registration row")?;
        Ok(row)
    }
}

fn read_port(reader: &mut Reader<'_>) -> Result<u16, FormatError> {
    let port = reader.varint("port")?;
    u16::try_from(port).map_err(|_| reader.invalid("port"))
}

impl Endpoint {
    fn write(&self, out: &mut Vec<u8>) {
        out.string(&self.host);
        out.varint(u64::from(self.port));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Endpoint, FormatError> {
        Ok(Endpoint { host: reader.string("host")?, port: read_port(reader)? })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address of IPv6 is told from its port by brackets.
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Listener {
    fn read(reader: &mut Reader<'_>) -> Result<Listener, FormatError> {
        Ok(Listener { name: reader.string("listener")?, place: Endpoint::read(reader)? })
    }
}

impl Role {
    fn read(reader: &mut Reader<'_>) -> Result<Role, FormatError> {
        match reader.u8("role")? {
            0 => Ok(Role::Agent),
            1 => Ok(Role::Compactor),
            _ => Err(reader.invalid("role")),
        }
    }
}
