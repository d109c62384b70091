//! The writer thread: the only one that writes the file, and the one that opens it again after an error.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ::redb::{Durability, WriteTransaction};

use super::Shared;
use super::disk::Disk;
use super::file::{self, Opened};
use super::group::{Group, Request, refuse};
use super::held::Held;
use super::journal::{Generation, Journal};
use super::options::{OpenError, Options};
use crate::resolve::Write;
use crate::window::Window;
use crate::{CommitError, Version, limits};

/// How often the thread looks after itself if there is nothing to write.
const IDLE: Duration = Duration::from_secs(1);
/// Pauses between attempts to write after errors grow up to `retry_after` times this.
const LONGEST_RETRY: u32 = 32;

pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    options: Options,
    shared: Arc<Shared>,
    sync_failed: Arc<AtomicBool>,
    /// The journal, if the database is open.
    journal: Option<Journal>,
    /// What the disk has no room for, while the database is open.
    held: Weak<Held>,
    version: Version,
    window: Window,
    /// When which version was the last, every half second: what is older than the limit is forgotten.
    marks: VecDeque<(Instant, Version)>,
    /// Failures in a row.
    failures: u32,
    /// No write is tried before.
    not_before: Option<Instant>,
}

/// How writing a group failed, if it did.
enum Failure {
    /// Before anything could have taken effect.
    NotApplied(String),
    /// In the commit itself, which may or may not be in the file.
    InCommit(String),
}

fn closed() -> Failure {
    Failure::NotApplied("closed".to_owned())
}

