//! Reading from a naive store.

use super::*;

impl NaiveSnapshot {
    fn state(&self, moves: Bug) -> Arc<State> {
        if self.shared.bug == moves || self.shared.bug == Bug::SnapshotMoves {
            let inner = self.shared.lock();
            return inner.at(inner.last());
        }
        self.state.clone()
    }
}

#[async_trait]
impl Snapshot for NaiveSnapshot {
    fn version(&self) -> Version {
        self.version
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let bug = self.shared.bug;
        if bug != Bug::NoReadLimits {
            check::read_key(key).or_else(|error| forgiven(bug, error))?;
        }
        self.shared.lock().snapshot_reads.insert(Bytes::copy_from_slice(key));
        let value = self.state(Bug::SnapshotMoves).get(key).cloned();
        Ok(value.filter(|value| !(bug == Bug::EmptyValueIsAbsent && value.is_empty())))
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        let bug = self.shared.bug;
        if bug != Bug::NoReadLimits {
            check::read_range(range).or_else(|error| forgiven(bug, error))?;
        }
        assert!(bug != Bug::InvertedRangePanics || range.begin <= range.end, "inverted");
        let state = self.state(Bug::RangeMoves);
        let inside = |key: &Bytes| match bug {
            Bug::RangeEndIncluded => range.contains(key) || *key == range.end,
            Bug::RangeBeginExcluded => range.contains(key) && *key != range.begin,
            _ => range.contains(key),
        };
        let mut all: Vec<_> =
            state.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if bug == Bug::SignedOrder {
            all.sort_by_key(|(key, _)| key.iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>());
        }
        if limit.reverse && !matches!(bug, Bug::ReverseIgnored | Bug::ReverseOfFirstPage) {
            all.reverse();
        }
        let count = page_length(bug, &all, limit);
        let more = match bug {
            Bug::NeverMore => false,
            Bug::AlwaysMore => !all.is_empty(),
            _ => count < all.len(),
        };
        all.truncate(count);
        if limit.reverse && bug == Bug::ReverseOfFirstPage {
            all.reverse();
        }
        Ok(Page { entries: all, more })
    }
}

fn page_length(bug: Bug, all: &[(Bytes, Bytes)], limit: RangeLimit) -> usize {
    let most = match bug {
        Bug::EntriesIgnored => usize::MAX,
        Bug::ZeroIsNone => limit.entries,
        _ => limit.entries.max(1),
    };
    let (mut count, mut bytes) = (0, 0);
    for (key, value) in all {
        let next = bytes + key.len() + value.len();
        if count >= most || (bug == Bug::BytesNotReached && next > limit.bytes) {
            break;
        }
        (count, bytes) = (count + 1, next);
        let full = match bug {
            Bug::BytesIgnored => false,
            Bug::BytesOverrun => bytes > limit.bytes,
            _ => bytes >= limit.bytes,
        };
        if full && bug != Bug::BytesNotReached {
            break;
        }
    }
    count
}
