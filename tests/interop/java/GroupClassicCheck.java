import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupMaxSizeReachedException;
import org.apache.kafka.common.errors.InvalidSessionTimeoutException;
import org.apache.kafka.common.errors.OffsetMetadataTooLarge;

/** Classic groups with Kafka's consumer 4.2: BOOTSTRAP TOPIC. The server's least session timeout must be 1 s, its largest group 4. */
public final class GroupClassicCheck {
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";
    private static final int PARTITIONS = 6;
    private final Clients clients;
    private final String topic;

    private GroupClassicCheck(String[] args) {
        clients = new Clients(args[0]);
        topic = args[1];
    }

    public static void main(String[] args) {
        Check.main(() -> new GroupClassicCheck(args).run());
    }

    private void run() throws Exception {
        clients.create(topic, PARTITIONS, Map.of());
        clients.fill(topic, PARTITIONS, "v", 600);
        resume();
        eager();
        cooperative();
        assignors();
        stays();
        fenced();
        vanished();
        stuck();
        pattern();
        grows();
        full();
        refusals();
    }

    private Member member(String group, String... settings) {
        return Member.of(clients, group, List.of(topic), settings);
    }

    private static void awaitRead(Member member, int count) throws InterruptedException {
        Check.eventually(member.read::size, count, "records read by a member");
    }

    /** What was committed is where the next member goes on; notes and leader epochs of commits come back. */
    private void resume() throws Exception {
        String group = topic + "-resume";
        try (Member first = member(group)) {
            awaitRead(first, 600);
            first.call(consumer -> {
                consumer.commitSync();
                return 0;
            });
        }
        clients.fill(topic, PARTITIONS, "more", 60);
        TopicPartition zero = new TopicPartition(topic, 0);
        try (Member second = member(group)) {
            awaitRead(second, 60);
            second.read.forEach(record -> Check.that(Clients.text(record.value()).startsWith("more-"), "nothing is read twice"));
            OffsetAndMetadata noted = new OffsetAndMetadata(105, Optional.of(0), "a note, ünïcode");
            Map<TopicPartition, OffsetAndMetadata> told = second.call(consumer -> {
                consumer.commitSync(Map.of(zero, noted));
                return consumer.committed(Set.of(zero, new TopicPartition(topic, 1)));
            });
            Check.equal(told.get(zero), noted, "a commit with a note");
            Check.equal(told.get(new TopicPartition(topic, 1)).offset(), 100L, "the other partition's commit");
            Check.fails(OffsetMetadataTooLarge.class, () -> second.call(consumer -> {
                consumer.commitSync(Map.of(zero, new OffsetAndMetadata(106, "x".repeat(5000))));
                return 0;
            }), "a note over the limit");
            Check.equal(second.call(consumer -> consumer.committed(Set.of(zero))).get(zero), noted, "the commit after a refusal");
        }
        Check.step("resume");
    }

    /** Three members come and one goes; each time all is revoked and shared anew. */
    private void eager() throws Exception {
        String group = topic + "-eager";
        List<Member> members = new ArrayList<>();
        for (List<Integer> sizes : List.of(List.of(6), List.of(3, 3), List.of(2, 2, 2))) {
            members.add(member(group));
            Member.await(members, PARTITIONS, sizes, "shares of " + members.size() + " members");
        }
        Check.equal(List.copyOf(members.get(0).events), List.of("+6", "-6", "+3", "-3", "+2"), "what the first member was told");
        members.remove(0).close();
        Member.await(members, PARTITIONS, List.of(3, 3), "shares after one left");
        int read = members.stream().mapToInt(member -> member.read.size()).sum();
        Check.that(read > 0, "the members read");
        Member.closeAll(members);
        Check.step("eager");
    }

