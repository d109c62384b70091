import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ConsumerGroupDescribeRequestData;
import org.apache.kafka.common.message.ConsumerGroupHeartbeatRequestData;
import org.apache.kafka.common.message.ConsumerGroupHeartbeatResponseData;
import org.apache.kafka.common.message.DeleteGroupsRequestData;
import org.apache.kafka.common.message.DescribeGroupsRequestData;
import org.apache.kafka.common.message.HeartbeatRequestData;
import org.apache.kafka.common.message.LeaveGroupRequestData;
import org.apache.kafka.common.message.ListGroupsRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestData;

/** Groups of the new protocol, one request at a time. Member ids are the client's own. */
final class ProbeConsumerGroups {
    private final Probe probe;
    private Uuid id;

    ProbeConsumerGroups(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        id = probe.id("data");
        refusals();
        life();
        two();
        statics();
        oldVersion();
        expressions();
    }

    private static ConsumerGroupHeartbeatRequestData beat(String group, String member, int epoch) {
        return new ConsumerGroupHeartbeatRequestData().setGroupId(group).setMemberId(member).setMemberEpoch(epoch);
    }

    private ConsumerGroupHeartbeatRequestData joining(String group, String member) {
        return beat(group, member, 0).setRebalanceTimeoutMs(60_000).setSubscribedTopicNames(List.of(probe.topic("data"))).setTopicPartitions(List.of());
    }

    private ConsumerGroupHeartbeatResponseData ask(String name, ConsumerGroupHeartbeatRequestData request) throws Exception {
        return (ConsumerGroupHeartbeatResponseData) probe.ask("consumer group: " + name, request, 1);
    }

    private ConsumerGroupHeartbeatRequestData owning(ConsumerGroupHeartbeatRequestData request, Integer... partitions) {
        return request.setTopicPartitions(List.of(new ConsumerGroupHeartbeatRequestData.TopicPartitions().setTopicId(id).setPartitions(List.of(partitions))));
    }

    private void describe(String name, String... groups) throws Exception {
        probe.sweep("consumer group: describe " + name, new ConsumerGroupDescribeRequestData().setGroupIds(List.of(groups)));
    }

    private void refusals() throws Exception {
        String group = probe.topic("new-refused");
        probe.settle(beat(group, "stranger", 5), 1);
        ask("no group", joining("", "m"));
        ask("no member id", joining(group, ""));
        ask("member id of 40 characters", joining(group, "m".repeat(40)));
        ask("no rebalance timeout", joining(group, "m").setRebalanceTimeoutMs(-1));
        ask("no subscription", joining(group, "m").setSubscribedTopicNames(null));
        ask("no owned partitions", joining(group, "m").setTopicPartitions(null));
        ask("owned partitions at the first", owning(joining(group, "m"), 0));
        ask("unknown assignor", joining(group, "m").setServerAssignor("fair"));
        ask("empty assignor", joining(group, "m").setServerAssignor(""));
        ask("empty instance", joining(group, "m").setInstanceId(""));
        ask("empty rack", joining(group, "m").setRackId(""));
        ask("epoch -3", beat(group, "m", -3));
        ask("epoch -2 without an instance", beat(group, "m", -2));
        ask("unknown group", beat(group, "m", 5));
        ask("leaving an unknown group", beat(group, "m", -1));
    }

    /** One member from its first to its last request. */
    private void life() throws Exception {
        String group = probe.topic("new-life");
        int epoch = ask("join", joining(group, "m")).memberEpoch();
        ask("joined again, epoch 0", joining(group, "m"));
        ask("beat", beat(group, "m", epoch));
        ask("beat owning nothing", owning(beat(group, "m", epoch)));
        ask("beat owning all", owning(beat(group, "m", epoch), 0, 1, 2));
        describe("one member", group);
        ask("an epoch before", beat(group, "m", epoch - 1));
        ask("an epoch after", beat(group, "m", epoch + 1));
        ask("a stranger", beat(group, "stranger", epoch));
        ask("a stranger leaves", beat(group, "stranger", -1));
        int next = ask("another assignor", beat(group, "m", epoch).setServerAssignor("range")).memberEpoch();
        int more = ask("another subscription", beat(group, "m", next).setSubscribedTopicNames(List.of(probe.topic("data"), probe.topic("not-there")))).memberEpoch();
        ask("no subscription any more", beat(group, "m", more).setSubscribedTopicNames(List.of()));
        int back = ask("the subscription again", joining(group, "m")).memberEpoch();
        classicRequests(group, back);
        offsets(group, back);
        probe.ask("consumer group: delete a living one", new DeleteGroupsRequestData().setGroupsNames(List.of(group)), 2);
        ask("leave", beat(group, "m", -1));
        describe("an empty one", group);
        probe.ask("consumer group: list an empty one", new ListGroupsRequestData().setTypesFilter(List.of("consumer")), 5);
        probe.ask("consumer group: delete an empty one", new DeleteGroupsRequestData().setGroupsNames(List.of(group)), 2);
        describe("unknown, classic and no name", probe.topic("nobody"), probe.topic("static"), "");
    }

