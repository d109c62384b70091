//! What happened: counted, hashed, and printed if somebody wants to read it.

use std::fmt;
use std::time::Duration;

use siltstone_log::mix64;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A run in numbers.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

        impl Counts {
            /// Both together.
            #[must_use]
            pub fn plus(self, other: Counts) -> Counts {
                Counts { $($name: self.$name + other.$name,)* }
            }
        }
    };
}

counts! {
    /// Virtual milliseconds.
    millis,
    /// Times that the invariants were checked.
    steps,
    /// Of these, how many in which some fault was on.
    faulty_steps,
    /// Batches acknowledged.
    acks,
    /// Of these, as duplicates.
    duplicates,
    /// Batches whose outcome remained unknown to their client at first.
    unknown,
    /// Batches that were answered as not being in the log.
    refused,
    /// Transactions that were committed, as their clients were told.
    committed,
    /// And aborted.
    aborted,
    /// Answers to fetches that were checked.
    fetches,
    /// Batches read.
    read,
    /// Answers about ends, and lookups by time.
    ends,
    /// Trims that took effect.
    trims,
    /// Topics created, or given more partitions.
    topics,
    /// Agents started.
    starts,
    /// Of these, of an older program.
    older,
    /// Starts of programs that were too old for the cluster.
    unfit,
    /// Times that the feature level was raised as far as all follow it.
    raised,
    /// Times that somebody held it back.
    held,
    /// Crashes.
    crashes,
    /// Clean stops.
    stops,
    /// Crashes of compactors.
    compactor_crashes,
    /// Merged extents whose bytes were compared with the log.
    merged,
    /// Looks at partitions of which compaction by key has cleaned a part.
    cleaned,
    /// Topics deleted.
    deleted,
    /// Topics created under the name of one that was deleted.
    created_again,
    /// Erasures acknowledged.
    erasures,
    /// Erasures told completed.
    erasures_completed,
    /// Segments that became trash.
    trashed,
    /// Pauses.
    pauses,
    /// Registrations that others ended.
    ended,
    /// Log entries seen by the oracle.
    entries,
    /// Of these, void ones.
    voids,
    /// Times that a floor was seen to have moved.
    floors,
    /// Rows checked against the oracle's fold.
    rows,
    /// States of agents' shards compared with the oracle's.
    states,
    /// Loads anew: an agent's shard that jumped over the floor.
    reloads,
    /// Shards that agents had loaded, and dropped.
    let_go,
    /// Times that a member of a group was told what it has.
    joins,
    /// Offsets committed.
    commits,
    /// Members that were told that their group doesn't know them.
    put_out,
    /// Times that another agent came to coordinate a group.
    takeovers,
}

#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    loud: bool,
}

impl Trace {
    pub(super) fn new(seed: u64, loud: bool) -> Self {
        Trace { hash: mix64(seed), loud }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Takes an event in.
    #[expect(clippy::print_stderr, reason = "a replay is for a person to read")]
    pub(super) fn event(&mut self, at: Duration, event: fmt::Arguments<'_>) {
        let text = event.to_string();
        self.hash = mix64(self.hash ^ at.as_micros() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.hash = mix64(self.hash ^ u64::from_le_bytes(word));
        }
        if self.loud {
            eprintln!("{:>10.3} {text}", at.as_secs_f64());
        }
    }
}
