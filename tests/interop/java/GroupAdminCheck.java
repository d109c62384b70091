import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What Kafka's admin client 4.2 asks about groups, of both protocols: BOOTSTRAP TOPIC. */
public final class GroupAdminCheck {
    private static final int PARTITIONS = 4;
    private final Clients clients;
    private final Admin admin;
    private final String topic;

    private GroupAdminCheck(String[] args) {
        clients = new Clients(args[0]);
        admin = clients.admin();
        topic = args[1];
    }

    public static void main(String[] args) {
        Check.main(() -> new GroupAdminCheck(args).run());
    }

    private void run() throws Exception {
        for (String name : List.of(topic, topic + "-other", topic + "-gone")) clients.create(name, PARTITIONS, Map.of());
        clients.fill(topic, PARTITIONS, "v", 400);
        for (String protocol : List.of("classic", "consumer")) {
            living(protocol);
            Check.step("living " + protocol);
            empty(protocol);
            Check.step("empty " + protocol);
        }
        offsets();
        deletedTopic();
        unknown();
        admin.close();
    }

    private GroupListing listing(String group, ListGroupsOptions options) {
        try {
            return admin.listGroups(options).all().get().stream().filter(listed -> listed.groupId().equals(group)).findFirst().orElse(null);
        } catch (Exception failure) {
            throw new AssertionError("listing groups", failure);
        }
    }

    private ConsumerGroupDescription describe(String group) {
        return quietly(() -> admin.describeConsumerGroups(List.of(group)).all().get().get(group));
    }

    private Map<TopicPartition, OffsetAndMetadata> committed(String group) {
        return quietly(() -> new HashMap<>(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()));
    }

    private static <T> T quietly(Callable<T> call) {
        try {
            return call.call();
        } catch (Exception failure) {
            throw new AssertionError(failure);
        }
    }

