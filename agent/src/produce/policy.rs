//! When to flush, and to where (design, section 4). Pure: a view of the buffer and of what is under way goes in, a choice comes out.
//!
//! The interval is a bound on cost, not a delay that everyone pays: producers have few requests in flight, and while all of them wait for
//! us nothing more can come. So a flush starts as soon as nothing more is coming in, while uploads are few and the budgets allow.

use std::time::Duration;

use super::buffer::Placement;

/// What the policy goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolicySettings {
    /// So much is flushed at once; while uploads are plenty, what makes a segment of this size, see [`Stored`].
    pub flush_bytes: usize,
    /// The oldest batch waits for at most so long.
    pub flush_interval: Duration,
    /// Flushes up to this size go into the metadata store.
    pub inline_bytes: usize,
    /// Inline bytes a second, on average.
    pub inline_bytes_per_second: f64,
    /// PUTs a second that flushes smaller than `flush_bytes` may cause, on average.
    pub puts_per_second: f64,
    /// Nothing more is coming in if nothing came for so long, at least; see [`PATIENCE`].
    pub quiet: Duration,
    /// Uploads in flight, at most.
    pub max_uploads: usize,
    /// While fewer uploads are in flight than this, a quiet buffer is flushed before it is full or old. If it is one, also what was uploaded must be committed.
    pub few_uploads: usize,
}

impl PolicySettings {
    /// For a store whose PUTs cost money and take long.
    pub fn cloud() -> Self {
        PolicySettings {
            flush_bytes: 8 << 20,
            flush_interval: Duration::from_millis(250),
            inline_bytes: 64 << 10,
            inline_bytes_per_second: f64::from(4u32 << 20),
            puts_per_second: 8.0,
            quiet: Duration::from_millis(2),
            max_uploads: 8,
            // What came in during an upload goes with the next one: a second small PUT beside it would cost as much and carry half.
            few_uploads: 1,
        }
    }

    /// For a local directory, where a PUT is cheap.
    pub fn local() -> Self {
        PolicySettings {
            flush_interval: Duration::from_millis(20),
            puts_per_second: 1000.0,
            max_uploads: 3,
            few_uploads: 2,
            ..PolicySettings::cloud()
        }
    }
}

/// What there is to decide about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    pub(super) bytes: usize,
    /// So many bytes make a segment of `flush_bytes`, as far as can be told.
    pub(super) full_at: usize,
    /// As many batches as a manifest takes.
    pub(super) manifest_full: bool,
    pub(super) age: Duration,
    pub(super) quiet_for: Duration,
    /// What an upload takes, as of late.
    pub(super) upload_time: Duration,
    /// How long ago producers were answered last.
    pub(super) answered_for: Duration,
    /// Some of those whom the flushes before answered have sent nothing since.
    pub(super) expected: bool,
    pub(super) placement: Placement,
    pub(super) uploads: usize,
    /// Flushes that are on their way or being committed: those who sent what is in them are about to be answered.
    pub(super) unanswered: usize,
    pub(super) inline_flushes: usize,
    pub(super) put_budget: bool,
    pub(super) inline_budget: bool,
    /// The agent stops: what is there goes now.
    pub(super) closing: bool,
    /// The object store takes nothing: what is there was taken for the metadata store.
    pub(super) store_away: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Flush {
        inline: bool,
    },
    /// Look again after so long, or when something happens.
    Wait(Option<Duration>),
}

/// A flush waits for more while less than this part of an upload's time has passed without any: where uploads are slow, missing what
/// comes a few milliseconds later costs its producer a whole upload more.
const PATIENCE: u32 = 8;

/// With so many uploads in flight one more makes nothing faster, and a flush waits until it makes a segment of `flush_bytes`. With fewer it goes once it
/// holds as much: a fifth of the throughput of four Java producers, whose windows are 20 MiB together, when it did not.
const AMPLE_UPLOADS: usize = 2;

