//! A round of compaction over one partition: two passes, the second one in pieces that are published one by one.
//!
//! The first pass fills the map with the dirty part's keys, as far as it has room; that is how far the round goes. The second one reads from the log start
//! on, judges each batch, and publishes each piece together with the row that says how far the round is. So a worker may die at any moment: the
//! next one finds the row, fills a map of its own, and goes on behind the last piece. If its map has less room the round ends earlier; what the
//! first worker has done beyond is no harm, as a record goes only when a newer one of its key is there.
//!
//! Guarantees that memory is bounded by the map, two pieces, and one batch decompressed; that pieces are published in the order of their offsets, so
//! that a tombstone never goes before the records that it buries.
//!
//! Does not retry: an error ends the run, and whoever holds the job plans anew. A publication whose result is unknown is such an error.

use siltstone_log::{Aborted, CleanedRow, CleaningRow, Extent, OpenProducers};
use siltstone_records::{Batch, RewriteError};

use super::clean::{AbortedIndex, Cleaner, Rule, Verdict};
use super::index::Indexer;
use super::map::OffsetMap;
use super::plan::RoundPlan;
use crate::merge::build::Erased;

/// After judging so many bytes of batches others get their turn.
const YIELD_BYTES: usize = 256 << 10;
/// Pieces in which nothing changes are passed over; after so many of them the row is written all the same.
const PIECES_UNWRITTEN: u32 = 8;

/// Some batches of a partition.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    /// Whole batches in the order of their offsets, whose CRC was checked and whose headers hold their offsets.
    pub batches: Vec<Batch>,
    /// The extents that hold them and nothing else, for whoever publishes the piece.
    pub extents: Vec<Extent>,
    /// Aborted transactions of the partition that may have records among them.
    pub aborted: Vec<Aborted>,
    /// The first offset behind them; at least what was asked for, if no more batches lie below that.
    pub end: i64,
    /// Records that are not among them any more, though the extents hold them: what is left must take their place.
    pub erased: Erased,
}

/// Where a partition's batches are read from.
pub trait Batches: Sync {
    /// Why they can't be read.
    type Error: Send;

    /// The batches that hold offsets `from..to`, about `bytes` of them, and at least one if there is one. There may be some before and behind that lie in
    /// the same extents.
    fn read(
        &self,
        from: i64,
        to: i64,
        bytes: usize,
    ) -> impl Future<Output = Result<Piece, Self::Error>> + Send;
}

/// What becomes of a piece.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The first offset that the piece was read from.
    pub from: i64,
    /// The first offset behind it.
    pub to: i64,
    /// All that is left in these offsets; `None` if nothing changes there.
    pub batches: Option<Vec<Batch>>,
    /// The extents that hold what was read.
    pub extents: Vec<Extent>,
    /// Records that go because they are being erased.
    pub erased: Erased,
    /// Entries for aborted transactions that are to go.
    pub over: Vec<Aborted>,
    /// The row as it was found: if it is another by now, nothing may be published. The default stands for none.
    pub was: CleanedRow,
    /// The row as it is with this piece.
    pub becomes: CleanedRow,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// All of it holds.
    Done,
    /// Nothing of it does: something has changed underneath. Plan again.
    Changed,
}

/// Where pieces are published.
pub trait Pieces: Sync {
    /// Why one can't be.
    type Error: Send;

    /// Publishes all of a piece, in one transaction, or nothing.
    fn publish(&self, rewrite: Rewrite) -> impl Future<Output = Result<Published, Self::Error>> + Send;
}

/// What bounds a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the map. See [`OffsetMap`].
    pub map_bytes: usize,
    /// Bytes of batches that are read and published at once.
    pub piece_bytes: usize,
    /// Bytes that the records of a batch may have when decompressed.
    pub max_decompressed: usize,
    /// The level at which batches are compressed again, by their own codec; `None` is the codec's default.
    pub level: Option<i32>,
    /// How long a read may take, milliseconds.
    pub longest_read_ms: u64,
}

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Keys in the map.
    pub keys: u64,
    /// Where it ended. Less than was planned if the map was full before.
    pub upto: i64,
    /// Bytes of batches that the second pass read.
    pub read: u64,
    /// Bytes of batches that were published.
    pub written: u64,
    /// Bytes of batches that went.
    pub freed: u64,
    /// Publications.
    pub published: u64,
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is done.
    Done(Report),
    /// The partition has changed underneath. Plan again.
    Changed(Report),
}

