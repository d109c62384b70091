//! The bucket: what must be there, and what nothing explains.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt;
use siltstone_log::{RegistrationId, SegmentId};
use siltstone_metadata::keys::{ended_registration, registration};
use siltstone_objects::{ObjectInfo, ReadError};
use siltstone_store::Pages;
use tokio::time::Instant;

use super::FsckError;
use super::finding::{Finding, Kind, Place};
use super::look::Look;
use super::read::View;

/// How long the whole listing is tried: a million objects are a thousand requests.
const LISTING: Duration = Duration::from_secs(3600);
/// How long one request is.
const PATIENCE: Duration = Duration::from_secs(60);
/// Below this lie all segments.
const SEGMENTS: &str = "seg";

/// The segment that a name stands for.
pub(super) fn parse(name: &str) -> Option<SegmentId> {
    let (rest, number) = name.rsplit_once('/')?;
    let (_, registration) = rest.rsplit_once('/')?;
    let registration = RegistrationId(u128::from_str_radix(registration, 16).ok()?);
    let id = SegmentId { registration, number: u64::from_str_radix(number, 16).ok()? };
    (id.object_name() == name).then_some(id)
}

impl Look<'_> {
    /// Compares the bucket with what is needed and known.
    pub(super) async fn bucket(&mut self) -> Result<(), FsckError> {
        self.watcher.begin("objects", None);
        let mut pages = self.cx.objects.list(SEGMENTS, Instant::now() + LISTING);
        let mut unexplained = Vec::new();
        while let Some(page) = pages.try_next().await? {
            self.watcher.advance(page.len() as u64);
            page.iter().for_each(|object| unexplained.extend(self.object(object)));
        }
        self.explain(unexplained).await?;
        self.missing().await
    }

    /// Takes one object in. Those that are neither needed nor known are returned.
    fn object(&mut self, object: &ObjectInfo) -> Option<(SegmentId, u64)> {
        self.checked.objects += 1;
        self.checked.object_bytes += object.size;
        let Some(id) = parse(&object.name) else {
            let place = Place { object: Some(object.name.clone()), ..Place::default() };
            self.tell(Finding::new(
                Kind::StrangeObject,
                place,
                format!("an object of {} bytes", object.size),
            ));
            return None;
        };
        match self.needs.get_mut(&id) {
            Some(need) if !need.inline => {
                need.seen = true;
                if need.length != object.size {
                    let what = format!("it has {} bytes, not {}", object.size, need.length);
                    self.bad.insert(id, (Kind::WrongLength, what));
                }
                None
            }
            _ => (self.known.get(&id) != Some(&false)).then_some((id, object.size)),
        }
    }

    /// Leaves out objects of registrations that live, or have ended and will be looked through.
    async fn explain(&mut self, unexplained: Vec<(SegmentId, u64)>) -> Result<(), FsckError> {
        if unexplained.is_empty() {
            return Ok(());
        }
        let cx = self.cx;
        let mut view = View::new(cx.store.as_ref()).await?;
        let mut writers: BTreeSet<RegistrationId> = BTreeSet::new();
        for range in [registration::all(), ended_registration::all()] {
            let mut pages = Pages::of(range);
            while let Some(page) = view.page(&mut pages).await? {
                let live =
                    |key: &[u8]| key.last_chunk::<16>().map(|id| RegistrationId(u128::from_be_bytes(*id)));
                writers.extend(page.iter().filter_map(|(key, _)| live(key)));
            }
        }
        for (id, size) in unexplained.into_iter().filter(|(id, _)| !writers.contains(&id.registration)) {
            let what = format!("an object of {size} bytes that nothing refers to");
            self.tell(Finding::new(Kind::LeftoverObject, Place::segment(id), what));
        }
        Ok(())
    }

    /// Asks once more for objects that are needed and were not listed.
    async fn missing(&mut self) -> Result<(), FsckError> {
        let missing: Vec<(SegmentId, u64)> = self
            .needs
            .iter()
            .filter(|(_, need)| !need.inline && !need.seen)
            .map(|(id, need)| (*id, need.length))
            .collect();
        for (id, length) in missing {
            match self.cx.objects.head(&id.object_name(), Instant::now() + PATIENCE).await {
                Ok(object) if object.size == length => {}
                Ok(object) => {
                    let what = format!("it has {} bytes, not {length}", object.size);
                    self.bad.insert(id, (Kind::WrongLength, what));
                }
                Err(ReadError::NotFound { .. }) => {
                    let what = format!("the object store has no {}", id.object_name());
                    self.bad.insert(id, (Kind::MissingObject, what));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_give_are_segments() {
        let id = SegmentId { registration: RegistrationId(0xabc), number: 0x1f };
        assert_eq!(parse(&id.object_name()), Some(id));
        for name in
            ["", "seg", "seg/28/abc/1f", "seg/29/00000000000000000000000000000abc/000000000000001f", "a/b/c"]
        {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
