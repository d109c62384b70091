//! A partition in memory that a round can work on, with faults.

use std::collections::BTreeMap;
use std::sync::Mutex;

use siltstone_log::{Aborted, CleanedRow};
use siltstone_records::{
    Batch, BatchBuilder, Compression, Marker, NewRecord, Producer, Scratch, control_batch, patched_prefix,
};

use super::super::{Batches, Piece, Pieces, Published, Rewrite};

pub(super) const CAP: usize = 1 << 20;

/// A worker died, or nobody knows what became of its call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Died;

/// When the next worker dies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Death {
    /// Calls that it makes before; `None`: it lives.
    pub(super) after: Option<u32>,
    /// The call it dies in has its effect.
    pub(super) with_effect: bool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) batches: Vec<Batch>,
    pub(super) aborted: Vec<Aborted>,
    pub(super) row: CleanedRow,
    pub(super) next: i64,
    /// First offsets of open transactions, by producer.
    pub(super) open: BTreeMap<i64, i64>,
    pub(super) death: Death,
}

#[derive(Debug, Default)]
pub(super) struct Log(pub(super) Mutex<State>);

/// A record to append: key, value.
pub(super) type KeyValue = (Option<u8>, Option<u8>);

impl State {
    pub(super) fn stable(&self) -> i64 {
        self.open.values().min().copied().unwrap_or(self.next)
    }

    pub(super) fn append(&mut self, producer: Option<i64>, records: &[KeyValue], codec: u8) {
        let codec = Compression::from_id(codec).unwrap();
        let mut builder = BatchBuilder::new().base_offset(self.next).compression(codec, None);
        if let Some(id) = producer {
            builder = builder.producer(Producer { id, epoch: 0, base_sequence: 5 }).transactional(true);
            self.open.entry(id).or_insert(self.next);
        }
        for (at, (key, value)) in (self.next..).zip(records) {
            let (key, value) = (key.map(|key| [key]), value.map(|value| [value; 9]));
            let headers = [("h", value.as_ref().map(|value| &value[..1]))];
            let (key, value) = (key.as_ref().map(|key| &key[..]), value.as_ref().map(|value| &value[..]));
            builder.push(&NewRecord { timestamp: 1000 + at * 3, key, value, headers: &headers }).unwrap();
        }
        let batch = Batch::parse(&builder.build(&mut Scratch::new()).unwrap()).unwrap();
        self.next = batch.last_offset() + 1;
        self.batches.push(batch);
    }

    pub(super) fn end(&mut self, producer: i64, commit: bool) {
        let marker = if commit { Marker::Commit } else { Marker::Abort };
        let bytes = control_batch(marker, producer, 0, 0, 1000 + self.next * 3);
        let head = patched_prefix(bytes[..61].try_into().unwrap(), self.next, 0);
        let batch = Batch::parse(&[&head, &bytes[16..]].concat().into()).unwrap();
        if let Some(first) = self.open.remove(&producer).filter(|_| !commit) {
            let stable = self.open.values().min().copied().unwrap_or(self.next + 1);
            self.aborted.push(Aborted { producer_id: producer, first, last: self.next, stable });
        }
        self.next += 1;
        self.batches.push(batch);
    }

    /// Counts a call down. `Err`: the worker dies in it.
    fn call(&mut self) -> Result<(), Died> {
        match self.death.after {
            Some(0) => Err(Died),
            Some(left) => {
                self.death.after = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn publish(&mut self, rewrite: Rewrite) -> Published {
        if self.row != rewrite.was {
            return Published::Changed;
        }
        let Rewrite { from, to, batches, over, becomes, .. } = rewrite;
        if let Some(new) = batches {
            assert!(new.iter().all(|batch| batch.base_offset >= from && batch.last_offset() < to));
            let before = self.batches.iter().filter(|batch| batch.last_offset() < from).cloned();
            let behind = self.batches.iter().filter(|batch| batch.base_offset >= to).cloned();
            self.batches = before.chain(new).chain(behind).collect();
        }
        self.aborted.retain(|aborted| !over.contains(aborted));
        self.row = becomes;
        Published::Done
    }
}

impl Batches for Log {
    type Error = Died;

    async fn read(&self, from: i64, to: i64, bytes: usize) -> Result<Piece, Died> {
        let mut state = self.0.lock().unwrap();
        state.call()?;
        let (mut piece, mut size) = (Piece { end: to, ..Piece::default() }, 0);
        let all = state.batches.iter().filter(|batch| batch.last_offset() >= from && batch.base_offset < to);
        for batch in all {
            if size > 0 && size + batch.total_len() > bytes {
                piece.end = piece.batches.last().unwrap().last_offset() + 1;
                break;
            }
            size += batch.total_len();
            piece.end = piece.end.max(batch.last_offset() + 1);
            piece.batches.push(batch.clone());
        }
        let range = (from.min(piece.batches.first().map_or(from, |batch| batch.base_offset)), piece.end);
        piece.aborted = state.aborted.iter().filter(|one| one.touches(range.0, range.1)).copied().collect();
        Ok(piece)
    }
}

impl Pieces for Log {
    type Error = Died;

    async fn publish(&self, rewrite: Rewrite) -> Result<Published, Died> {
        let mut state = self.0.lock().unwrap();
        let dies = state.call();
        if dies.is_ok() || state.death.with_effect {
            let published = state.publish(rewrite);
            return dies.map(|()| published);
        }
        dies.map(|()| Published::Changed)
    }
}