impl Writer {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        shared: Arc<Shared>,
    ) -> Result<Self, OpenError> {
        let Opened { database, journal, held, sync_failed, version } = file::open(&*disk, &options)?;
        shared.live.serve(database, version);
        let window = Window::new(version);
        let marks = VecDeque::new();
        let (journal, failures, not_before) = (Some(journal), 0, None);
        Ok(Writer {
            disk,
            options,
            shared,
            sync_failed,
            journal,
            held,
            version,
            window,
            marks,
            failures,
            not_before,
        })
    }

    /// Runs until nobody can send any more.
    pub(super) fn run(mut self, queue: &Receiver<Request>) {
        while let Some(requests) = Group::take(queue, &self.options, self.patience()) {
            if !self.is_open() && self.may_try() {
                self.open_again();
            }
            match requests.is_empty() {
                true => {}
                false if self.is_open() && self.may_try() => self.write(requests),
                false => {
                    let why = "an error on disk; trying again shortly".to_owned();
                    refuse(requests, &CommitError::Unavailable(why));
                }
            }
            self.tidy();
        }
        self.shared.watches.lose_all();
        self.complete();
        self.shared.live.close();
    }

    fn is_open(&self) -> bool {
        self.journal.is_some()
    }

    /// Has the database itself hold everything, at the end: it can be copied without its journal then.
    fn complete(&mut self) {
        if !self.journal.as_ref().is_some_and(Journal::is_used) {
            return;
        }
        let synced = catch_unwind(AssertUnwindSafe(|| {
            let transaction = self.transaction(self.version, Some(0), std::iter::empty())?;
            transaction.commit().map_err(|error| Failure::InCommit(error.to_string()))
        }));
        if !matches!(synced, Ok(Ok(()))) {
            // Nothing is lost: the next start reads it from the journal.
            tracing::warn!("the metadata store could not be synced at its end");
        }
    }

    fn patience(&self) -> Duration {
        if self.is_open() { IDLE } else { self.options.retry_after.min(IDLE) }
    }

    fn may_try(&self) -> bool {
        self.not_before.is_none_or(|time| Instant::now() >= time)
    }

    fn write(&mut self, requests: Vec<Request>) {
        if let Err(error) = self.held.upgrade().map_or(Ok(()), |held| held.write_out()) {
            self.fail();
            let why = format!("{} can't be written: {error}", self.disk.path().display());
            tracing::warn!(why, failures = self.failures, "metadata writes are refused");
            return refuse(requests, &CommitError::Unavailable(why));
        }
        let group = Group::decide(requests, &mut self.window, self.version);
        if !group.changes {
            return group.answer();
        }
        let version = Version(self.version.0 + 1);
        // redb asserts its own state. If one fails, nothing is known of this group, but the next can go on.
        let written = catch_unwind(AssertUnwindSafe(|| self.write_file(version, &group)));
        let written = written.unwrap_or_else(|_| Err(Failure::InCommit("an assertion failed".to_owned())));
        match written {
            Ok(()) => self.publish(version, group),
            Err(failure) => self.recover(version, group, failure),
        }
    }

    /// Writes a group, into the journal if that has room for it, else with all that is in the journal.
    fn write_file(&mut self, version: Version, group: &Group) -> Result<(), Failure> {
        let in_commit = |error: &dyn std::fmt::Display| Failure::InCommit(error.to_string());
        let journal = self.journal.as_mut().ok_or_else(closed)?;
        if journal.prepare(version, group.writes()) {
            let held = self.held.upgrade().ok_or_else(closed)?;
            return held.while_passing(|| {
                let transaction = self.transaction(version, None, group.writes())?;
                let journal = self.journal.as_mut().ok_or_else(closed)?;
                journal.append().map_err(|error| in_commit(&error))?;
                transaction.commit().map_err(|error| in_commit(&error))
            });
        }
        let next = journal.next_generation(version);
        let next = next.map_err(|error| Failure::NotApplied(error.to_string()))?;
        let transaction = self.transaction(version, Some(next), group.writes())?;
        transaction.commit().map_err(|error| in_commit(&error))?;
        self.journal.as_mut().ok_or_else(closed)?.restart(next);
        Ok(())
    }

    /// A group in the database, not committed: durable when it is, if the journal begins a generation with it.
    fn transaction<'a>(
        &self,
        version: Version,
        generation: Option<Generation>,
        writes: impl Iterator<Item = &'a Write>,
    ) -> Result<WriteTransaction, Failure> {
        let durability = if generation.is_some() { Durability::Immediate } else { Durability::None };
        let begun = self.shared.live.with_database(|database| file::begin(database, durability));
        let filled = begun
            .ok_or_else(closed)?
            .and_then(|transaction| file::fill(transaction, version, generation, writes));
        filled.map_err(|error| Failure::NotApplied(error.to_string()))
    }

    fn publish(&mut self, version: Version, group: Group) {
        self.version = version;
        (self.failures, self.not_before) = (0, None);
        self.shared.live.publish(version);
        self.shared.watches.fire(group.writes().map(Write::touch));
        group.answer();
    }

    /// After an error: opens the database again, learns what is true, and tells it.
    fn recover(&mut self, version: Version, group: Group, failure: Failure) {
        let sync_failed = self.sync_failed.load(Ordering::Acquire);
        self.fail();
        self.open_again();
        let applied = self.is_open() && self.version >= version;
        match failure {
            Failure::NotApplied(why) => {
                tracing::warn!(why, failures = self.failures, "a metadata write failed");
                group.refuse(&CommitError::Unavailable(why));
            }
            Failure::InCommit(why) if sync_failed || !self.is_open() => {
                tracing::error!(why, failures = self.failures, "a metadata write has an unknown result");
                group.refuse(&CommitError::Unknown(why));
            }
            // It was whole, and opening it again has synced it.
            Failure::InCommit(_) if applied => group.answer(),
            Failure::InCommit(why) => {
                tracing::warn!(why, failures = self.failures, "a metadata write failed");
                group.refuse(&CommitError::Unavailable(why));
            }
        }
        self.shared.watches.fire_all();
    }

    fn fail(&mut self) {
        let pause = self.options.retry_after * (1 << self.failures.min(LONGEST_RETRY.ilog2()));
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
    }

    fn open_again(&mut self) {
        self.shared.live.close();
        self.journal = None;
        match self.try_open_again() {
            Ok(opened) => {
                self.version = opened.version;
                self.sync_failed = opened.sync_failed;
                self.shared.live.serve(opened.database, self.version);
                (self.journal, self.held) = (Some(opened.journal), opened.held);
                // What the failed group noted may not have happened, and what it wrote may have.
                self.window = Window::new(self.version);
                self.marks.clear();
                self.shared.watches.fire_all();
            }
            Err(error) => {
                self.fail();
                tracing::error!(%error, failures = self.failures, "the metadata store can't be opened again");
            }
        }
    }

    fn try_open_again(&self) -> Result<Opened, OpenError> {
        let opened = file::open(&*self.disk, &self.options)?;
        if opened.version < self.version {
            // What was synced is gone: the disk lies, or somebody replaced the file. Going on would hide it.
            let why = format!("it is at version {}, but {} was durable", opened.version.0, self.version.0);
            return Err(OpenError::Corrupt { path: self.disk.path().to_owned(), why });
        }
        Ok(opened)
    }

    /// Keeps memory within its bounds.
    fn tidy(&mut self) {
        self.shared.live.end_older(self.options.snapshot_age);
        if self.window.bytes() > self.options.window_bytes {
            self.window.shrink_to(self.options.window_bytes / 4 * 3);
        }
        let last = self.marks.back();
        if last.is_none_or(|(at, _)| at.elapsed() >= IDLE / 2) {
            self.marks.push_back((Instant::now(), self.version));
            let keep = Duration::from_millis(limits::SNAPSHOT_MILLIS);
            while let Some((at, version)) = self.marks.front().copied()
                && at.elapsed() > keep
            {
                self.window.forget(version);
                self.marks.pop_front();
            }
        }
    }
}
