//! Who may commit and read offsets of the group, and whether it may go.

use siltstone_log::{PartitionId, TopicId};

use super::owners::TopicIdText;
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

/// In which way offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committing<'a> {
    /// At once, by OffsetCommit in this version.
    At(i16),
    /// With a transaction: those of these partitions.
    With(&'a [PartitionId]),
}

impl ConsumerGroup {
    /// Whether these offsets may be committed.
    ///
    /// With a transaction, only those of partitions that no other member owns. Kafka 4.2 looks at the epoch alone, which a member gets by any
    /// heartbeat; but a client may still process records of a partition that it has, in the heartbeat that brought the epoch, said not to own: librdkafka
    /// 2.16 does while it takes in what it was assigned by the answer before. Its next owner would then process them a second time.
    ///
    /// # Errors
    /// `UnknownMember`, `StaleMemberEpoch`, `IllegalGeneration`, `UnsupportedVersion`, `OwnedByAnother`.
    pub fn may_commit(&self, who: &Committer<'_>, how: Committing<'_>) -> Result<(), Refusal> {
        // Tools commit for groups that nobody is in.
        if who.epoch < 0 && self.is_empty() {
            return Ok(());
        }
        // A transactional producer that does not know of members.
        let nameless = who.epoch == -1 && who.member.is_empty() && who.instance.is_none();
        if matches!(how, Committing::With(_)) && nameless {
            return Ok(());
        }
        let row = self.members.get(who.member).ok_or(Refusal::UnknownMember)?;
        if row.classic.is_none() && matches!(how, Committing::At(version) if version < 9) {
            return Err(Refusal::UnsupportedVersion);
        }
        self.check_member_epoch(who)?;
        let Committing::With(partitions) = how else { return Ok(()) };
        let other = |at: &&PartitionId| !self.owners.free_for(who.member, at.topic, at.index);
        match partitions.iter().find(other) {
            Some(PartitionId { topic, index }) => {
                Err(Refusal::OwnedByAnother { topic: TopicIdText(*topic), partition: *index })
            }
            None => Ok(()),
        }
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
