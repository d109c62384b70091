import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;

/**
 * Transactions with Kafka's producer, old (transaction version 1, kafka-clients 3.9) or new (version 2): BOOTSTRAP TOPIC VERSION.
 * Only what both versions of the library have is used here. The server must look for timed-out transactions twice a second.
 */
public final class TransactionCheck {
    private static final int PARTITIONS = 3;
    private final Clients clients;
    private final String topic;
    private final int version;

    private TransactionCheck(String[] args) {
        clients = new Clients(args[0]);
        topic = args[1];
        version = Integer.parseInt(args[2]);
    }

    public static void main(String[] args) {
        Check.main(() -> new TransactionCheck(args).run());
    }

    private void run() throws Exception {
        commits();
        aborts();
        interleaved();
        empties();
        fenced();
        offsets();
        pending();
        strangers();
        timeouts();
        epochs();
    }

    private String fresh(String name) throws Exception {
        clients.create(topic + "-" + name, PARTITIONS, Map.of());
        return topic + "-" + name;
    }

    private KafkaProducer<byte[], byte[]> producer(String id, String... settings) {
        String[] all = new String[settings.length + 4];
        System.arraycopy(new String[] {"transactional.id", topic + "-" + id, "max.block.ms", "20000"}, 0, all, 0, 4);
        System.arraycopy(settings, 0, all, 4, settings.length);
        return clients.producer(all);
    }

