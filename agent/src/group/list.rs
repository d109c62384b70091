//! All groups that this agent answers for, and the end of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_configs::BrokerConfig;
use siltstone_log::GroupHeadRow;
use siltstone_metadata::group::consumer::PROTOCOL_TYPE;
use siltstone_metadata::keys::{group_head, group_member};
use siltstone_metadata::lease;
use siltstone_store::RangeLimit;

use super::slot::Deletion;
use super::stored_offsets::all;
use super::{GroupError, Groups};

/// A group as ListGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub group: String,
    /// Its protocol type; empty if it never had members.
    pub protocol_type: String,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Kafka's name of its protocol: `classic` or `consumer`.
    pub kind: &'static str,
}

impl Groups {
    /// The groups that this agent coordinates, and those that no agent that lives does, by id.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn list(&self) -> Result<Vec<Listed>, GroupError> {
        let snapshot = self.parts.store.snapshot().await?;
        let mut found = BTreeMap::new();
        for (key, value) in all(snapshot.as_ref(), group_head::all()).await? {
            let Some(group) = group_head::parse(&key) else { continue };
            let owner = lease::coordinator(snapshot.as_ref(), &group).await?;
            if owner.is_some_and(|owner| owner != self.parts.registration) {
                continue;
            }
            let head =
                GroupHeadRow::decode(&value).map_err(|error| GroupError::Corrupt(error.to_string()))?;
            let members = group_member::of(&group);
            let first = RangeLimit { entries: 1, ..RangeLimit::default() };
            let empty = snapshot.range(&members, first).await?.entries.is_empty();
            found.insert(group.clone(), written(group, head, empty));
        }
        let slots: Vec<_> = self.lock().values().cloned().collect();
        for slot in slots {
            let inner = slot.inner.lock().await;
            if let Some(loaded) = inner.as_ref() {
                let listed = Listed {
                    group: slot.group.clone(),
                    protocol_type: loaded.machine.protocol_type().to_owned(),
                    state: loaded.machine.state_name(),
                    kind: loaded.machine.kind_name(),
                };
                found.insert(slot.group.clone(), listed);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Removes a group that nobody is in, with its offsets.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn delete(self: &Arc<Self>, config: &BrokerConfig, group: &str) -> Result<(), GroupError> {
        self.with(config, group, false, |loaded, _| {
            if !loaded.machine.is_idle() {
                return Err(GroupError::NotEmpty);
            }
            loaded.delete = Some(Deletion::Asked);
            Ok(())
        })
        .await?
    }
}

/// A group as its rows say: whoever coordinates it knows more.
fn written(group: String, head: GroupHeadRow, empty: bool) -> Listed {
    let state = if empty { "Empty" } else { "Stable" };
    match head {
        GroupHeadRow::Classic(head) => {
            Listed { group, state, protocol_type: head.protocol_type, kind: "classic" }
        }
        GroupHeadRow::Consumer(_) => {
            Listed { group, state, protocol_type: PROTOCOL_TYPE.to_owned(), kind: "consumer" }
        }
    }
}
