//! Which zone a client is in (design, section 6).
//!
//! Whoever knows best is believed, and the others are not asked. In this order:
//!
//! 1. the client itself: `client.rack`, known only from Fetch and heartbeats of the consumer protocol; then a tag in its client id, `zone=NAME`, that begins
//!    the id or follows one of `,` `;` `&` or a space, and ends at the next of these or with the id;
//! 2. the listener it came through, if that is there for one zone;
//! 3. its address: of the networks that hold it the smallest.
//!
//! A zone without agents is a zone, too: its clients are served from elsewhere. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What ends a tag in a client id.
const SEPARATORS: [char; 4] = [',', ';', '&', ' '];
const TAG: &str = "zone=";

/// A range of addresses, as `10.1.0.0/16` or `fd00::/8`; a single address is one, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network: write an address and the length of its prefix, as in 10.1.0.0/16")]
pub struct NotANetwork(String);

/// What an operator has said of where clients are. Order among networks does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneRules {
    /// Zones by the network that their clients' addresses are in.
    pub networks: BTreeMap<Network, String>,
    /// Zones by the name of the listener that their clients come through; the first listener's name is empty.
    pub listeners: BTreeMap<String, String>,
}

/// What is known of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// Where it connects from.
    pub address: IpAddr,
    /// The name of the listener that it came through.
    pub listener: &'a str,
    /// Its client id.
    pub id: Option<&'a str>,
    /// Its `client.rack`, where a request tells it; may be empty.
    pub rack: Option<&'a str>,
}

impl ZoneRules {
    /// The zone of a client, if anybody knows it.
    pub fn zone<'a>(&'a self, client: &Client<'a>) -> Option<&'a str> {
        let said = client.rack.filter(|rack| !rack.is_empty()).or_else(|| tag(client.id?));
        said.or_else(|| self.listeners.get(client.listener).map(String::as_str))
            .or_else(|| self.of_address(client.address))
    }

    fn of_address(&self, address: IpAddr) -> Option<&str> {
        // A listener of both families sees clients of IPv4 under addresses of IPv6.
        let address = address.to_canonical();
        let holding = self.networks.iter().filter(|(network, _)| network.holds(address));
        holding.max_by_key(|(network, _)| network.bits).map(|(_, zone)| zone.as_str())
    }
}

/// The zone that a client id names.
fn tag(id: &str) -> Option<&str> {
    let tags = id.split(SEPARATORS).filter_map(|part| part.strip_prefix(TAG));
    tags.into_iter().find(|zone| !zone.is_empty())
}

impl Network {
    /// Whether an address is in it. One of IPv4 is never in a network of IPv6.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                cut(address, self.bits) == self.address
            }
            _ => false,
        }
    }
}

/// The address with all but its first bits zero.
fn cut(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        // Bits behind the prefix mean that something else was meant.
        if bits > all || cut(address, bits) != address {
            return Err(wrong());
        }
        Ok(Network { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn rules() -> ZoneRules {
        let network = |(text, zone): (&str, &str)| (text.parse().unwrap(), zone.to_owned());
        let networks =
            [("10.0.0.0/8", "all"), ("10.1.0.0/16", "a"), ("10.1.2.3", "one"), ("fd00:1::/32", "b")];
        ZoneRules {
            networks: networks.into_iter().map(network).collect(),
            listeners: [("near-c".to_owned(), "c".to_owned())].into(),
        }
    }

    fn client<'a>(address: &str, listener: &'a str, id: &'a str, rack: &'a str) -> Client<'a> {
        Client { address: address.parse().unwrap(), listener, id: Some(id), rack: Some(rack) }
    }

    #[test]
    fn who_knows_best_is_believed() {
        let rules = rules();
        let zone =
            |address, listener, id, rack| rules.zone(&client(address, listener, id, rack)).map(str::to_owned);
        let is = |zone: &str| Some(zone.to_owned());
        assert_eq!(zone("10.1.0.9", "near-c", "x;zone=t", "r"), is("r"));
        assert_eq!(zone("10.1.0.9", "near-c", "x;zone=t", ""), is("t"));
        assert_eq!(zone("10.1.0.9", "near-c", "x", ""), is("c"));
        assert_eq!(zone("10.1.0.9", "", "x", ""), is("a"));
        assert_eq!(zone("10.1.2.3", "", "x", ""), is("one"));
        assert_eq!(zone("10.2.0.1", "far", "x", ""), is("all"));
        assert_eq!(zone("::ffff:10.1.0.9", "", "x", ""), is("a"));
        assert_eq!(zone("fd00:1:2::3", "", "x", ""), is("b"));
        assert_eq!(zone("fd00:2::3", "", "x", ""), None);
        assert_eq!(zone("192.168.0.1", "", "x", ""), None);
        let silent = Client { id: None, rack: None, ..client("10.1.0.9", "", "", "") };
        assert_eq!(rules.zone(&silent), Some("a"));
        assert_eq!(ZoneRules::default().zone(&client("10.1.0.9", "near-c", "x", "")), None);
    }

    #[test]
    fn tags_stand_apart() {
        for (id, zone) in [
            ("zone=a", Some("a")),
            ("zone=a;billing-StreamThread-1-consumer", Some("a")),
            ("billing,zone=eu-1,more", Some("eu-1")),
            ("billing zone=b", Some("b")),
            ("a&zone=b&c", Some("b")),
            ("zone=;zone=b", Some("b")),
            ("timezone=a", None),
            ("zone=", None),
            ("billing", None),
            ("", None),
        ] {
            assert_eq!(tag(id), zone, "{id}");
        }
    }

    #[test]
    fn networks_are_read_as_they_are_written() {
        for text in ["10.1.0.0/16", "0.0.0.0/0", "10.1.2.3/32", "fd00::/8", "::/0", "::1/128"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for wrong in ["10.1.0.0/8", "10.1.0.0/33", "::/129", "10.1.0/16", "a", "", "10.0.0.0/", "10.0.0.0/-1"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.holds("203.0.113.7".parse().unwrap()));
        assert!(!everything.holds("::1".parse().unwrap()));
    }
}
