//! Settings as text: sizes, durations, addresses, and what else a person writes.
//!
//! Every kind parses what it shows. An error says what was expected, without naming the setting: its caller knows that.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use siltstone_objects::Secret;

/// A kind of value.
pub trait Value: Sized {
    /// What to write, for the documentation.
    const KIND: &'static str;
    /// Reads it.
    ///
    /// # Errors
    /// What was expected.
    fn parse(text: &str) -> Result<Self, String>;
    /// Writes it so that it can be read again; `None` if nothing is set.
    fn show(&self) -> Option<String>;
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Size {
    /// As a count of bytes in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Value for Size {
    const KIND: &'static str = "size";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not a size: write a number and a unit, as in 8MiB or 64KiB");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| expected())?;
        let unit = match text[digits..].trim() {
            "" => 1,
            unit => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?.1,
        };
        number.checked_mul(unit).map(Size).ok_or_else(expected)
    }

    fn show(&self) -> Option<String> {
        let whole = |(_, unit): &&(&str, u64)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (name, unit) = UNITS[..4].iter().find(whole).unwrap_or(&("B", 1));
        Some(format!("{}{name}", self.0 / unit))
    }
}

const TIMES: [(&str, u64); 7] = [
    ("µs", 1_000),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

impl Value for Duration {
    const KIND: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("{text:?} is not a duration: write a number and a unit, as in 250ms or 30s");
        if text == "0" {
            return Ok(Duration::ZERO);
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| expected())?;
        let unit = text[digits..].trim();
        let (_, nanos) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
        number.checked_mul(*nanos).map(Duration::from_nanos).ok_or_else(expected)
    }

    fn show(&self) -> Option<String> {
        let nanos = u64::try_from(self.as_nanos()).unwrap_or(u64::MAX);
        let whole = |(_, unit): &&(&str, u64)| nanos >= *unit && nanos.is_multiple_of(*unit);
        // Backwards: the largest unit that divides it, and plain letters before Greek ones.
        let unit = TIMES.iter().rev().find(whole);
        Some(unit.map_or_else(|| "0".to_owned(), |(name, unit)| format!("{}{name}", nanos / unit)))
    }
}

macro_rules! plain {
    ($($kind:ty: $name:literal;)*) => {$(
        impl Value for $kind {
            const KIND: &'static str = $name;

            fn parse(text: &str) -> Result<Self, String> {
                <$kind>::from_str(text).map_err(|_| format!("{text:?} is not a {}", $name))
            }

            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

plain! {
    bool: "true or false";
    u16: "whole number up to 65535";
    u32: "whole number";
    usize: "whole number";
}

impl Value for f64 {
    const KIND: &'static str = "number";

    fn parse(text: &str) -> Result<Self, String> {
        let number = f64::from_str(text).ok().filter(|number| number.is_finite());
        number.ok_or_else(|| format!("{text:?} is not a number"))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    const KIND: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

/// A secret is never shown.
impl Value for Secret {
    const KIND: &'static str = "secret";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Secret::new(text))
    }

    fn show(&self) -> Option<String> {
        Some("(hidden)".to_owned())
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Value::show)
    }
}

/// A host and a port. The host may be a name; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// The port; 0 lets the operating system choose one.
    pub port: u16,
}

impl HostPort {
    /// As a listener or connection takes it.
    pub fn pair(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether it stands for all addresses of this machine.
    pub fn is_any(&self) -> bool {
        matches!(self.host.as_str(), "0.0.0.0" | "::")
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        HostPort { host: address.ip().to_string(), port: address.port() }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not HOST:PORT, as in 127.0.0.1:9092");
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bare {
            Some(address) => address,
            None if host.contains(':') => return Err(expected()),
            None => host,
        };
        if host.is_empty() || host.chars().any(char::is_whitespace) {
            return Err(expected());
        }
        Ok(HostPort { host: host.to_owned(), port: port.parse().map_err(|_| expected())? })
    }
}

impl Value for HostPort {
    const KIND: &'static str = "host:port";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! words {
    ($(#[$attribute:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),* }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name { $($(#[$doc])* $variant),* }

        impl Value for $name {
            const KIND: &'static str = words!(@kind $($word)*);

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($name::$variant),)*
                    _ => Err(format!("{text:?} is not one of {}", Self::KIND)),
                }
            }

            fn show(&self) -> Option<String> {
                Some(match self { $($name::$variant => $word),* }.to_owned())
            }
        }
    };
    (@kind $first:literal $($rest:literal)*) => { concat!($first $(, ", ", $rest)*) };
}

words! {
    /// How logs are written.
    LogFormat {
        /// Text, in colour on a terminal.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json"
    }
}

words! {
    /// Whether blocks are compressed at flush.
    Compress {
        /// Never.
        #[default]
        Off = "off",
        /// Where a sample says that it pays.
        Auto = "auto"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_what_they_show() {
        for (text, bytes) in
            [("0B", 0), ("8MiB", 8 << 20), ("1000B", 1000), ("64KiB", 65536), ("3GiB", 3 << 30)]
        {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).show().as_deref(), Some(text));
        }
        assert_eq!(Size::parse("1 MB"), Ok(Size(1_000_000)));
        assert_eq!(Size::parse("17"), Ok(Size(17)));
        for bad in ["", "MiB", "-1", "1.5MiB", "8M", "99999999999TiB", "٣"] {
            assert!(Size::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_read_what_they_show() {
        for (text, millis) in
            [("0", 0), ("250ms", 250), ("90s", 90_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(Duration::parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(Duration::from_millis(millis).show().as_deref(), Some(text));
        }
        assert_eq!(Duration::from_micros(500).show().as_deref(), Some("500us"));
        assert_eq!(Duration::parse("500µs"), Ok(Duration::from_micros(500)));
        for bad in ["", "5", "ms", "-1s", "1.5s", "5 parsecs", "99999999999d"] {
            assert!(Duration::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_name_a_host_and_a_port() {
        let v6 = HostPort { host: "::1".into(), port: 9092 };
        assert_eq!("[::1]:9092".parse(), Ok(v6.clone()));
        assert_eq!(v6.to_string(), "[::1]:9092");
        assert_eq!("a.b:1".parse(), Ok(HostPort { host: "a.b".into(), port: 1 }));
        for bad in ["", "9092", ":9092", "a:b", "::1:9092", "a b:1", "a:70000"] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_listed_in_the_error() {
        assert_eq!(Compress::parse("auto"), Ok(Compress::Auto));
        assert!(Compress::parse("on").unwrap_err().contains("off, auto"));
    }
}
