import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupMaxSizeReachedException;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.errors.UnsupportedAssignorException;

/** Groups of the new protocol (KIP-848) with Kafka's consumer 4.2: BOOTSTRAP TOPIC. The server's sessions must be short, its largest group 4. */
public final class GroupConsumerCheck {
    private static final int PARTITIONS = 6;
    private static final String COOPERATIVE = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    private final Clients clients;
    private final String topic;

    private GroupConsumerCheck(String[] args) {
        clients = new Clients(args[0]);
        topic = args[1];
    }

    public static void main(String[] args) {
        Check.main(() -> new GroupConsumerCheck(args).run());
    }

    private void run() throws Exception {
        clients.create(topic, PARTITIONS, Map.of());
        clients.create(topic + "-two", PARTITIONS, Map.of());
        clients.fill(topic, PARTITIONS, "v", 600);
        uniform();
        range();
        expression();
        stays();
        vanished();
        stuck();
        grows();
        upAndDown();
        refusals();
    }

    private static String[] modern(String... settings) {
        return Stream.concat(Stream.of("group.protocol", "consumer"), Stream.of(settings)).toArray(String[]::new);
    }

    private Member member(String group, String... settings) {
        return Member.of(clients, group, List.of(topic), modern(settings));
    }

    /** Members come and go; only what moves is revoked; offsets are kept; the group is described as it is. */
    private void uniform() throws Exception {
        String group = topic + "-uniform";
        List<Member> members = new ArrayList<>(List.of(member(group)));
        Member.await(members, PARTITIONS, List.of(6), "share of one");
        members.add(member(group));
        Member.await(members, PARTITIONS, List.of(3, 3), "shares of two");
        Check.equal(List.copyOf(members.get(0).events), List.of("+6", "-3"), "what the first member was told");
        members.add(member(group));
        Member.await(members, PARTITIONS, List.of(2, 2, 2), "shares of three");
        described(group, members);
        Check.eventually(() -> members.stream().allMatch(member -> member.allAt(100)), true, "all is read");
        for (Member member : members) {
            member.call(consumer -> {
                consumer.commitSync();
                return 0;
            });
        }
        members.remove(0).close();
        Member.await(members, PARTITIONS, List.of(3, 3), "shares after one left");
        Member.closeAll(members);
        try (Member again = member(group)) {
            Member.await(List.of(again), PARTITIONS, List.of(6), "share of a later one");
            Map<TopicPartition, OffsetAndMetadata> told = again.call(consumer -> consumer.committed(Set.copyOf(Clients.partitions(topic, PARTITIONS))));
            for (TopicPartition partition : Clients.partitions(topic, PARTITIONS)) {
                Check.equal(told.get(partition).offset(), 100L, "commit of " + partition);
                Check.equal(again.call(consumer -> consumer.position(partition)), 100L, "position in " + partition);
            }
        }
        Check.step("uniform");
    }

    private void described(String group, List<Member> members) throws Exception {
        try (Admin admin = clients.admin()) {
            Check.eventually(() -> state(admin, group), GroupState.STABLE, "state of the group");
            ConsumerGroupDescription told = describe(admin, group);
            Check.equal(told.type(), GroupType.CONSUMER, "type of the group");
            Check.equal(told.partitionAssignor(), "uniform", "assignor of the group");
            Check.equal(told.groupEpoch(), told.targetAssignmentEpoch(), "epochs of group and target");
            Check.equal(told.members().size(), members.size(), "members described");
            Set<TopicPartition> all = new HashSet<>();
            told.members().forEach(member -> {
                Check.equal(member.targetAssignment(), Optional.of(member.assignment()), "target and assignment of a member");
                Check.equal(member.memberEpoch(), told.groupEpoch(), "epoch of a member");
                Check.equal(member.upgraded(), Optional.of(true), "a member of the new protocol");
                all.addAll(member.assignment().topicPartitions());
            });
            Check.equal(all.size(), PARTITIONS, "partitions described");
        }
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) {
        try {
            return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        } catch (Exception failure) {
            throw new AssertionError("describing " + group, failure);
        }
    }

    private static GroupState state(Admin admin, String group) {
        return describe(admin, group).groupState();
    }