    /** With the cooperative assignor only what moves is revoked, and the rest goes on. */
    private void cooperative() throws Exception {
        String group = topic + "-cooperative";
        String[] settings = {"partition.assignment.strategy", ASSIGNORS + "CooperativeStickyAssignor"};
        List<Member> members = new ArrayList<>(List.of(member(group, settings)));
        Member.await(members, PARTITIONS, List.of(6), "share of one");
        Set<TopicPartition> before = members.get(0).owned();
        members.add(member(group, settings));
        Member.await(members, PARTITIONS, List.of(3, 3), "shares of two");
        Check.equal(List.copyOf(members.get(0).events), List.of("+6", "-3"), "what the first member was told");
        Check.that(before.containsAll(members.get(0).owned()), "it kept what it had");
        members.add(member(group, settings));
        Member.await(members, PARTITIONS, List.of(2, 2, 2), "shares of three");
        members.remove(1).close();
        Member.await(members, PARTITIONS, List.of(3, 3), "shares after one left");
        Member.closeAll(members);
        Check.step("cooperative");
    }

    /** The other assignors; and from eager to cooperative one member after the other, as Kafka's upgrade guide has it. */
    private void assignors() throws Exception {
        for (String assignor : List.of("RoundRobinAssignor", "StickyAssignor")) {
            String[] settings = {"partition.assignment.strategy", ASSIGNORS + assignor};
            List<Member> members = List.of(member(topic + "-" + assignor, settings), member(topic + "-" + assignor, settings));
            Member.await(members, PARTITIONS, List.of(3, 3), "shares with " + assignor);
            Member.closeAll(members);
        }
        String both = ASSIGNORS + "CooperativeStickyAssignor," + ASSIGNORS + "RangeAssignor";
        String group = topic + "-upgrade";
        List<Member> members = new ArrayList<>(List.of(member(group), member(group, "partition.assignment.strategy", both)));
        Member.await(members, PARTITIONS, List.of(3, 3), "shares of old and new");
        members.remove(0).close();
        members.add(member(group, "partition.assignment.strategy", both));
        Member.await(members, PARTITIONS, List.of(3, 3), "shares after the upgrade");
        Member.closeAll(members);
        Check.step("assignors");
    }

