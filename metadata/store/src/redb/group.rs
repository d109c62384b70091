//! A group of commits: which of them succeed, and what they write. Decided before anything is written; told only after.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::options::Options;
use crate::resolve::{Touch, Write};
use crate::window::Window;
use crate::{Commit, CommitError, Committed, Stamp, Version};

/// A commit in the queue.
pub(super) struct Request {
    pub(super) commit: Commit,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Result<Committed, CommitError>>,
    /// Its share of the queue, given back when it is answered.
    pub(super) _place: OwnedSemaphorePermit,
}

/// Commits that are written together.
#[derive(Default)]
pub(super) struct Group {
    requests: Vec<Request>,
    verdicts: Vec<Result<Committed, CommitError>>,
    writes: Vec<Write>,
    /// Whether any commit of it takes effect.
    pub(super) changes: bool,
}

impl Group {
    /// Waits for a first commit and takes all that wait with it, up to the limits. `None` once nobody can send any more;
    /// empty after `patience` without any.
    pub(super) fn take(
        queue: &Receiver<Request>,
        options: &Options,
        patience: Duration,
    ) -> Option<Vec<Request>> {
        let first = match queue.recv_timeout(patience) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let most = options.group_commits.clamp(1, usize::from(u16::MAX));
        let mut bytes = first.bytes;
        let mut requests = vec![first];
        while requests.len() < most && bytes < options.group_bytes {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.bytes;
            requests.push(next);
        }
        Some(requests)
    }

    /// Decides on each commit in order, at `version`, the one after `last`. The window learns of their writes at once, so
    /// that the later ones of the group see those of the earlier.
    pub(super) fn decide(requests: Vec<Request>, window: &mut Window, last: Version) -> Self {
        let mut group = Group::default();
        let version = Version(last.0 + 1);
        for mut request in requests {
            let order = u16::try_from(group.verdicts.len()).unwrap_or(u16::MAX);
            let verdict = group.judge(&mut request.commit, window, last, Stamp::new(version, order));
            group.verdicts.push(verdict);
            group.requests.push(request);
        }
        group
    }

    fn judge(
        &mut self,
        commit: &mut Commit,
        window: &mut Window,
        last: Version,
        stamp: Stamp,
    ) -> Result<Committed, CommitError> {
        if let Some(at) = commit.read_version {
            if at > last {
                return Err(CommitError::TooLarge(format!("read version {} is in the future", at.0)));
            }
            if !commit.reads.is_empty() {
                window.verdict(&commit.reads, at)?;
            }
        }
        if commit.is_read_only() {
            let version = commit.read_version.unwrap_or(last);
            return Ok(Committed { version, stamp: Stamp::new(version, 0) });
        }
        let version = stamp.version();
        let from = self.writes.len();
        let mutations = std::mem::take(&mut commit.mutations);
        self.writes.extend(mutations.into_iter().map(|mutation| Write::resolve(mutation, stamp)));
        let touched = self.writes[from..].iter().map(Write::touch);
        touched.chain(commit.writes.iter().map(Touch::Range)).for_each(|touch| window.wrote(touch, version));
        self.changes = true;
        Ok(Committed { version, stamp })
    }

    /// What the group writes, in order.
    pub(super) fn writes(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter()
    }

    /// Tells everyone the verdicts.
    pub(super) fn answer(self) {
        for (request, verdict) in self.requests.into_iter().zip(self.verdicts) {
            // An error means that nobody waits any more.
            let _ = request.answer.send(verdict);
        }
    }

    /// Tells everyone the same error. Conflicts too: they may rest on commits of the group that did not come to be.
    pub(super) fn refuse(self, error: &CommitError) {
        refuse(self.requests, error);
    }
}

/// Tells everyone the same error.
pub(super) fn refuse(requests: Vec<Request>, error: &CommitError) {
    for request in requests {
        let _ = request.answer.send(Err(error.clone()));
    }
}
