//! Segments in the metadata: rows, trash, inline parts.

use std::collections::BTreeSet;

use siltstone_log::{SegmentId, SegmentRow, ShardId};
use siltstone_metadata::keys::{inline_segment, segment_row, segment_trash};
use siltstone_store::Pages;

use super::FsckError;
use super::finding::{Finding, Kind, Place};
use super::look::Look;
use super::read::View;

impl Look<'_> {
    /// Checks the segments that the shards need, and finds inline ones that nobody does.
    pub(super) async fn segments(&mut self) -> Result<(), FsckError> {
        self.watcher.begin("segments", Some(self.needs.len() as u64));
        self.segment_rows().await?;
        self.trash().await?;
        self.without_row();
        self.inline().await
    }

    async fn segment_rows(&mut self) -> Result<(), FsckError> {
        let cx = self.cx;
        let mut view = View::new(cx.store.as_ref()).await?;
        let mut pages = Pages::of(segment_row::all());
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some(id) = segment_row::parse(&key) else { continue };
                self.checked.segments += 1;
                match SegmentRow::decode(&value) {
                    Ok(row) => self.segment_row(id, &row),
                    Err(error) => {
                        self.known.insert(id, false);
                        let what = format!("its row: {error}");
                        self.tell(Finding::new(Kind::Undecodable, Place::segment(id), what));
                    }
                }
            }
        }
        Ok(())
    }

    fn segment_row(&mut self, id: SegmentId, row: &SegmentRow) {
        self.known.insert(id, row.inline);
        let Some(need) = self.needs.get(&id) else { return };
        self.watcher.advance(1);
        let mut found = Vec::new();
        if (row.inline, row.length) != (need.inline, need.length) {
            let what = format!("its row says {} bytes, extents say {}", row.length, need.length);
            found.push(Finding::new(Kind::Disagrees, Place::segment(id), what));
        }
        let unnamed: BTreeSet<ShardId> =
            need.shards.iter().copied().filter(|shard| !row.shards.contains(*shard)).collect();
        for shard in unnamed {
            let place = Place { shard: Some(shard), ..Place::segment(id) };
            found.push(Finding::new(Kind::RowWithoutShard, place, "its row does not name this shard"));
        }
        self.tell_all(found);
    }

    async fn trash(&mut self) -> Result<(), FsckError> {
        let cx = self.cx;
        let mut view = View::new(cx.store.as_ref()).await?;
        let mut pages = Pages::of(segment_trash::all());
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some((stamp, id)) = segment_trash::parse(&key) else { continue };
                self.checked.trash += 1;
                let inline = segment_trash::decode(&value).is_some_and(|(inline, _)| inline);
                self.known.insert(id, inline);
                if let Some(need) = self.needs.get(&id) {
                    let place = Place { shard: need.shards.first().copied(), ..Place::segment(id) };
                    let what = format!("it became trash at {stamp:?}, but is used");
                    self.tell(Finding::new(Kind::TrashInUse, place, what));
                }
            }
        }
        Ok(())
    }

    fn without_row(&mut self) {
        let without = self.needs.iter().filter(|(id, _)| !self.known.contains_key(id));
        let tell = |(id, need): (&SegmentId, &super::look::Need)| {
            let place = Place { shard: need.shards.first().copied(), ..Place::segment(*id) };
            Finding::new(Kind::MissingRow, place, "it is used, and has no row")
        };
        let found: Vec<_> = without.map(tell).collect();
        self.tell_all(found);
    }

    /// Inline segments: those that are needed must be there, the others must have a row or be trash.
    async fn inline(&mut self) -> Result<(), FsckError> {
        let cx = self.cx;
        let mut view = View::new(cx.store.as_ref()).await?;
        let mut pages = Pages::of(inline_segment::all());
        let mut open: Option<(SegmentId, u64)> = None;
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some(id) = inline_segment::parse(&key) else { continue };
                match &mut open {
                    Some((of, length)) if *of == id => *length += value.len() as u64,
                    _ => {
                        let done = open.replace((id, value.len() as u64));
                        done.into_iter().for_each(|(id, length)| self.inline_one(id, length));
                    }
                }
            }
        }
        open.into_iter().for_each(|(id, length)| self.inline_one(id, length));
        let missing = self.needs.iter().filter(|(_, need)| need.inline && !need.seen);
        let bad = |(id, _): (&SegmentId, &super::look::Need)| {
            (*id, (Kind::MissingInline, "the metadata store has no such segment".to_owned()))
        };
        let missing: Vec<_> = missing.map(bad).collect();
        self.bad.extend(missing);
        Ok(())
    }

    fn inline_one(&mut self, id: SegmentId, length: u64) {
        self.checked.inline += 1;
        match self.needs.get_mut(&id) {
            Some(need) => {
                need.seen = true;
                if need.length != length {
                    let what = format!("it has {length} bytes, not {}", need.length);
                    self.bad.insert(id, (Kind::MissingInline, what));
                }
            }
            None if self.known.contains_key(&id) => {}
            None => {
                let what = format!("{length} bytes in the metadata store that nothing refers to");
                self.tell(Finding::new(Kind::LeftoverInline, Place::segment(id), what));
            }
        }
    }
}