/// A segment forced inline by its topic may be this large: several parts, well within one transaction.
pub(super) const FORCED_INLINE_BYTES: usize = 512 << 10;

pub(super) fn choose(settings: &PolicySettings, view: &View) -> Choice {
    let inline = may_go_inline(settings, view);
    if view.closing {
        return Choice::Flush { inline };
    }
    let full_at = if view.uploads < AMPLE_UPLOADS { settings.flush_bytes } else { view.full_at };
    let full = view.bytes >= full_at || view.manifest_full;
    let old = view.age >= settings.flush_interval;
    if view.store_away {
        let now = view.inline_flushes == 0 || full || old;
        let later = settings.flush_interval.saturating_sub(view.age);
        return if now { Choice::Flush { inline: true } } else { Choice::Wait(Some(later)) };
    }
    if inline && !full {
        // While one is being committed the next one gathers: its size adapts to what a commit takes.
        let free = view.inline_flushes == 0 && view.uploads == 0;
        return if free || old {
            Choice::Flush { inline }
        } else {
            Choice::Wait(Some(settings.flush_interval - view.age))
        };
    }
    if view.uploads >= settings.max_uploads {
        return Choice::Wait(None);
    }
    if full || old {
        return Choice::Flush { inline: false };
    }
    // Once all who were answered have sent again, there is nobody left to wait for.
    let patience = if view.expected { view.upload_time / PATIENCE } else { Duration::ZERO };
    let quiet = settings.quiet.max(patience);
    // Whoever is answered sends again at once. Where one upload follows the other, a flush that waits neither for the answers to the last one nor for
    // that leaves it to the next one: half of what producers have under way then always waits for the other half.
    let one_by_one = settings.few_uploads == 1;
    let under_way = if one_by_one { view.unanswered.max(view.uploads) } else { view.uploads };
    let few = under_way < settings.few_uploads && view.put_budget;
    let quiet_for = if one_by_one { view.quiet_for.min(view.answered_for) } else { view.quiet_for };
    if few && quiet_for >= quiet {
        return Choice::Flush { inline: false };
    }
    let until_old = settings.flush_interval - view.age;
    let wait = if few { until_old.min(quiet - quiet_for) } else { until_old };
    Choice::Wait(Some(wait))
}

fn may_go_inline(settings: &PolicySettings, view: &View) -> bool {
    match view.placement {
        _ if view.store_away => true,
        Placement::Object => false,
        Placement::Inline => view.bytes <= FORCED_INLINE_BYTES,
        Placement::Auto => view.bytes <= settings.inline_bytes && view.inline_budget,
    }
}

/// How much of what is flushed is stored once it is compressed: as of late, weighed by size. PUTs are paid one by one, so it is segments that are to
/// be large, not what was in the buffer before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stored {
    share: f64,
}

impl Default for Stored {
    fn default() -> Self {
        Stored { share: 1.0 }
    }
}

impl Stored {
    /// The buffer holds at most so many times `flush_bytes`: what compresses better makes smaller segments.
    const MOST: usize = 2;

    /// A flush of `taken` bytes was stored as `stored`.
    pub(super) fn note(&mut self, taken: usize, stored: u64, flush_bytes: usize) {
        if taken > 0 {
            let weight = (taken as f64 / (4 * flush_bytes) as f64).min(0.5);
            self.share += weight * ((stored as f64 / taken as f64).min(1.0) - self.share);
        }
    }

    /// So many bytes make a segment of `flush_bytes`, while `room` takes several such flushes.
    pub(super) fn full_at(self, flush_bytes: usize, room: usize) -> usize {
        let most = (Self::MOST * flush_bytes).min(room / 4).max(flush_bytes);
        ((flush_bytes as f64 / self.share.max(0.01)) as usize).min(most)
    }
}

/// A bucket of tokens: so many a second on average, with a burst of what a second brings. Debt is allowed and paid back first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens {
    per_second: f64,
    level: f64,
    at: Duration,
}

