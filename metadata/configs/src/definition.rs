//! One config: its name, kind, default, what it allows, and what it means to Siltstone.

use crate::error::{ConfigError, shorten};
use crate::kind::Kind;
use crate::rule::Rule;
use crate::value::{MAX_VALUE_BYTES, Normalised, parse};

/// What a config means here. Values equal to the default are always accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It does what Kafka says that it does.
    Honoured,
    /// It is kept and shown, and changes nothing, for this reason.
    AcceptedWithoutEffect(&'static str),
    /// Any value but the default would promise what Siltstone doesn't do; the reason says why.
    Refused(&'static str),
}

/// When a config can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A topic config: at any time.
    Topic,
    /// A broker config: by the agent's own settings, when it starts.
    ReadOnly,
    /// A broker config: at any time, for one broker only.
    PerBroker,
    /// A broker config: at any time, for all brokers or one.
    ClusterWide,
}

/// Another config that gives this one its value where it is not set itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The broker config.
    pub name: &'static str,
    /// What its value is multiplied with, for example 3,600,000 for hours where milliseconds are wanted.
    pub factor: i64,
}

/// One config. Made by the tables in [`crate::topic`] and [`crate::broker`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    /// Kafka's name.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// Kafka's default; `None` is "no value".
    pub default: Option<&'static str>,
    /// What is allowed.
    pub rule: Rule,
    /// When it can be changed.
    pub scope: Scope,
    /// Of a topic config: the broker configs that give its default, first the one that wins. Of a broker config: what stands
    /// in when it is not set.
    pub synonyms: &'static [Synonym],
    /// What it is for.
    pub doc: &'static str,
    /// What it means here.
    pub meaning: Meaning,
    /// False if it is described only where it is set.
    pub listed: bool,
}

impl Definition {
    /// Parses and checks a value that somebody wants to set.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] or [`ConfigError::Refused`], each naming the config, the value, and what is allowed.
    pub fn check(&self, text: &str) -> Result<Normalised, ConfigError> {
        let found = self.read(text)?;
        let Meaning::Refused(reason) = self.meaning else { return Ok(found) };
        if self.default_value().is_some_and(|default| default == found) {
            return Ok(found);
        }
        let value = self.shown(&found.text);
        let default = self.default.map_or("unset", |text| if text.is_empty() { "empty" } else { text });
        Err(ConfigError::Refused { name: self.name, value, default, reason })
    }

    /// Parses a value that is there already: as [`Self::check`], but it may be one that is refused by now.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn read(&self, text: &str) -> Result<Normalised, ConfigError> {
        if text.len() > MAX_VALUE_BYTES {
            return Err(
                self.invalid(text, format!("the value must not be longer than {MAX_VALUE_BYTES} bytes"))
            );
        }
        let value = parse(self.kind, text).and_then(|value| self.rule.check(value));
        value.map(Normalised::of).map_err(|allowed| self.invalid(text, allowed))
    }

    /// The default, parsed; `None` if there is none.
    pub fn default_value(&self) -> Option<Normalised> {
        self.default.and_then(|text| self.read(text).ok())
    }

    /// Whether its value must not be shown to anyone.
    pub fn sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Documentation for a person: what it is for, and what it means here.
    pub fn documentation(&self) -> String {
        match self.meaning {
            Meaning::Honoured => self.doc.to_owned(),
            Meaning::AcceptedWithoutEffect(reason) => {
                format!("{} Accepted without effect: {reason}", self.doc)
            }
            Meaning::Refused(reason) => format!("{} Only the default is accepted: {reason}", self.doc),
        }
    }

    fn invalid(&self, text: &str, allowed: String) -> ConfigError {
        ConfigError::Invalid { name: self.name, value: self.shown(text), allowed }
    }

    fn shown(&self, text: &str) -> String {
        if self.sensitive() { "[hidden]".to_owned() } else { shorten(text) }
    }
}

/// Building blocks of the tables: a config is written as one expression, in the order kind, name, default, what differs.
impl Definition {
    pub(crate) const fn new(kind: Kind, name: &'static str, default: &'static str) -> Definition {
        Definition {
            name,
            kind,
            default: Some(default),
            rule: Rule::Any,
            scope: Scope::Topic,
            synonyms: &[],
            doc: "",
            meaning: Meaning::Honoured,
            listed: true,
        }
    }

    /// Without a default.
    pub(crate) const fn unset(kind: Kind, name: &'static str) -> Definition {
        Definition { default: None, ..Definition::new(kind, name, "") }
    }

    pub(crate) const fn rule(self, rule: Rule) -> Definition {
        Definition { rule, ..self }
    }

    pub(crate) const fn scope(self, scope: Scope) -> Definition {
        Definition { scope, ..self }
    }

    pub(crate) const fn or(self, synonyms: &'static [Synonym]) -> Definition {
        Definition { synonyms, ..self }
    }

    pub(crate) const fn doc(self, doc: &'static str) -> Definition {
        Definition { doc, ..self }
    }

    pub(crate) const fn no_effect(self, reason: &'static str) -> Definition {
        Definition { meaning: Meaning::AcceptedWithoutEffect(reason), ..self }
    }

    pub(crate) const fn refused(self, reason: &'static str) -> Definition {
        Definition { meaning: Meaning::Refused(reason), ..self }
    }

    pub(crate) const fn unlisted(self) -> Definition {
        Definition { listed: false, ..self }
    }
}

/// A synonym in the same unit.
pub(crate) const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

/// A synonym in another unit: its value times `factor`.
pub(crate) const fn times(name: &'static str, factor: i64) -> Synonym {
    Synonym { name, factor }
}