    private void classicRequests(String group, int epoch) throws Exception {
        probe.ask("consumer group: classic join, member id required", ProbeGroups.join(group, ""), ProbeGroups.JOIN);
        probe.ask("consumer group: classic join by a stranger", ProbeGroups.join(group, "stranger"), ProbeGroups.JOIN);
        probe.ask("consumer group: classic beat", new HeartbeatRequestData().setGroupId(group).setMemberId("m").setGenerationId(epoch), 4);
        probe.ask("consumer group: classic leave", new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(
            new LeaveGroupRequestData.MemberIdentity().setMemberId("stranger"))), 5);
        probe.ask("consumer group: classic describe", new DescribeGroupsRequestData().setGroups(List.of(group)), 6);
        probe.ask("consumer group: list", new ListGroupsRequestData().setTypesFilter(List.of("consumer")), 5);
    }

    private OffsetCommitRequestData commit(String group, String member, int epoch) {
        return new OffsetCommitRequestData().setGroupId(group).setMemberId(member).setGenerationIdOrMemberEpoch(epoch).setTopics(List.of(
            new OffsetCommitRequestData.OffsetCommitRequestTopic().setName(probe.topic("data")).setTopicId(id).setPartitions(List.of(
                new OffsetCommitRequestData.OffsetCommitRequestPartition().setPartitionIndex(0).setCommittedOffset(4).setCommittedMetadata("")))));
    }

    private OffsetFetchRequestData fetch(String group, String member, int epoch) {
        return new OffsetFetchRequestData().setGroups(List.of(new OffsetFetchRequestData.OffsetFetchRequestGroup().setGroupId(group).setTopics(null)
            .setMemberId(member).setMemberEpoch(epoch)));
    }

    private void offsets(String group, int epoch) throws Exception {
        probe.ask("consumer group: commit", commit(group, "m", epoch), 10);
        probe.ask("consumer group: commit v9", commit(group, "m", epoch), 9);
        probe.ask("consumer group: commit v8", commit(group, "m", epoch), 8);
        probe.ask("consumer group: commit of an epoch before", commit(group, "m", epoch - 1), 10);
        probe.ask("consumer group: commit of an epoch after", commit(group, "m", epoch + 1), 10);
        probe.ask("consumer group: commit of a stranger", commit(group, "stranger", epoch), 10);
        probe.ask("consumer group: commit of nobody", commit(group, "", -1), 10);
        probe.ask("consumer group: offsets", fetch(group, "m", epoch), 10);
        probe.ask("consumer group: offsets, an epoch before", fetch(group, "m", epoch - 1), 10);
        probe.ask("consumer group: offsets, an epoch after", fetch(group, "m", epoch + 1), 10);
        probe.ask("consumer group: offsets, a stranger", fetch(group, "stranger", epoch), 10);
        probe.ask("consumer group: offsets, nobody", fetch(group, null, -1), 10);
    }

    /** A second member takes a part: what the first must give up before the second gets it. */
    private void two() throws Exception {
        String group = probe.topic("new-two");
        int first = ask("two: the first joins", joining(group, "a")).memberEpoch();
        ask("two: the first owns all", owning(beat(group, "a", first), 0, 1, 2));
        int second = ask("two: the second joins", joining(group, "b")).memberEpoch();
        ask("two: the second waits", beat(group, "b", second));
        var told = ask("two: the first is told", beat(group, "a", first));
        var kept = told.assignment() == null ? List.<Integer>of() : told.assignment().topicPartitions().get(0).partitions();
        describe("while one gives up", group);
        int given = ask("two: the first has given up", owning(beat(group, "a", first), kept.toArray(Integer[]::new))).memberEpoch();
        ask("two: the second gets its part", beat(group, "b", second));
        describe("of two members", group);
        ask("two: the first leaves", beat(group, "a", -1));
        ask("two: the second gets all", beat(group, "b", given));
        ask("two: the second leaves", beat(group, "b", -1));
    }

    private void statics() throws Exception {
        String group = probe.topic("new-static");
        int epoch = ask("static: join", joining(group, "a").setInstanceId("i")).memberEpoch();
        ask("static: a twin", joining(group, "b").setInstanceId("i"));
        ask("static: leaves for a while", beat(group, "a", -2).setInstanceId("i"));
        describe("static, away", group);
        ask("static: beat while away", beat(group, "a", epoch).setInstanceId("i"));
        ask("static: returns", joining(group, "b").setInstanceId("i"));
        ask("static: the first life", beat(group, "a", epoch).setInstanceId("i"));
        ask("static: another instance", beat(group, "b", epoch).setInstanceId("j"));
        ask("static: leaves for good", beat(group, "b", -1).setInstanceId("i"));
    }

    private void oldVersion() throws Exception {
        String group = probe.topic("new-old");
        var answer = (ConsumerGroupHeartbeatResponseData) probe.ask("consumer group: join v0", joining(group, ""), 0);
        probe.ask("consumer group: beat v0", beat(group, answer.memberId(), answer.memberEpoch()), 0);
        probe.ask("consumer group: leave v0", beat(group, answer.memberId(), -1), 0);
    }

    private void expressions() throws Exception {
        String group = probe.topic("new-regex");
        ask("regex: bad", joining(group, "m").setSubscribedTopicNames(null).setSubscribedTopicRegex("(open"));
        ask("regex: empty, no names", joining(group, "m").setSubscribedTopicNames(null).setSubscribedTopicRegex(""));
        ask("regex: join", joining(group, "m").setSubscribedTopicNames(null).setSubscribedTopicRegex(java.util.regex.Matcher.quoteReplacement(probe.topic("dat")) + "[a-b]"));
        ask("regex: leave", beat(group, "m", -1));
    }
}