impl Tokens {
    pub(super) fn new(per_second: f64) -> Self {
        Tokens { per_second, level: per_second, at: Duration::ZERO }
    }

    /// Whether anything may be spent at `now` (any monotonic clock).
    pub(super) fn any(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.level = (self.level + passed * self.per_second).min(self.per_second);
        self.level >= 1.0
    }

    pub(super) fn spend(&mut self, amount: f64) {
        self.level -= amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            bytes: 1000,
            full_at: PolicySettings::cloud().flush_bytes,
            manifest_full: false,
            age: Duration::ZERO,
            quiet_for: Duration::ZERO,
            upload_time: Duration::ZERO,
            answered_for: Duration::MAX,
            expected: true,
            placement: Placement::Auto,
            uploads: 0,
            unanswered: 0,
            inline_flushes: 0,
            put_budget: true,
            inline_budget: true,
            closing: false,
            store_away: false,
        }
    }

    #[test]
    fn small_flushes_go_inline_at_once_and_gather_while_one_is_under_way() {
        let settings = PolicySettings::cloud();
        assert_eq!(choose(&settings, &view()), Choice::Flush { inline: true });
        let busy = View { inline_flushes: 1, ..view() };
        assert!(matches!(choose(&settings, &busy), Choice::Wait(Some(_))));
        let old = View { age: settings.flush_interval, ..busy };
        assert_eq!(choose(&settings, &old), Choice::Flush { inline: true });
    }

    #[test]
    fn full_buffers_go_unless_too_many_uploads_are_under_way() {
        let settings = PolicySettings::cloud();
        let full = View { bytes: settings.flush_bytes, put_budget: false, ..view() };
        assert_eq!(choose(&settings, &full), Choice::Flush { inline: false });
        let busy = View { uploads: settings.max_uploads, ..full };
        assert_eq!(choose(&settings, &busy), Choice::Wait(None));
    }

    #[test]
    fn a_segment_of_what_compresses_well_is_made_of_more() {
        let (flush, room) = (8 << 20, 64 << 20);
        let mut stored = Stored::default();
        assert_eq!(stored.full_at(flush, room), flush);
        // Small flushes say little of large ones.
        stored.note(1 << 10, 20, flush);
        assert!(stored.full_at(flush, room) - flush < 1 << 10);
        for _ in 0..40 {
            stored.note(flush, 3 * flush as u64 / 4, flush);
        }
        let full = stored.full_at(flush, room);
        assert!(full.abs_diff(4 * flush / 3) < 1 << 10, "{full}");
        let filled = View { full_at: full, put_budget: false, uploads: AMPLE_UPLOADS, bytes: full, ..view() };
        assert_eq!(choose(&PolicySettings::cloud(), &filled), Choice::Flush { inline: false });
        let less = View { bytes: full - 1, ..filled };
        assert!(matches!(choose(&PolicySettings::cloud(), &less), Choice::Wait(Some(_))));
        // Producers are not kept waiting for the sake of size.
        let few = View { uploads: AMPLE_UPLOADS - 1, bytes: flush, ..filled };
        assert_eq!(choose(&PolicySettings::cloud(), &few), Choice::Flush { inline: false });
        assert!(matches!(
            choose(&PolicySettings::cloud(), &View { bytes: flush - 1, ..few }),
            Choice::Wait(Some(_))
        ));
        for _ in 0..40 {
            stored.note(2 * flush, flush as u64 / 10, flush);
        }
        assert_eq!(stored.full_at(flush, room), 2 * flush);
        // Where there is room for few such flushes, they are not made larger.
        assert_eq!((stored.full_at(flush, flush), stored.full_at(flush, 5 * flush)), (flush, 5 * flush / 4));
        // A footer makes a small flush larger than what it holds: that is no share above 1.
        for _ in 0..400 {
            stored.note(flush, 2 * flush as u64, flush);
        }
        assert_eq!(stored.full_at(flush, room), flush);
    }

    #[test]
    fn quiet_buffers_go_while_uploads_are_few_and_the_budget_allows() {
        let settings = PolicySettings::cloud();
        let quiet = View { bytes: 1 << 20, quiet_for: settings.quiet, ..view() };
        assert_eq!(choose(&settings, &quiet), Choice::Flush { inline: false });
        let poor = View { put_budget: false, ..quiet };
        assert_eq!(choose(&settings, &poor), Choice::Wait(Some(settings.flush_interval)));
        let coming = View { quiet_for: Duration::ZERO, ..quiet };
        assert_eq!(choose(&settings, &coming), Choice::Wait(Some(settings.quiet)));
    }

    #[test]
    fn where_uploads_are_slow_a_flush_waits_longer_for_more() {
        let settings = PolicySettings::cloud();
        let slow = Duration::from_millis(96);
        let view = View { bytes: 1 << 20, quiet_for: settings.quiet, upload_time: slow, ..view() };
        assert_eq!(choose(&settings, &view), Choice::Wait(Some(slow / PATIENCE - settings.quiet)));
        let quiet = View { quiet_for: slow / PATIENCE, ..view };
        assert_eq!(choose(&settings, &quiet), Choice::Flush { inline: false });
        let old = View { age: settings.flush_interval, ..view };
        assert_eq!(choose(&settings, &old), Choice::Flush { inline: false });
        let all_back = View { expected: false, ..view };
        assert_eq!(choose(&settings, &all_back), Choice::Flush { inline: false });
    }

    #[test]
    fn what_waited_for_an_upload_waits_for_those_whom_it_answered_too() {
        let settings = PolicySettings::cloud();
        let waited = View { bytes: 1 << 20, quiet_for: Duration::from_millis(90), ..view() };
        assert_eq!(choose(&settings, &waited), Choice::Flush { inline: false });
        let answered = View { answered_for: Duration::ZERO, ..waited };
        assert_eq!(choose(&settings, &answered), Choice::Wait(Some(settings.quiet)));
        assert_eq!(choose(&PolicySettings::local(), &answered), Choice::Flush { inline: false });
        let uploaded = View { unanswered: 1, ..waited };
        assert_eq!(choose(&settings, &uploaded), Choice::Wait(Some(settings.flush_interval)));
        assert_eq!(choose(&PolicySettings::local(), &uploaded), Choice::Flush { inline: false });
    }

    #[test]
    fn while_the_store_is_away_everything_goes_inline() {
        let settings = PolicySettings::cloud();
        let away = View { store_away: true, bytes: 1 << 20, inline_budget: false, ..view() };
        assert_eq!(choose(&settings, &away), Choice::Flush { inline: true });
        let after = View { inline_flushes: 1, ..away };
        assert_eq!(choose(&settings, &after), Choice::Wait(Some(settings.flush_interval)));
        let full = View { bytes: settings.flush_bytes, ..after };
        assert_eq!(choose(&settings, &full), Choice::Flush { inline: true });
        assert_eq!(choose(&settings, &View { closing: true, ..after }), Choice::Flush { inline: true });
    }

    #[test]
    fn topics_can_force_a_place() {
        let settings = PolicySettings::cloud();
        let object = View { placement: Placement::Object, quiet_for: settings.quiet, ..view() };
        assert_eq!(choose(&settings, &object), Choice::Flush { inline: false });
        let inline = View { placement: Placement::Inline, bytes: 200 << 10, inline_budget: false, ..view() };
        assert_eq!(choose(&settings, &inline), Choice::Flush { inline: true });
    }

    #[test]
    fn tokens_come_back_with_time_and_debt_is_paid_first() {
        let mut tokens = Tokens::new(4.0);
        let at = Duration::from_millis;
        assert!(tokens.any(at(0)));
        tokens.spend(6.0);
        assert!(!tokens.any(at(500)));
        assert!(tokens.any(at(760)));
    }
}