    /** A static member that comes back within its session has the same partitions, and nobody else notices. */
    private void stays() throws Exception {
        String group = topic + "-static";
        List<Member> members = new ArrayList<>();
        for (String name : List.of("a", "b")) members.add(member(group, "group.instance.id", name));
        Member.await(members, PARTITIONS, List.of(3, 3), "shares of two static members");
        Set<TopicPartition> mine = members.get(0).owned();
        List<String> told = List.copyOf(members.get(1).events);
        for (int round = 0; round < 2; round++) {
            members.remove(0).close();
            members.add(0, member(group, "group.instance.id", "a"));
            Check.eventually(() -> members.get(0).owned(), mine, "partitions of the member that came back");
        }
        Check.equal(List.copyOf(members.get(1).events), told, "what the other was told meanwhile");
        try (Admin admin = clients.admin()) {
            members.remove(0).close();
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("a")))).all().get();
        }
        Member.await(members, PARTITIONS, List.of(6), "share after the other was removed");
        Member.closeAll(members);
        Check.step("static");
    }

    /** A second member with the same instance id takes its place; the first is fenced. */
    private void fenced() throws Exception {
        String group = topic + "-fenced";
        Member first = member(group, "group.instance.id", "same");
        Check.eventually(() -> first.owned().size(), PARTITIONS, "partitions of the first");
        try (Member second = member(group, "group.instance.id", "same")) {
            Check.eventually(() -> second.owned().size(), PARTITIONS, "partitions of the second");
            Check.eventually(() -> first.error() != null, true, "an error of the first");
            Check.equal(first.error().getClass(), FencedInstanceIdException.class, "error of the first");
        }
        Check.step("fenced");
    }

    /** Members that end without a word lose their partitions when their session does. */
    private void vanished() throws Exception {
        String group = topic + "-vanished";
        Member first = member(group, "session.timeout.ms", "1500");
        Check.eventually(() -> first.owned().size(), PARTITIONS, "partitions of the first");
        try (Member second = member(group, "session.timeout.ms", "1500")) {
            Member.await(List.of(first, second), PARTITIONS, List.of(3, 3), "shares of two");
            first.vanish();
            Member.await(List.of(second), PARTITIONS, List.of(6), "share after the session");
        }
        Check.step("session timeout");
    }

    /** A member that does not poll in time leaves; its commit then fails; when it polls again it is back. */
    private void stuck() throws Exception {
        String group = topic + "-stuck";
        try (Member first = member(group, "max.poll.interval.ms", "1500"); Member second = member(group)) {
            Member.await(List.of(first, second), PARTITIONS, List.of(3, 3), "shares of two");
            Throwable[] failure = new Throwable[1];
            first.start(consumer -> {
                try {
                    Check.eventually(() -> second.owned().size(), PARTITIONS, "partitions of the other while this one is stuck");
                    consumer.commitSync();
                } catch (Throwable error) {
                    failure[0] = error;
                }
            });
            Check.eventually(() -> second.owned().size(), PARTITIONS, "partitions of the other");
            Member.await(List.of(first, second), PARTITIONS, List.of(3, 3), "shares when it polls again");
            Check.that(failure[0] instanceof CommitFailedException, "commit of a member that was put out: " + failure[0]);
        }
        Check.step("max poll");
    }

    /** A pattern takes in topics made later. */
    private void pattern() throws Exception {
        String prefix = topic + "-pattern";
        clients.create(prefix + "-1", 2, Map.of());
        Pattern names = Pattern.compile(Pattern.quote(prefix) + "-\\d");
        try (Member member = new Member(clients.groupConsumer(prefix), (consumer, listener) -> consumer.subscribe(names, listener))) {
            Check.eventually(() -> member.owned().size(), 2, "partitions of one topic");
            clients.create(prefix + "-2", 3, Map.of());
            Check.eventually(() -> member.owned().size(), 5, "partitions of two topics");
        }
        Check.step("pattern");
    }

    /** Partitions added later are given out too; one group may subscribe to different topics. */
    private void grows() throws Exception {
        String other = topic + "-grows";
        clients.create(other, 2, Map.of());
        List<Member> members = List.of(Member.of(clients, other, List.of(topic)), Member.of(clients, other, List.of(topic, other)));
        Member.await(members, PARTITIONS + 2, List.of(3, 5), "shares of two topics");
        try (Admin admin = clients.admin()) {
            admin.createPartitions(Map.of(other, NewPartitions.increaseTo(4))).all().get();
        }
        Member.await(members, PARTITIONS + 4, List.of(3, 7), "shares after more partitions");
        Member.closeAll(members);
        Check.step("more partitions");
    }

    /** A group takes no more members than the server allows, here four; those that it has go on. */
    private void full() throws Exception {
        String group = topic + "-full";
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 4; i++) members.add(member(group));
        Member.await(members, PARTITIONS, List.of(1, 1, 2, 2), "shares of four");
        Member fifth = member(group);
        Check.eventually(() -> fifth.error() != null, true, "an error of the fifth");
        Check.equal(fifth.error().getClass(), GroupMaxSizeReachedException.class, "error of the fifth");
        Member.await(members, PARTITIONS, List.of(1, 1, 2, 2), "shares after the refusal");
        Member.closeAll(members);
        Check.step("full group");
    }

    /** A session timeout out of bounds; a commit without a group's member, and by one whose group lives. */
    private void refusals() throws Exception {
        Member hasty = member(topic + "-hasty", "session.timeout.ms", "500");
        Check.eventually(() -> hasty.error() != null, true, "an error of too short a session");
        Check.equal(hasty.error().getClass(), InvalidSessionTimeoutException.class, "error of too short a session");
        String group = topic + "-outsider";
        TopicPartition zero = new TopicPartition(topic, 0);
        try (Member inside = member(group); KafkaConsumer<byte[], byte[]> outside = clients.groupConsumer(group)) {
            Check.eventually(() -> inside.owned().size(), PARTITIONS, "partitions of the member");
            outside.assign(List.of(zero));
            Check.fails(CommitFailedException.class, () -> {
                outside.commitSync(Map.of(zero, new OffsetAndMetadata(1)), Duration.ofSeconds(5));
                return 0;
            }, "commit by one who is no member");
            Check.equal(outside.committed(Set.of(zero)).get(zero), null, "nothing is committed");
        }
        try (KafkaConsumer<byte[], byte[]> alone = clients.groupConsumer(group)) {
            alone.assign(List.of(zero));
            alone.commitSync(Map.of(zero, new OffsetAndMetadata(7)));
            Check.equal(alone.committed(Set.of(zero)).get(zero).offset(), 7L, "a commit without members");
        }
        Check.step("refusals");
    }
}
