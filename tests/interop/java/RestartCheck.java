import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Groups and a transaction that live through the death of their server: BOOTSTRAP TOPIC MODE. Says "ready" once all is set up; the driver then
 * kills the server, starts it again, and writes a line. Members that still heartbeat keep what they own, without a rebalance; commits are
 * as they were; the open transaction goes on and commits. (Kafka's metadata lacks leaders for a moment, which makes a classic leader
 * ask for a rebalance: with MODE "eventual" it may, and all must be shared in the end. So does a client that forgets all metadata once no broker answers,
 * which is what Java's do by default: not these.)
 */
public final class RestartCheck {
    private static final int PARTITIONS = 4;
    private final Clients clients;
    private final String topic;
    private final boolean strict;

    private RestartCheck(String[] args) {
        clients = new Clients(args[0]);
        topic = args[1];
        strict = args[2].equals("strict");
    }

    public static void main(String[] args) {
        Check.main(() -> new RestartCheck(args).run());
    }

    /** One group before and after. */
    private final class Group {
        final List<Member> members = new ArrayList<>();
        final List<Set<TopicPartition>> owned = new ArrayList<>();
        final List<List<String>> told = new ArrayList<>();

        Group(String protocol) throws Exception {
            for (int i = 0; i < 2; i++) {
                members.add(Member.of(clients, topic + "-" + protocol, List.of(topic), "group.protocol", protocol, "session.timeout.ms", "10000",
                    "reconnect.backoff.max.ms", "200", "metadata.recovery.strategy", "none"));
            }
            Member.await(members, PARTITIONS, List.of(2, 2), "shares in the " + protocol + " group");
            Check.eventually(() -> values("v"), 400, "records read");
            quiet();
            for (Member member : members) {
                Check.eventually(() -> member.allAt(100), true, "a member's positions are at the end");
                commit(member, "before");
                owned.add(member.owned());
                told.add(List.copyOf(member.events));
            }
        }

        /** A member hears at its next heartbeat, within 3 s, of a rebalance that the other one has begun: what was on its way when all had their shares must be over. */
        private void quiet() throws InterruptedException {
            List<List<String>> last = null;
            for (long since = System.nanoTime(); System.nanoTime() - since < 4_000_000_000L; Thread.sleep(50)) {
                List<List<String>> now = members.stream().map(member -> List.copyOf(member.events)).toList();
                if (now.equals(last)) continue;
                last = now;
                since = System.nanoTime();
            }
            Member.await(members, PARTITIONS, List.of(2, 2), "shares, still");
        }

        /** How many different values with this beginning the members read; before the second had joined the first may have read all. */
        private int values(String prefix) {
            Set<String> all = new HashSet<>();
            members.forEach(member -> member.read.forEach(record -> all.add(Clients.text(record.value()))));
            return (int) all.stream().filter(value -> value.startsWith(prefix + "-")).count();
        }

        private void commit(Member member, String note) throws Exception {
            member.call(consumer -> {
                for (TopicPartition part : consumer.assignment()) consumer.commitSync(Map.of(part, new OffsetAndMetadata(consumer.position(part), note)));
                return 0;
            });
        }

        /** What the group was is what it is. */
        void same(String what) throws Exception {
            for (int i = 0; i < 2; i++) {
                Member member = members.get(i);
                Map<TopicPartition, OffsetAndMetadata> committed = member.call(consumer -> consumer.committed(new HashSet<>(Clients.partitions(topic, PARTITIONS))));
                committed.forEach((part, at) -> Check.equal(at, new OffsetAndMetadata(100, "before"), what + ": commit of " + part));
            }
            clients.fill(topic, PARTITIONS, "after-" + what, 40);
            Check.eventually(() -> values("after-" + what), 40, what + ": records after the restart");
            Member.await(members, PARTITIONS, List.of(2, 2), what + ": shares after the restart");
            for (int i = 0; i < 2; i++) {
                commit(members.get(i), "after");
                Check.that(members.get(i).events.stream().noneMatch(event -> event.startsWith("!")), what + ": a member lost what it owned: " + members.get(i).events);
                if (!strict) continue;
                Check.equal(members.get(i).owned(), owned.get(i), what + ": partitions after the restart");
                Check.equal(List.copyOf(members.get(i).events), told.get(i), what + ": what a member was told");
            }
            Member.closeAll(members);
            Check.step(what);
        }
    }

    private void run() throws Exception {
        clients.create(topic, PARTITIONS, Map.of());
        clients.create(topic + "-out", 1, Map.of());
        clients.fill(topic, PARTITIONS, "v", 400);
        Group classic = new Group("classic");
        Group modern = new Group("consumer");
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("transactional.id", topic, "reconnect.backoff.max.ms", "200")) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic + "-out", Clients.bytes("before"))).get();
            System.out.println("ready");
            System.in.read();
            producer.send(new ProducerRecord<>(topic + "-out", Clients.bytes("after"))).get();
            Check.equal(clients.readAll(topic + "-out", 1, "isolation.level", "read_committed").size(), 0, "records seen before the commit");
            producer.commitTransaction();
        }
        List<String> values = new ArrayList<>();
        Check.eventually(() -> clients.readAll(topic + "-out", 1, "isolation.level", "read_committed").size(), 2, "records seen after the commit");
        clients.readAll(topic + "-out", 1, "isolation.level", "read_committed").forEach(record -> values.add(Clients.text(record.value())));
        Check.equal(values, List.of("before", "after"), "values of the transaction");
        Check.step("transaction");
        classic.same("classic");
        modern.same("consumer");
    }
}