    private KafkaProducer<byte[], byte[]> begun(String id, String... settings) {
        KafkaProducer<byte[], byte[]> producer = producer(id, settings);
        producer.initTransactions();
        producer.beginTransaction();
        return producer;
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String name, String prefix, int count) throws Exception {
        for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(name, i % PARTITIONS, null, Clients.bytes(prefix + i)));
        producer.flush();
    }

    private static Set<String> values(List<ConsumerRecord<byte[], byte[]>> records) {
        Set<String> values = new HashSet<>();
        records.forEach(record -> Check.that(values.add(Clients.text(record.value())), "a value is read once: " + Clients.text(record.value())));
        return values;
    }

    private Set<String> committed(String name) {
        return values(clients.readAll(name, PARTITIONS, "isolation.level", "read_committed"));
    }

    private Set<String> all(String name) {
        return values(clients.readAll(name, PARTITIONS));
    }

    private long end(String name, int partition, String isolation) {
        TopicPartition at = new TopicPartition(name, partition);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("isolation.level", isolation)) {
            return consumer.endOffsets(List.of(at)).get(at);
        }
    }

    private static Set<String> numbered(String prefix, int count) {
        Set<String> values = new HashSet<>();
        for (int i = 0; i < count; i++) values.add(prefix + i);
        return values;
    }

    /** Nothing is seen under read_committed before the commit, and all after it. */
    private void commits() throws Exception {
        String name = fresh("commits");
        try (KafkaProducer<byte[], byte[]> producer = begun("commits")) {
            send(producer, name, "a", 30);
            Check.equal(all(name), numbered("a", 30), "values before the commit, read_uncommitted");
            Check.equal(committed(name), Set.of(), "values before the commit");
            Check.equal(end(name, 0, "read_committed"), 0L, "last stable offset before the commit");
            Check.equal(end(name, 0, "read_uncommitted"), 10L, "end before the commit");
            producer.commitTransaction();
            Check.eventually(() -> committed(name), numbered("a", 30), "values after the commit");
            Check.equal(end(name, 0, "read_committed"), 11L, "last stable offset after the commit, behind its marker");
            producer.beginTransaction();
            send(producer, name, "b", 30);
            producer.commitTransaction();
            Set<String> both = numbered("a", 30);
            both.addAll(numbered("b", 30));
            Check.eventually(() -> committed(name), both, "values after the second commit");
        }
        Check.step("commit");
    }

    /** What was aborted is not seen, and a reader's position still reaches the end behind the marker. */
    private void aborts() throws Exception {
        String name = fresh("aborts");
        try (KafkaProducer<byte[], byte[]> producer = begun("aborts")) {
            send(producer, name, "bad", 30);
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, name, "good", 3);
            producer.commitTransaction();
            producer.beginTransaction();
            send(producer, name, "worse", 6);
            producer.abortTransaction();
        }
        Check.eventually(() -> end(name, 2, "read_committed"), 16L, "end behind three markers");
        Check.equal(committed(name), numbered("good", 3), "values under read_committed");
        Check.equal(all(name).size(), 39, "values under read_uncommitted");
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("isolation.level", "read_committed")) {
            List<TopicPartition> parts = Clients.partitions(name, PARTITIONS);
            consumer.assign(parts);
            consumer.seekToBeginning(parts);
            long deadline = System.nanoTime() + 15_000_000_000L;
            int read = 0;
            while (parts.stream().anyMatch(part -> consumer.position(part) < 16)) {
                Check.that(System.nanoTime() < deadline, "positions reach the end behind an abort marker");
                read += consumer.poll(Duration.ofMillis(200)).count();
            }
            Check.equal(read, 3, "records read on the way");
            parts.forEach(part -> Check.equal(consumer.currentLag(part).getAsLong(), 0L, "lag at the end"));
        }
        Check.step("abort");
    }

    /** Open transactions hold back the last stable offset, also over later commits and plain records; order stays. */
    private void interleaved() throws Exception {
        String name = fresh("interleaved");
        try (KafkaProducer<byte[], byte[]> one = begun("one"); KafkaProducer<byte[], byte[]> two = begun("two");
             KafkaProducer<byte[], byte[]> plain = clients.producer()) {
            for (int round = 0; round < 4; round++) {
                one.send(new ProducerRecord<>(name, 0, null, Clients.bytes("one" + round))).get();
                two.send(new ProducerRecord<>(name, 0, null, Clients.bytes("two" + round))).get();
                plain.send(new ProducerRecord<>(name, 0, null, Clients.bytes("plain" + round))).get();
            }
            two.commitTransaction();
            Check.equal(end(name, 0, "read_committed"), 0L, "last stable offset while the first is open");
            Check.equal(committed(name), Set.of(), "values while the first is open");
            one.abortTransaction();
            Check.eventually(() -> end(name, 0, "read_committed"), 14L, "last stable offset in the end");
        }
        List<String> want = new ArrayList<>();
        for (int round = 0; round < 4; round++) want.addAll(List.of("two" + round, "plain" + round));
        List<String> got = new ArrayList<>();
        clients.readAll(name, PARTITIONS, "isolation.level", "read_committed").forEach(record -> got.add(Clients.text(record.value())));
        Check.equal(got, want, "values in their order");
        Check.step("interleaved");
    }

    /** Transactions without records or offsets end either way; states that make no sense are refused by the client. */
    private void empties() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = begun("empties")) {
            producer.commitTransaction();
            producer.beginTransaction();
            producer.abortTransaction();
            Check.fails(IllegalStateException.class, () -> {
                producer.commitTransaction();
                return 0;
            }, "a commit without a transaction");
        }
        try (KafkaProducer<byte[], byte[]> slow = producer("long", "transaction.timeout.ms", "2000000000")) {
            KafkaException refused = Check.fails(KafkaException.class, () -> {
                slow.initTransactions();
                return 0;
            }, "a transaction timeout over the server's limit");
            Check.that(refused.getMessage().contains("larger than the maximum value"), "why it was refused: " + refused.getMessage());
        }
        Check.step("empty");
    }

    /** A second producer with the id ends the first's transaction; the first can do nothing more. */
    private void fenced() throws Exception {
        String name = fresh("fenced");
        try (KafkaProducer<byte[], byte[]> first = begun("fenced")) {
            send(first, name, "first", 9);
            try (KafkaProducer<byte[], byte[]> second = begun("fenced")) {
                send(second, name, "second", 9);
                Check.fails(ProducerFencedException.class, () -> {
                    first.commitTransaction();
                    return 0;
                }, "commit of the first");
                second.commitTransaction();
            }
            Check.fails(KafkaException.class, () -> {
                first.beginTransaction();
                return 0;
            }, "another transaction of the first");
        }
        Check.eventually(() -> committed(name), numbered("second", 9), "values under read_committed");
        try (KafkaProducer<byte[], byte[]> first = begun("fenced-2"); KafkaProducer<byte[], byte[]> second = producer("fenced-2")) {
            second.initTransactions();
            Check.fails(KafkaException.class, () -> {
                send(first, name, "late", 1);
                first.commitTransaction();
                return 0;
            }, "records of one that was fenced before it wrote");
        }
        Check.equal(committed(name), numbered("second", 9), "values after all");
        Check.step("fencing");
    }

    /** Consumers always ask for stable offsets. */
    private OffsetAndMetadata offset(String group, TopicPartition at) {
        try (KafkaConsumer<byte[], byte[]> consumer = clients.groupConsumer(group)) {
            return consumer.committed(Set.of(at), Duration.ofSeconds(10)).get(at);
        }
    }

    /** Consume, process, produce: records and offsets are there together or not at all. */
    private void offsets() throws Exception {
        String in = fresh("in");
        String out = fresh("out");
        clients.fill(in, PARTITIONS, "in", 300);
        String group = topic + "-process";
        int aborted = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = clients.groupConsumer(group, "isolation.level", "read_committed", "max.poll.records", "25");
             KafkaProducer<byte[], byte[]> producer = producer("process")) {
            consumer.subscribe(List.of(in));
            producer.initTransactions();
            long deadline = System.nanoTime() + 30_000_000_000L;
            int done = 0;
            int attempt = 0;
            while (done < 300) {
                Check.that(System.nanoTime() < deadline, "all is processed, so far " + done);
                var records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) continue;
                producer.beginTransaction();
                for (var record : records) producer.send(new ProducerRecord<>(out, record.partition(), null, record.value()));
                var positions = new java.util.HashMap<TopicPartition, OffsetAndMetadata>();
                records.partitions().forEach(part -> positions.put(part, new OffsetAndMetadata(consumer.position(part))));
                producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
                if (attempt++ % 3 == 0) {
                    // An abort drops what the producer has not sent yet, so that by chance none of it would be in the log.
                    producer.flush();
                    producer.abortTransaction();
                    consumer.committed(positions.keySet()).forEach((part, at) -> consumer.seek(part, at == null ? 0 : at.offset()));
                    aborted += records.count();
                } else {
                    producer.commitTransaction();
                    done += records.count();
                }
            }
        }
        Check.eventually(() -> committed(out), numbered("in-", 300), "values in the output");
        Check.equal(clients.readAll(out, PARTITIONS).size(), 300 + aborted, "values in the log, those of aborted transactions among them");
        for (TopicPartition part : Clients.partitions(in, PARTITIONS)) {
            Check.equal(offset(group, part).offset(), 100L, "commit of " + part);
        }
        Check.step("consume-process-produce");
    }

    /** Offsets of an open transaction: a stable read waits for it, another sees the old ones. */
    private void pending() throws Exception {
        String in = fresh("pending");
        TopicPartition zero = new TopicPartition(in, 0);
        String group = topic + "-pending";
        ConsumerGroupMetadata metadata;
        try (KafkaConsumer<byte[], byte[]> consumer = clients.groupConsumer(group); KafkaProducer<byte[], byte[]> producer = begun("pending")) {
            consumer.assign(List.of(zero));
            consumer.commitSync(Map.of(zero, new OffsetAndMetadata(1)));
            metadata = consumer.groupMetadata();
            producer.sendOffsetsToTransaction(Map.of(zero, new OffsetAndMetadata(5, "in a transaction")), metadata);
            try (var admin = clients.admin()) {
                Check.equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(zero).offset(), 1L, "an unstable read");
            }
            try (KafkaConsumer<byte[], byte[]> stable = clients.groupConsumer(group)) {
                Check.fails(TimeoutException.class, () -> stable.committed(Set.of(zero), Duration.ofSeconds(2)), "a stable read");
            }
            Check.equal(offset(group, new TopicPartition(in, 1)), null, "a stable read of another partition");
            producer.commitTransaction();
            Check.equal(offset(group, zero), new OffsetAndMetadata(5, "in a transaction"), "a stable read after the commit");
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(zero, new OffsetAndMetadata(9)), metadata);
            producer.abortTransaction();
            Check.equal(offset(group, zero).offset(), 5L, "a stable read after an abort");
        }
        Check.step("require stable");
    }

    /** Offsets for a group by one who is no longer in it: the transaction can only be aborted. */
    private void strangers() throws Exception {
        String in = fresh("strangers");
        String group = topic + "-strangers";
        ConsumerGroupMetadata stale;
        TopicPartition zero = new TopicPartition(in, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.groupConsumer(group)) {
            consumer.subscribe(List.of(in));
            long deadline = System.nanoTime() + 20_000_000_000L;
            while (consumer.assignment().isEmpty()) {
                Check.that(System.nanoTime() < deadline, "the consumer is given partitions");
                consumer.poll(Duration.ofMillis(100));
            }
            stale = consumer.groupMetadata();
        }
        try (KafkaProducer<byte[], byte[]> producer = begun("strangers")) {
            send(producer, in, "lost", 3);
            Check.fails(CommitFailedException.class, () -> {
                producer.sendOffsetsToTransaction(Map.of(zero, new OffsetAndMetadata(5)), stale);
                producer.commitTransaction();
                return 0;
            }, "offsets by a member that left");
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, in, "kept", 3);
            producer.commitTransaction();
        }
        Check.eventually(() -> committed(in), numbered("kept", 3), "values in the end");
        Check.equal(offset(group, zero), null, "no offset in the end");
        Check.step("fenced group");
    }

    /** A transaction that takes too long is aborted by the server; its producer is refused, and goes on once it has begun anew. */
    private void timeouts() throws Exception {
        String name = fresh("timeouts");
        try (KafkaProducer<byte[], byte[]> producer = begun("timeouts", "transaction.timeout.ms", "1000")) {
            send(producer, name, "slow", 3);
            Check.equal(end(name, 0, "read_committed"), 0L, "last stable offset of the open transaction");
            Check.eventually(() -> end(name, 0, "read_committed"), 2L, "last stable offset after the server's abort");
            KafkaException refused = Check.fails(KafkaException.class, () -> {
                send(producer, name, "late", 3);
                producer.commitTransaction();
                return 0;
            }, "going on after the server's abort");
            Throwable cause = refused;
            while (cause != null && !(cause instanceof InvalidProducerEpochException) && !(cause instanceof ProducerFencedException)) cause = cause.getCause();
            Check.that(cause != null, "why it was refused: " + refused);
        }
        try (KafkaProducer<byte[], byte[]> producer = begun("timeouts")) {
            send(producer, name, "again", 3);
            producer.commitTransaction();
        }
        Check.eventually(() -> committed(name), numbered("again", 3), "values in the end");
        Check.step("timeout");
    }

    /** Under version 2 every end raises the epoch; under version 1 it stays. */
    private void epochs() throws Exception {
        String name = fresh("epochs");
        List<Integer> epochs = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer("epochs"); var admin = clients.admin()) {
            producer.initTransactions();
            TopicPartition zero = new TopicPartition(name, 0);
            for (int round = 0; round < 4; round++) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(name, 0, null, Clients.bytes("r" + round))).get();
                epochs.add(admin.describeProducers(List.of(zero)).partitionResult(zero).get().activeProducers().get(0).producerEpoch());
                if (round % 2 == 0) producer.commitTransaction();
                else producer.abortTransaction();
            }
        }
        int first = epochs.get(0);
        Check.equal(epochs, version == 2 ? List.of(first, first + 1, first + 2, first + 3) : List.of(first, first, first, first), "epochs of four transactions");
        Check.eventually(() -> committed(name), Set.of("r0", "r2"), "values");
        Check.step("epochs");
    }
}