    /** A group with members: described, listed under each filter, not to be deleted or changed. */
    private void living(String protocol) throws Exception {
        String group = topic + "-" + protocol;
        GroupType type = protocol.equals("classic") ? GroupType.CLASSIC : GroupType.CONSUMER;
        try (Member one = Member.of(clients, group, List.of(topic), "group.protocol", protocol, "client.id", "first");
             Member two = Member.of(clients, group, List.of(topic), "group.protocol", protocol, "client.id", "second")) {
            Member.await(List.of(one, two), PARTITIONS, List.of(2, 2), "shares of two members");
            Check.eventually(() -> describe(group).groupState(), GroupState.STABLE, "state");
            ConsumerGroupDescription told = describe(group);
            Check.equal(told.type(), type, "type");
            Check.equal(told.partitionAssignor(), protocol.equals("classic") ? "range" : "uniform", "assignor");
            Check.equal(told.isSimpleConsumerGroup(), false, "a simple group");
            Set<TopicPartition> all = new HashSet<>();
            Set<String> names = new HashSet<>();
            for (MemberDescription member : told.members()) {
                names.add(member.clientId());
                Check.equal(member.host(), "/127.0.0.1", "host of a member");
                all.addAll(member.assignment().topicPartitions());
            }
            Check.equal(names, Set.of("first", "second"), "client ids");
            Check.equal(all, new HashSet<>(Clients.partitions(topic, PARTITIONS)), "partitions of the members");
            Check.equal(listing(group, new ListGroupsOptions()).groupState().get(), GroupState.STABLE, "state listed");
            Check.equal(listing(group, new ListGroupsOptions()).protocol(), "consumer", "protocol listed");
            Check.that(listing(group, new ListGroupsOptions().withTypes(Set.of(type))) != null, "listed by type");
            Check.that(listing(group, new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE))) != null, "listed by state");
            Check.equal(listing(group, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))), null, "listed by another state");
            Check.equal(listing(group, new ListGroupsOptions().withTypes(Set.of(GroupType.SHARE))), null, "listed by another type");
            TopicPartition zero = new TopicPartition(topic, 0);
            Check.fails(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get(), "delete a living group");
            Check.fails(UnknownMemberIdException.class, () -> admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(1))).all().get(),
                "alter offsets of a living group");
            one.call(consumer -> {
                consumer.commitSync(Map.of(one.owned().iterator().next(), new OffsetAndMetadata(3)));
                return 0;
            });
            Check.fails(GroupSubscribedToTopicException.class, () -> admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all().get(),
                "delete offsets of a subscribed topic");
        }
    }

    /** The same group without members: offsets altered and deleted, then the group itself. */
    private void empty(String protocol) throws Exception {
        String group = topic + "-" + protocol;
        Check.eventually(() -> describe(group).groupState(), GroupState.EMPTY, "state");
        Check.equal(committed(group).size(), 1, "commits left");
        Map<TopicPartition, OffsetAndMetadata> wanted = new HashMap<>();
        for (TopicPartition partition : Clients.partitions(topic, PARTITIONS)) wanted.put(partition, new OffsetAndMetadata(10L + partition.partition(), "by admin"));
        wanted.put(new TopicPartition(topic + "-other", 1), new OffsetAndMetadata(5));
        admin.alterConsumerGroupOffsets(group, wanted).all().get();
        Check.equal(committed(group), wanted, "offsets as altered");
        try (Member again = Member.of(clients, group, List.of(topic), "group.protocol", protocol)) {
            Check.eventually(again.read::size, 400 - 46, "records from the altered offsets on");
        }
        Check.eventually(() -> describe(group).groupState(), GroupState.EMPTY, "state");
        TopicPartition other = new TopicPartition(topic + "-other", 1);
        admin.deleteConsumerGroupOffsets(group, Set.of(other, new TopicPartition(topic, 2))).all().get();
        wanted.remove(other);
        wanted.remove(new TopicPartition(topic, 2));
        Check.equal(committed(group), wanted, "offsets after deleting two");
        admin.deleteConsumerGroups(List.of(group)).all().get();
        Check.equal(listing(group, new ListGroupsOptions()), null, "listed after its end");
        Check.equal(committed(group), Map.of(), "offsets after its end");
    }

    /** A group that only commits; several groups asked at once, whole or by partition. */
    private void offsets() throws Exception {
        Map<String, ListConsumerGroupOffsetsSpec> asked = new HashMap<>();
        TopicPartition one = new TopicPartition(topic, 1);
        for (int i = 0; i < 3; i++) {
            String group = topic + "-simple-" + i;
            try (KafkaConsumer<byte[], byte[]> consumer = clients.groupConsumer(group)) {
                consumer.assign(Clients.partitions(topic, 2));
                consumer.commitSync(Map.of(one, new OffsetAndMetadata(20L + i), new TopicPartition(topic, 0), new OffsetAndMetadata(i)));
            }
            asked.put(group, new ListConsumerGroupOffsetsSpec().topicPartitions(i == 2 ? null : List.of(one, new TopicPartition(topic, 3))));
        }
        Map<String, Map<TopicPartition, OffsetAndMetadata>> told = admin.listConsumerGroupOffsets(asked).all().get();
        for (int i = 0; i < 3; i++) {
            Map<TopicPartition, OffsetAndMetadata> mine = told.get(topic + "-simple-" + i);
            Check.equal(mine.get(one).offset(), 20L + i, "offset of group " + i);
            Check.equal(mine.get(new TopicPartition(topic, 3)), null, "an offset never committed");
            Check.equal(mine.containsKey(new TopicPartition(topic, 0)), i == 2, "an offset not asked for");
        }
        GroupListing simple = listing(topic + "-simple-0", new ListGroupsOptions());
        Check.equal(simple.isSimpleConsumerGroup() + " " + simple.groupState().get(), "true " + GroupState.EMPTY, "a group that only commits");
        admin.deleteConsumerGroups(asked.keySet()).all().get();
        Check.step("offsets of several groups");
    }

    /** Offsets in a topic go when the topic does, and do not come back with a topic of the same name. */
    private void deletedTopic() throws Exception {
        String group = topic + "-left";
        TopicPartition gone = new TopicPartition(topic + "-gone", 0);
        admin.alterConsumerGroupOffsets(group, Map.of(gone, new OffsetAndMetadata(9), new TopicPartition(topic, 0), new OffsetAndMetadata(8))).all().get();
        admin.deleteTopics(List.of(topic + "-gone")).all().get();
        Check.eventually(() -> Member.names(committed(group).keySet()), Set.of(topic + "-0"), "offsets after the topic's end");
        Check.eventually(() -> quietly(() -> !admin.listTopics().names().get().contains(topic + "-gone")), true, "the topic is gone");
        clients.create(topic + "-gone", PARTITIONS, Map.of());
        Check.equal(Member.names(committed(group).keySet()), Set.of(topic + "-0"), "offsets after the topic came again");
        Check.step("deleted topic");
    }

    private void unknown() throws Exception {
        String group = topic + "-nobody";
        Check.fails(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(group)).all().get(), "describe an unknown group");
        Check.fails(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get(), "delete an unknown group");
        Check.fails(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroupOffsets(group, Set.of(new TopicPartition(topic, 0))).all().get(),
            "delete offsets of an unknown group");
        Check.equal(committed(group), Map.of(), "offsets of an unknown group");
        TopicPartition absent = new TopicPartition(topic + "-absent", 0);
        Check.fails(UnknownTopicOrPartitionException.class, () -> admin.alterConsumerGroupOffsets(group, Map.of(absent, new OffsetAndMetadata(1))).all().get(),
            "commit for an unknown topic");
        Check.step("unknown group");
    }
}
