import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.DeleteGroupsRequestData;
import org.apache.kafka.common.message.LeaveGroupRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestPartition;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestTopic;
import org.apache.kafka.common.message.OffsetDeleteRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestGroup;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestTopic;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestTopics;

/** Committed offsets of groups: committing, fetching and deleting them, with and without members. */
final class ProbeOffsets {
    private final Probe probe;
    private Uuid id;

    ProbeOffsets(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        id = probe.id("data");
        commits();
        fetches();
        member();
        deletes();
    }

    private OffsetCommitRequestTopic topic(String name, Uuid id, Map<Integer, Long> offsets, String note) {
        var partitions = offsets.entrySet().stream().sorted(Map.Entry.comparingByKey()).map(entry -> new OffsetCommitRequestPartition()
            .setPartitionIndex(entry.getKey()).setCommittedOffset(entry.getValue()).setCommittedMetadata(note)).toList();
        return new OffsetCommitRequestTopic().setName(probe.topic(name)).setTopicId(id).setPartitions(partitions);
    }

    private OffsetCommitRequestData commit(String group, OffsetCommitRequestTopic... topics) {
        return new OffsetCommitRequestData().setGroupId(group).setTopics(List.of(topics));
    }

    private void commits() throws Exception {
        String group = probe.topic("offsets");
        probe.settle(commit(group, topic("data", id, Map.of(0, 5L), "")), 10);
        probe.sweep("commit: all versions", commit(group, topic("data", id, Map.of(0, 6L), "")));
        probe.ask("commit: partitions known and not", commit(group, topic("data", id, Map.of(1, 7L, 9, 1L, -1, 1L), "note")), 10);
        probe.ask("commit: unknown name", commit(group, topic("absent", Uuid.ZERO_UUID, Map.of(0, 1L), "")), 9);
        probe.ask("commit: unknown id", commit(group, topic("absent", new Uuid(5, 6), Map.of(0, 1L), "")), 10);
        probe.ask("commit: no id", commit(group, topic("data", Uuid.ZERO_UUID, Map.of(0, 1L), "")), 10);
        probe.ask("commit: known and unknown", commit(group, topic("absent", new Uuid(5, 6), Map.of(0, 1L), ""), topic("data", id, Map.of(2, 8L), null)), 10);
        probe.ask("commit: offset -1", commit(group, topic("data", id, Map.of(0, -1L), "")), 10);
        probe.ask("commit: offset -7", commit(group, topic("data", id, Map.of(0, -7L), "")), 10);
        probe.ask("commit: beyond the end", commit(group, topic("data", id, Map.of(1, 1_000_000L), "")), 10);
        probe.ask("commit: a note of 5000", commit(group, topic("data", id, Map.of(0, 9L), "x".repeat(5000))), 10);
        probe.ask("commit: a note of 4096", commit(group, topic("data", id, Map.of(0, 9L), "x".repeat(4096))), 10);
        probe.ask("commit: nothing", commit(group), 10);
        probe.ask("commit: no group", commit("", topic("data", id, Map.of(0, 1L), "")), 10);
        probe.ask("commit: a generation, no members", commit(group, topic("data", id, Map.of(0, 1L), "")).setGenerationIdOrMemberEpoch(3).setMemberId("m"), 10);
        probe.ask("commit: a generation, unknown group", commit(probe.topic("nobody"), topic("data", id, Map.of(0, 1L), "")).setGenerationIdOrMemberEpoch(3).setMemberId("m"), 10);
        probe.ask("commit: negative generation, a member id", commit(group, topic("data", id, Map.of(0, 10L), "")).setMemberId("m"), 10);
        probe.ask("commit: retention of 0 ms", commit(group, topic("data", id, Map.of(2, 3L), "")).setRetentionTimeMs(0), 2);
    }

    private OffsetFetchRequestGroup of(String group, OffsetFetchRequestTopics... topics) {
        return new OffsetFetchRequestGroup().setGroupId(group).setTopics(topics.length == 0 ? null : List.of(topics));
    }

    private OffsetFetchRequestTopics from(String name, Uuid id, Integer... partitions) {
        return new OffsetFetchRequestTopics().setName(probe.topic(name)).setTopicId(id).setPartitionIndexes(List.of(partitions));
    }

    private void fetch(String name, int version, OffsetFetchRequestGroup... groups) throws Exception {
        probe.ask("offsets of a group: " + name, new OffsetFetchRequestData().setGroups(List.of(groups)), version);
    }

