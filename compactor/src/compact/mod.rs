//! Compaction by key, as Kafka's log cleaner promises it (design, section 7).
//!
//! - [`plan`]: whether a partition needs a round, and why. Pure.
//! - [`map`]: the newest offset of each key, in bounded memory. Pure.
//! - [`index`]: filling it from batches. Pure.
//! - [`clean`]: what becomes of each batch. Pure.
//! - [`round`]: a round, piece by piece, over whatever reads batches and publishes pieces.
//! - [`source`], [`sink`]: a partition's extents, and the store; [`job`]: look, plan, round.
//!
//! Guarantees, for each piece on its own and so also when a worker dies between two of them: the newest record of each key stays, with its offset,
//! timestamp and headers, and so does the order; tombstones stay until their delete horizon; no record of a transaction that was not aborted goes
//! before a newer one of its key is there; the last batch of a partition stays, if need be empty, so that a reader's position gets to the end.
//!
//! Deliberately absent: anything that keeps a batch for the sake of its producer. Kafka keeps a producer's last batch, emptied, because it builds its
//! producers' states from the log; here they are in the partition's row.

pub mod clean;
pub mod index;
pub mod job;
pub mod map;
pub mod plan;
pub mod round;
pub mod sink;
pub mod source;
