//! Settings that hold several things: `NAME=VALUE, NAME=VALUE`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::value::Value;

/// What is on the left of each sign, and on the right of it. Each left side is there once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs<K, V>(pub BTreeMap<K, V>);

impl<K, V> Default for Pairs<K, V> {
    fn default() -> Self {
        Pairs(BTreeMap::new())
    }
}

impl<K, V> Value for Pairs<K, V>
where
    K: FromStr<Err: Display> + Display + Ord,
    V: FromStr<Err: Display> + Display,
{
    const KIND: &'static str = "list of A=B";

    fn parse(text: &str) -> Result<Self, String> {
        let mut pairs = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (left, right) = pair.split_once('=').unwrap_or((pair, ""));
            let (left, right) = (left.trim(), right.trim());
            if left.is_empty() || right.is_empty() {
                return Err(format!(
                    "{pair:?} is not A=B: write pairs with commas between them, as in a=x, b=y"
                ));
            }
            let key = left.parse::<K>().map_err(|error| error.to_string())?;
            let value = right.parse::<V>().map_err(|error| error.to_string())?;
            if pairs.insert(key, value).is_some() {
                return Err(format!("{left:?} is there twice"));
            }
        }
        Ok(Pairs(pairs))
    }

    fn show(&self) -> Option<String> {
        let pairs: Vec<String> = self.0.iter().map(|(left, right)| format!("{left}={right}")).collect();
        (!pairs.is_empty()).then(|| pairs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use siltstone_agent::zones::Network;

    use super::*;
    use crate::settings::value::HostPort;

    #[test]
    fn pairs_read_what_they_show() {
        for text in ["a=x", "a=x, b=y"] {
            assert_eq!(Pairs::<String, String>::parse(text).unwrap().show().as_deref(), Some(text));
        }
        assert_eq!(
            Pairs::<String, String>::parse(" b = y ,a=x,").unwrap().show().as_deref(),
            Some("a=x, b=y")
        );
        assert_eq!(Pairs::<String, String>::parse("").unwrap().show(), None);
        let places = Pairs::<String, HostPort>::parse("in=[::1]:9094").unwrap();
        assert_eq!(places.show().as_deref(), Some("in=[::1]:9094"));
        let networks = Pairs::<Network, String>::parse("10.1.0.0/16=a, fd00::/8=b").unwrap();
        assert_eq!(networks.show().as_deref(), Some("10.1.0.0/16=a, fd00::/8=b"));
        for bad in ["a", "a=", "=x", "a=x, a=y"] {
            assert!(Pairs::<String, String>::parse(bad).is_err(), "{bad}");
        }
        assert!(Pairs::<Network, String>::parse("10.1.2.3/16=a").is_err());
        assert!(Pairs::<String, HostPort>::parse("in=9094").is_err());
    }
}
