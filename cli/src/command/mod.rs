//! One module for each command: its arguments, and what it does.

pub(crate) mod agent;
pub(crate) mod bench;
pub(crate) mod compactor;
pub(crate) mod config;
pub(crate) mod consume;
pub(crate) mod erase;
pub(crate) mod features;
pub(crate) mod fsck;
pub(crate) mod group;
pub(crate) mod inspect;
pub(crate) mod produce;
pub(crate) mod restored;
pub(crate) mod standalone;
pub(crate) mod topic;