/// Why a round could not go on. What was published stays, and another run goes on there.
#[derive(Debug, thiserror::Error)]
pub enum RoundError<R, P> {
    /// Batches can't be read.
    #[error("reading: {0}")]
    Read(R),
    /// A piece can't be published, or nobody knows whether it was.
    #[error("publishing: {0}")]
    Publish(P),
    /// A batch can't be judged. Trying again won't help.
    #[error(transparent)]
    Clean(#[from] RewriteError),
    /// The reader gave nothing and said that it isn't at the end. A bug.
    #[error("no batches at offset {0}, and no end")]
    Stuck(i64),
}

/// Does a round, or goes on with one. `now` is the time, in milliseconds since the Unix epoch, that horizons are judged by and counted from;
/// `seed` is drawn anew for each run and told to nobody.
///
/// # Errors
/// See [`RoundError`].
pub async fn run<B: Batches, P: Pieces>(
    batches: &B,
    pieces: &P,
    plan: &RoundPlan,
    limits: &Limits,
    delete_retention_ms: u64,
    now: i64,
    seed: [u64; 2],
) -> Result<Outcome, RoundError<B::Error, P::Error>> {
    let (map, upto) = index(batches, plan, limits, seed).await?;
    let rule = Rule {
        map: &map,
        upto,
        last: plan.last,
        now,
        delete_retention_ms,
        longest_read_ms: limits.longest_read_ms,
        level: limits.level,
        max_decompressed: limits.max_decompressed,
    };
    let report = Report { keys: map.len() as u64, upto, ..Report::default() };
    let mut round = Round::new(rule, plan, now, report);
    loop {
        let piece = match round.cursor < upto {
            true => batches.read(round.cursor, upto, limits.piece_bytes).await.map_err(RoundError::Read)?,
            false => Piece { end: round.cursor, ..Piece::default() },
        };
        if piece.end <= round.cursor && round.cursor < upto {
            return Err(RoundError::Stuck(round.cursor));
        }
        let rewrite = round.judge(piece).await?;
        let done = round.cursor >= upto;
        if let Some(rewrite) = rewrite {
            round.report.published += 1;
            let becomes = rewrite.becomes.clone();
            if pieces.publish(rewrite).await.map_err(RoundError::Publish)? == Published::Changed {
                return Ok(Outcome::Changed(round.report));
            }
            round.row = becomes;
        }
        if done {
            return Ok(Outcome::Done(round.report));
        }
    }
}

/// The first pass: the map, and how far it reaches.
async fn index<B: Batches, P>(
    batches: &B,
    plan: &RoundPlan,
    limits: &Limits,
    seed: [u64; 2],
) -> Result<(OffsetMap, i64), RoundError<B::Error, P>> {
    let RoundPlan { first_dirty, upto, .. } = *plan;
    let offsets = u64::try_from(upto.saturating_sub(first_dirty)).unwrap_or(0);
    let map = OffsetMap::new(limits.map_bytes, offsets, first_dirty, seed);
    let mut indexer = Indexer::new(map, first_dirty, upto, limits.max_decompressed);
    let (mut at, mut turn) = (first_dirty, Turn::default());
    while at < upto {
        let piece = batches.read(at, upto, limits.piece_bytes).await.map_err(RoundError::Read)?;
        if piece.end <= at {
            return Err(RoundError::Stuck(at));
        }
        let aborted = AbortedIndex::new(&piece.aborted);
        for batch in &piece.batches {
            if let Some(full) = indexer.note(batch, &aborted)? {
                return Ok((indexer.map, full));
            }
            turn.after(batch.total_len()).await;
        }
        at = piece.end;
    }
    Ok((indexer.map, upto))
}

/// The second pass.
struct Round<'a> {
    cleaner: Cleaner<'a>,
    upto: i64,
    begun: i64,
    cursor: i64,
    unwritten: u32,
    row: CleanedRow,
    turn: Turn,
    report: Report,
}

