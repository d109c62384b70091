//! What becomes of a commit: its fate is drawn when it is sent, and then carried out.

use std::sync::Arc;
use std::time::Duration;

use super::history::Database;
use super::{Agent, pause};
use crate::{Commit, CommitError, Committed, check};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Applied,
    Conflict,
    TooOld,
    Unavailable,
    UnknownNever,
    UnknownApplied,
    UnknownLate,
}

/// All that chance decides about one commit.
#[derive(Debug, Clone)]
struct Draw {
    fate: Fate,
    delay: Duration,
    answer_delay: Duration,
    late: Duration,
    dropped_lands: bool,
    step: u64,
}

pub(super) async fn send(
    database: &Arc<Database>,
    agent: &Arc<Agent>,
    commit: Commit,
) -> Result<Committed, CommitError> {
    check::commit(&commit)?;
    let draw = draw(agent, !commit.reads.is_empty());
    let mut sent = Sent { database, commit: Some(commit), draw: draw.clone() };
    pause(draw.delay).await;
    let Some(commit) = sent.commit.take() else { return unknown("lost") };
    if agent.is_cut() {
        return match draw.step % 2 {
            0 => Err(CommitError::Unavailable("cut off".to_owned())),
            _ => unknown("cut off"),
        };
    }
    let result = match draw.fate {
        Fate::Applied | Fate::UnknownApplied => database.apply(&commit, draw.step),
        Fate::Conflict => Err(CommitError::Conflict),
        Fate::TooOld => Err(CommitError::TooOld),
        Fate::Unavailable => Err(CommitError::Unavailable("injected".to_owned())),
        Fate::UnknownNever => unknown("injected"),
        Fate::UnknownLate => {
            land_late(database.clone(), commit, &draw);
            unknown("injected")
        }
    };
    pause(draw.answer_delay).await;
    if agent.is_cut() || draw.fate == Fate::UnknownApplied {
        return unknown("the answer was lost");
    }
    result
}

/// Draws the same number of times whatever comes out, so that one rate shifts no other's draws.
fn draw(agent: &Agent, has_reads: bool) -> Draw {
    agent.draw(|chance, faults| {
        let fates = [
            (Fate::Conflict, faults.conflict, has_reads),
            (Fate::TooOld, faults.commit_too_old, has_reads),
            (Fate::Unavailable, faults.commit_unavailable, true),
            (Fate::UnknownNever, faults.unknown_never, true),
            (Fate::UnknownApplied, faults.unknown_applied, true),
            (Fate::UnknownLate, faults.unknown_late, true),
        ];
        let mut fate = Fate::Applied;
        for (candidate, probability, allowed) in fates {
            if chance.happens(probability) && allowed {
                fate = candidate;
            }
        }
        Draw {
            fate,
            delay: chance.within(&faults.delay),
            answer_delay: chance.within(&faults.answer_delay),
            late: chance.within(&faults.late),
            dropped_lands: chance.happens(faults.dropped_lands),
            step: 1 + chance.below(faults.version_jump.saturating_add(1)),
        }
    })
}

/// A commit on its way. Dropped before it took effect, it may still land.
struct Sent<'a> {
    database: &'a Arc<Database>,
    commit: Option<Commit>,
    draw: Draw,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if let Some(commit) = self.commit.take()
            && self.draw.dropped_lands
        {
            land_late(self.database.clone(), commit, &self.draw);
        }
    }
}

fn land_late(database: Arc<Database>, commit: Commit, draw: &Draw) {
    // Without a runtime, one that ends for instance, it never lands: allowed as well.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let (late, step) = (draw.late, draw.step);
    runtime.spawn(async move {
        pause(late).await;
        // Nobody waits for the result.
        let _ = database.apply(&commit, step);
    });
}

fn unknown<T>(why: &str) -> Result<T, CommitError> {
    Err(CommitError::Unknown(why.to_owned()))
}