    private void fetches() throws Exception {
        String group = probe.topic("offsets");
        var old = new OffsetFetchRequestData().setGroupId(group).setTopics(List.of(new OffsetFetchRequestTopic().setName(probe.topic("data"))
            .setPartitionIndexes(List.of(0, 1, 9))));
        for (int version = 1; version <= 7; version++) probe.ask("offsets of a group: v" + version, old, version);
        probe.ask("offsets of a group: all v7", new OffsetFetchRequestData().setGroupId(group).setTopics(null), 7);
        probe.ask("offsets of a group: unknown group v7", new OffsetFetchRequestData().setGroupId(probe.topic("nobody")).setTopics(old.topics()), 7);
        probe.ask("offsets of a group: no group v7", new OffsetFetchRequestData().setGroupId("").setTopics(old.topics()), 7);
        for (int version = 8; version <= 10; version++) fetch("v" + version, version, of(group, from("data", id, 0, 1, 9)));
        fetch("all v10", 10, of(group));
        fetch("several groups", 10, of(group), of(probe.topic("nobody")), of(probe.topic("life")), of(""));
        fetch("the same group twice", 10, of(group, from("data", id, 0)), of(group, from("data", id, 1)));
        fetch("unknown name", 9, of(group, from("absent", Uuid.ZERO_UUID, 0)));
        fetch("unknown id", 10, of(group, from("absent", new Uuid(5, 6), 0)));
        fetch("no topics", 10, of(group).setTopics(List.of()));
        fetch("a member of no group", 10, of(group).setMemberId("stranger").setMemberEpoch(3));
        probe.ask("offsets of a group: stable", new OffsetFetchRequestData().setGroups(List.of(of(group, from("data", id, 0)))).setRequireStable(true), 10);
    }

    /** With a living member, only its own generation commits. */
    private void member() throws Exception {
        String group = probe.topic("member");
        String member = ProbeGroups.joined(probe, "commit: a member joins", group);
        probe.ask("commit: while the group waits for its leader", commit(group, topic("data", id, Map.of(0, 1L), "")).setMemberId(member).setGenerationIdOrMemberEpoch(1), 10);
        probe.ask("commit: sync", new org.apache.kafka.common.message.SyncGroupRequestData().setGroupId(group).setMemberId(member).setGenerationId(1)
            .setProtocolType("consumer").setProtocolName("range"), 5);
        probe.ask("commit: by the member", commit(group, topic("data", id, Map.of(0, 1L), "")).setMemberId(member).setGenerationIdOrMemberEpoch(1), 10);
        probe.ask("commit: another generation", commit(group, topic("data", id, Map.of(0, 2L), "")).setMemberId(member).setGenerationIdOrMemberEpoch(2), 10);
        probe.ask("commit: another member", commit(group, topic("data", id, Map.of(0, 3L), "")).setMemberId("stranger").setGenerationIdOrMemberEpoch(1), 10);
        probe.ask("commit: nobody, living group", commit(group, topic("data", id, Map.of(0, 4L), "")), 10);
        probe.ask("commit: an instance, of a dynamic member", commit(group, topic("data", id, Map.of(0, 5L), "")).setMemberId(member)
            .setGroupInstanceId("i").setGenerationIdOrMemberEpoch(1), 10);
        fetch("by the member", 10, of(group, from("data", id, 0)).setMemberId(member).setMemberEpoch(1));
        fetch("by a stranger", 10, of(group, from("data", id, 0)).setMemberId("stranger").setMemberEpoch(1));
        probe.ask("delete offsets: living group", deletion(group, "data", 0), 0);
        probe.ask("commit: leave", new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(new LeaveGroupRequestData.MemberIdentity().setMemberId(member))), 5);
        probe.ask("commit: by the member that left", commit(group, topic("data", id, Map.of(0, 6L), "")).setMemberId(member).setGenerationIdOrMemberEpoch(1), 10);
        fetch("after all", 10, of(group));
    }

    private OffsetDeleteRequestData deletion(String group, String topic, int partition) {
        var topics = new OffsetDeleteRequestData.OffsetDeleteRequestTopicCollection();
        topics.add(new OffsetDeleteRequestData.OffsetDeleteRequestTopic().setName(probe.topic(topic)).setPartitions(List.of(
            new OffsetDeleteRequestData.OffsetDeleteRequestPartition().setPartitionIndex(partition))));
        return new OffsetDeleteRequestData().setGroupId(group).setTopics(topics);
    }

    private void deletes() throws Exception {
        String group = probe.topic("offsets");
        probe.ask("delete offsets: one", deletion(group, "data", 1), 0);
        probe.ask("delete offsets: again", deletion(group, "data", 1), 0);
        probe.ask("delete offsets: unknown partition", deletion(group, "data", 9), 0);
        probe.ask("delete offsets: unknown topic", deletion(group, "absent", 0), 0);
        probe.ask("delete offsets: unknown group", deletion(probe.topic("nobody"), "data", 0), 0);
        probe.ask("delete offsets: no group", deletion("", "data", 0), 0);
        fetch("after deleting one", 10, of(group));
        probe.ask("delete offsets: the group", new DeleteGroupsRequestData().setGroupsNames(List.of(group)), 2);
        fetch("of a deleted group", 10, of(group));
    }
}
