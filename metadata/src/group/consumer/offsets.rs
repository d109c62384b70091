//! Who may commit and read offsets of the group, and whether it may go.

use siltstone_log::TopicId;

use super::{ConsumerGroup, Refusal};

/// Who touches the group's offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committer<'a> {
    /// Its member id; empty if it has none.
    pub member: &'a str,
    /// Its instance id.
    pub instance: Option<&'a str>,
    /// Its member epoch or generation; negative if it has none.
    pub epoch: i32,
}

impl ConsumerGroup {
    /// Whether these offsets may be committed. `version` is OffsetCommit's, or `None` for a transaction.
    ///
    /// # Errors
    /// `UnknownMember`, `StaleMemberEpoch`, `IllegalGeneration`, `UnsupportedVersion`.
    pub fn may_commit(&self, who: &Committer<'_>, version: Option<i16>) -> Result<(), Refusal> {
        // Tools commit for groups that nobody is in.
        if who.epoch < 0 && self.is_empty() {
            return Ok(());
        }
        // A transactional producer that does not know of members.
        let nameless = who.epoch == -1 && who.member.is_empty() && who.instance.is_none();
        if version.is_none() && nameless {
            return Ok(());
        }
        let row = self.members.get(who.member).ok_or(Refusal::UnknownMember)?;
        if row.classic.is_none() && version.is_some_and(|version| version < 9) {
            return Err(Refusal::UnsupportedVersion);
        }
        self.check_member_epoch(who)
    }

    /// Whether these offsets may be read. `who` is `None` if the request names no member.
    ///
    /// # Errors
    /// `UnknownMember`, `StaleMemberEpoch`, `IllegalGeneration`.
    pub fn may_fetch(&self, who: Option<&Committer<'_>>) -> Result<(), Refusal> {
        who.map_or(Ok(()), |who| self.check_member_epoch(who))
    }

    fn check_member_epoch(&self, who: &Committer<'_>) -> Result<(), Refusal> {
        let row = self.members.get(who.member).ok_or(Refusal::UnknownMember)?;
        let (received, expected) = (who.epoch, row.epoch);
        match (received == expected, row.classic.is_some()) {
            (true, _) => Ok(()),
            (false, true) => Err(Refusal::IllegalGeneration { received, expected }),
            (false, false) => Err(Refusal::StaleMemberEpoch { received, expected }),
        }
    }

    /// Whether a member subscribes to the topic, so that its offsets may not be deleted or expire.
    pub fn is_subscribed_to(&self, name: &str, id: Option<TopicId>) -> bool {
        self.subscriptions.contains(name, id)
    }
}
