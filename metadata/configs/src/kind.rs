//! What kind of value a config has, and where a value came from, with the numbers of the wire.

use std::fmt;

/// The type of a config's value. [`Kind::wire`] is its number in `DescribeConfigs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// Text, without spaces around it.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 64 bits.
    Long,
    /// A finite number.
    Double,
    /// Texts with commas between them.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is never shown.
    Password,
}

impl Kind {
    /// The number in a `DescribeConfigs` answer's `config_type`.
    pub fn wire(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        })
    }
}

/// Where a value came from. The order is that of precedence: an earlier source hides a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Set on the topic.
    Topic,
    /// Set for one broker while it runs.
    Broker,
    /// Set for all brokers while they run.
    Cluster,
    /// From the agent's own settings, or a fact about it.
    Static,
    /// Nobody set it.
    Default,
}

impl Source {
    /// The number in a `DescribeConfigs` answer's `config_source`.
    pub fn wire(self) -> i8 {
        match self {
            Source::Topic => 1,
            Source::Broker => 2,
            Source::Cluster => 3,
            Source::Static => 4,
            Source::Default => 5,
        }
    }
}
