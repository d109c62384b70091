import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * Watches the output of the workers of scenarios/exactly_once.py while they work: BOOTSTRAP IN OUT GROUP MODE. Nothing that was to be
 * aborted may be seen. With MODE "instant", a transaction of which any record is seen is there as a whole: its other records lie below
 * the last stable offsets asked for next, unless another transaction that is open there holds that offset back: then it is looked at again
 * later; and its offsets are committed. (Kafka promises that only for each partition by itself, so
 * MODE is "eventual" there.) Ends when its standard input ends, and prints how many transactions it checked.
 */
public final class ChaosObserver {
    private static final int PARTITIONS = 4;
    private final String[] args;
    private final Clients clients;
    private final boolean instant;
    private final Map<String, Transaction> transactions = new HashMap<>();
    private final Set<Transaction> fresh = new HashSet<>();

    /** What is known of one transaction. */
    private static final class Transaction {
        final String name;
        /** How many records each partition is to have. */
        final Map<Integer, Integer> wanted = new HashMap<>();
        final Map<Integer, Integer> seen = new HashMap<>();
        final String offsets;

        Transaction(String name, String parts, String offsets) {
            this.name = name;
            this.offsets = offsets;
            for (String part : parts.split(",")) {
                String[] pair = part.split(":");
                wanted.put(Integer.parseInt(pair[0]), Integer.parseInt(pair[1]));
            }
        }
    }

    private ChaosObserver(String[] args) {
        this.args = args;
        clients = new Clients(args[0]);
        instant = args[4].equals("instant");
    }

    public static void main(String[] args) {
        Check.main(() -> new ChaosObserver(args).run());
    }

    private void run() throws Exception {
        List<TopicPartition> parts = Clients.partitions(args[2], PARTITIONS);
        int checked = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("isolation.level", "read_committed", "reconnect.backoff.max.ms", "200",
                "request.timeout.ms", "4000", "fetch.max.wait.ms", "100"); Admin admin = clients.admin()) {
            consumer.assign(parts);
            parts.forEach(part -> consumer.seek(part, 0));
            while (System.in.available() == 0) {
                take(consumer);
                if (instant && !fresh.isEmpty()) checked += whole(consumer, admin, parts);
            }
            Map<TopicPartition, Long> ends = consumer.endOffsets(parts);
            drain(consumer, ends);
        }
        for (Transaction one : transactions.values()) Check.equal(one.seen, one.wanted, "records of " + one.name + " in the end");
        Check.that(!transactions.isEmpty(), "there are transactions");
        Check.step(transactions.size() + " transactions seen, " + checked + " whole at first sight");
    }

    private void take(KafkaConsumer<byte[], byte[]> consumer) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
            String name = header(record, "txn");
            Check.equal(header(record, "fate"), "commit", "fate of " + name + ", seen at " + record.partition() + "/" + record.offset());
            Transaction one = transactions.get(name);
            if (one == null) {
                one = new Transaction(name, header(record, "parts"), header(record, "offsets"));
                transactions.put(name, one);
                fresh.add(one);
            }
            one.seen.merge(record.partition(), 1, Integer::sum);
        }
    }

    private static String header(ConsumerRecord<byte[], byte[]> record, String name) {
        return Clients.text(record.headers().lastHeader(name).value());
    }

    private void drain(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
            Check.that(System.nanoTime() < deadline, "positions reach the last stable offsets " + ends);
            take(consumer);
        }
    }

    /** All that was first seen before now is whole in what is visible from now on; returns how many were checked. */
    private int whole(KafkaConsumer<byte[], byte[]> consumer, Admin admin, List<TopicPartition> parts) throws Exception {
        Set<Transaction> now = Set.copyOf(fresh);
        fresh.clear();
        Map<TopicPartition, Long> ends = new HashMap<>();
        Map<TopicPartition, OffsetAndMetadata> committed;
        Set<Integer> held = new HashSet<>();
        try {
            ends.putAll(consumer.endOffsets(parts));
            Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
            parts.forEach(part -> latest.put(part, OffsetSpec.latest()));
            admin.listOffsets(latest, new ListOffsetsOptions(IsolationLevel.READ_UNCOMMITTED)).all().get().forEach((part, high) -> {
                if (high.offset() > ends.get(part)) held.add(part.partition());
            });
            committed = admin.listConsumerGroupOffsets(args[3]).partitionsToOffsetAndMetadata().get();
        } catch (KafkaException | java.util.concurrent.ExecutionException away) {
            System.err.println("the server is away: " + away);
            fresh.addAll(now);
            return 0;
        }
        drain(consumer, ends);
        int whole = 0;
        for (Transaction one : now) {
            boolean hidden = false;
            for (Map.Entry<Integer, Integer> part : one.wanted.entrySet()) {
                int seen = one.seen.getOrDefault(part.getKey(), 0);
                if (held.contains(part.getKey()) && seen < part.getValue()) hidden = true;
                else Check.equal(seen, part.getValue(), "records of " + one.name + " in " + part.getKey() + " below the last stable offset once one was seen");
            }
            if (hidden) fresh.add(one);
            else whole++;
            for (String place : one.offsets.split(",")) {
                String[] pair = place.split(":");
                OffsetAndMetadata at = committed.get(new TopicPartition(args[1], Integer.parseInt(pair[0])));
                Check.that(at != null && at.offset() >= Long.parseLong(pair[1]), "offset " + place + " of " + one.name + " is committed once a record is seen: " + at);
            }
        }
        return whole;
    }
}
