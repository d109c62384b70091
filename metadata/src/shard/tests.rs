//! Tests of the fold: unit tests by subject, then generated logs against an oracle and against every way of recovery.

mod blocks;
mod erasures;
mod expire;
mod generated;
mod invariants;
mod kit;
mod oracle;
mod partitions;
mod recovery;
mod registrations;
mod sequences;
mod stored;
mod transactions;