impl<'a> Round<'a> {
    fn new(rule: Rule<'a>, plan: &RoundPlan, now: i64, report: Report) -> Self {
        let row = plan.cleaned.clone();
        let (begun, horizon, open) = match &row.round {
            Some(round) => (round.begun, round.horizon, round.open.clone()),
            None => (now, None, OpenProducers::default()),
        };
        let (upto, cursor) = (rule.upto, plan.cursor);
        let cleaner = Cleaner::new(rule, open, horizon);
        Round { cleaner, upto, begun, cursor, unwritten: 0, row, turn: Turn::default(), report }
    }

    /// Judges a piece and moves the cursor behind it. What there is to publish, if anything is.
    async fn judge(&mut self, piece: Piece) -> Result<Option<Rewrite>, RewriteError> {
        let aborted = AbortedIndex::new(&piece.aborted);
        let from = piece.batches.first().map_or(self.cursor, |first| first.base_offset.min(self.cursor));
        let (mut left, mut changed) = (Vec::with_capacity(piece.batches.len()), !piece.erased.is_empty());
        let mut bytes = 0;
        for batch in piece.batches {
            let verdict = self.cleaner.judge(&batch, &aborted)?;
            changed |= verdict != Verdict::Keep;
            self.report.read += batch.total_len() as u64;
            self.report.freed += batch.total_len() as u64;
            self.turn.after(batch.total_len()).await;
            let stays = match verdict {
                Verdict::Keep => batch,
                // What was built is a batch; were it not, the one that it was made from is no loss.
                Verdict::Replace(new) => Batch::parse(&new).unwrap_or(batch),
                Verdict::Drop => continue,
            };
            bytes += stays.total_len() as u64;
            left.push(stays);
        }
        self.report.freed = self.report.freed.saturating_sub(bytes);
        self.cursor = piece.end;
        let batches = changed.then_some(left);
        let rewrite = self.rewrite(from, batches, piece.extents, bytes);
        Ok(rewrite.map(|rewrite| Rewrite { erased: piece.erased, ..rewrite }))
    }

    fn rewrite(
        &mut self,
        from: i64,
        batches: Option<Vec<Batch>>,
        extents: Vec<Extent>,
        bytes: u64,
    ) -> Option<Rewrite> {
        let done = self.cursor >= self.upto;
        self.unwritten += 1;
        if batches.is_none() && self.cleaner.over.is_empty() && !done && self.unwritten < PIECES_UNWRITTEN {
            return None;
        }
        self.unwritten = 0;
        if batches.is_some() {
            self.report.written += bytes;
        }
        let over = std::mem::take(&mut self.cleaner.over);
        let (was, becomes) = (self.row.clone(), self.row_at(done));
        let (to, erased) = (self.cursor, Erased::new());
        Some(Rewrite { from, to, batches, extents, erased, over, was, becomes })
    }

    fn row_at(&self, done: bool) -> CleanedRow {
        let (begun, horizon) = (self.begun, self.cleaner.horizon);
        if done {
            let first_dirty = self.row.first_dirty.max(self.upto);
            return CleanedRow { first_dirty, begun, horizon, round: None };
        }
        let (upto, cursor, open) = (self.upto, self.cursor, self.cleaner.open.clone());
        CleanedRow { round: Some(CleaningRow { begun, upto, cursor, horizon, open }), ..self.row.clone() }
    }
}

/// Lets others have their turn now and then: judging is all computing.
#[derive(Debug, Default)]
struct Turn {
    bytes: usize,
}

impl Turn {
    async fn after(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= YIELD_BYTES {
            self.bytes = 0;
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
#[path = "round_tests/mod.rs"]
mod tests;