    private static Optional<GroupType> type(Admin admin, String group) {
        try {
            return admin.listGroups(new ListGroupsOptions()).all().get().stream().filter(listed -> listed.groupId().equals(group))
                .findFirst().flatMap(listed -> listed.type());
        } catch (Exception failure) {
            throw new AssertionError("listing groups", failure);
        }
    }

    /** The range assignor gives equal numbers of both topics to the same member. */
    private void range() throws Exception {
        String group = topic + "-range";
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            members.add(Member.of(clients, group, List.of(topic, topic + "-two"), modern("group.remote.assignor", "range")));
        }
        Member.await(members, 2 * PARTITIONS, List.of(6, 6), "shares of two topics");
        for (Member member : members) {
            Set<Integer> one = new HashSet<>();
            Set<Integer> two = new HashSet<>();
            member.owned().forEach(part -> (part.topic().equals(topic) ? one : two).add(part.partition()));
            Check.equal(one, two, "partition numbers of both topics");
        }
        Member.closeAll(members);
        Check.step("range");
    }

    /** A regular expression is resolved by the server, also for a topic made later; names and expression may be combined. */
    private void expression() throws Exception {
        String prefix = topic + "-regex";
        clients.create(prefix + "-1", 2, Map.of());
        SubscriptionPattern names = new SubscriptionPattern(prefix + "-[0-9]+");
        try (Member member = new Member(clients.groupConsumer(prefix, modern()), (consumer, listener) -> consumer.subscribe(names, listener))) {
            Check.eventually(() -> member.owned().size(), 2, "partitions of one topic");
            clients.create(prefix + "-22", 3, Map.of());
            clients.create(prefix + "-not", 3, Map.of());
            Check.eventually(() -> member.owned().size(), 5, "partitions of two topics");
            Check.equal(member.owned().stream().filter(part -> part.topic().endsWith("not")).count(), 0L, "partitions of a topic that does not match");
        }
        Member bad = new Member(clients.groupConsumer(prefix + "-bad", modern()), (consumer, listener) ->
            consumer.subscribe(new SubscriptionPattern("(not closed"), listener));
        Check.eventually(() -> bad.error() != null, true, "an error of a bad expression");
        Check.equal(bad.error().getClass(), InvalidRegularExpression.class, "error of a bad expression");
        Check.step("regex");
    }

    /** A static member that returns gets back what it had; while it lives, its name is taken. */
    private void stays() throws Exception {
        String group = topic + "-static";
        List<Member> members = new ArrayList<>();
        for (String name : List.of("a", "b")) members.add(member(group, "group.instance.id", name));
        Member.await(members, PARTITIONS, List.of(3, 3), "shares of two static members");
        Set<TopicPartition> mine = members.get(0).owned();
        // The consumer owns its partitions a moment before its listener hears of them.
        Check.eventually(() -> members.get(1).told(), 3, "partitions that the other was told of");
        List<String> told = List.copyOf(members.get(1).events);
        members.remove(0).close();
        members.add(0, member(group, "group.instance.id", "a"));
        Check.eventually(() -> members.get(0).owned(), mine, "partitions of the member that came back");
        Check.equal(List.copyOf(members.get(1).events), told, "what the other was told meanwhile");
        Member twin = member(group, "group.instance.id", "a");
        Check.eventually(() -> twin.error() != null, true, "an error of a second member of that name");
        Check.equal(twin.error().getClass(), UnreleasedInstanceIdException.class, "error of a second member of that name");
        Member.await(members, PARTITIONS, List.of(3, 3), "shares after the refusal");
        Member.closeAll(members);
        Check.step("static");
    }

    /** A member that ends without a word loses its partitions when its session does. */
    private void vanished() throws Exception {
        String group = topic + "-vanished";
        Member first = member(group);
        try (Member second = member(group)) {
            Member.await(List.of(first, second), PARTITIONS, List.of(3, 3), "shares of two");
            first.vanish();
            Member.await(List.of(second), PARTITIONS, List.of(6), "share after the session");
        }
        Check.step("session timeout");
    }

    /** A member that does not poll in time leaves; when it polls again it is back. */
    private void stuck() throws Exception {
        String group = topic + "-stuck";
        try (Member first = member(group, "max.poll.interval.ms", "1500"); Member second = member(group)) {
            Member.await(List.of(first, second), PARTITIONS, List.of(3, 3), "shares of two");
            boolean[] seen = new boolean[1];
            first.start(consumer -> {
                try {
                    Check.eventually(() -> second.owned().size(), PARTITIONS, "partitions of the other");
                    seen[0] = true;
                } catch (InterruptedException stopped) {
                    throw new IllegalStateException(stopped);
                }
            });
            Check.eventually(() -> second.owned().size(), PARTITIONS, "partitions of the other while one is stuck");
            Member.await(List.of(first, second), PARTITIONS, List.of(3, 3), "shares when it polls again");
            Check.that(seen[0], "the stuck member saw the other's partitions");
        }
        Check.step("max poll");
    }

    /** More partitions of a subscribed topic are given out by the server. */
    private void grows() throws Exception {
        String other = topic + "-grows";
        clients.create(other, 2, Map.of());
        List<Member> members = List.of(Member.of(clients, other, List.of(other), modern()), Member.of(clients, other, List.of(other), modern()));
        Member.await(members, 2, List.of(1, 1), "shares of two partitions");
        try (Admin admin = clients.admin()) {
            admin.createPartitions(Map.of(other, NewPartitions.increaseTo(6))).all().get();
        }
        Member.await(members, 6, List.of(3, 3), "shares of six");
        Member.closeAll(members);
        Check.step("more partitions");
    }

    /** A living group goes from the classic to the new protocol and back, member by member, and keeps its offsets. */
    private void upAndDown() throws Exception {
        String group = topic + "-migrated";
        String[] classic = {"partition.assignment.strategy", COOPERATIVE};
        try (Admin admin = clients.admin()) {
            List<Member> members = new ArrayList<>();
            for (int i = 0; i < 2; i++) members.add(Member.of(clients, group, List.of(topic), classic));
            Member.await(members, PARTITIONS, List.of(3, 3), "shares of classic members");
            Check.eventually(() -> members.stream().allMatch(member -> member.allAt(100)), true, "all is read");
            for (Member member : members) {
                member.call(consumer -> {
                    consumer.commitSync();
                    return 0;
                });
            }
            Check.equal(type(admin, group), Optional.of(GroupType.CLASSIC), "type with classic members");
            members.add(member(group));
            Member.await(members, PARTITIONS, List.of(2, 2, 2), "shares of two classic members and a new one");
            Check.equal(type(admin, group), Optional.of(GroupType.CONSUMER), "type with both kinds of members");
            Check.equal(describe(admin, group).members().stream().filter(told -> told.upgraded().equals(Optional.of(false))).count(), 2L, "classic members described");
            members.remove(0).close();
            members.remove(0).close();
            members.add(member(group));
            Member.await(members, PARTITIONS, List.of(3, 3), "shares of new members");
            members.add(Member.of(clients, group, List.of(topic), classic));
            Member.await(members, PARTITIONS, List.of(2, 2, 2), "shares with a classic member again");
            members.remove(0).close();
            members.remove(0).close();
            Member.await(members, PARTITIONS, List.of(6), "share of the classic member that is left");
            Check.equal(type(admin, group), Optional.of(GroupType.CLASSIC), "type in the end");
            Check.equal(members.get(0).read.size(), 0, "records read again in the end");
            Member.closeAll(members);
        }
        Check.step("migration");
    }

    private void refusals() throws Exception {
        Member odd = member(topic + "-odd", "group.remote.assignor", "fair");
        Check.eventually(() -> odd.error() != null, true, "an error of an unknown assignor");
        Check.equal(odd.error().getClass(), UnsupportedAssignorException.class, "error of an unknown assignor");
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 4; i++) members.add(member(topic + "-full"));
        Member.await(members, PARTITIONS, List.of(1, 1, 2, 2), "shares of four");
        Member fifth = member(topic + "-full");
        Check.eventually(() -> fifth.error() != null, true, "an error of a fifth member");
        Check.equal(fifth.error().getClass(), GroupMaxSizeReachedException.class, "error of a fifth member");
        Member.closeAll(members);
        Check.step("refusals");
    }
}
