import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Kafka's Java consumer, by assignment: BOOTSTRAP TOPIC BASE-TIMESTAMP. */
public final class ConsumerCheck {
    private static final long END = Clients.COUNT / Clients.PARTITIONS;
    private final Clients clients;
    private final String topic;
    private final long base;
    private final List<TopicPartition> partitions;

    private ConsumerCheck(String[] args) {
        clients = new Clients(args[0]);
        topic = args[1];
        base = Long.parseLong(args[2]);
        partitions = Clients.partitions(topic, Clients.PARTITIONS);
    }

    public static void main(String[] args) {
        Check.main(() -> new ConsumerCheck(args).run());
    }

    private void run() throws Exception {
        write();
        Clients.checkAll(clients.readAll(topic, Clients.PARTITIONS), base);
        Clients.checkAll(clients.readAll(topic, Clients.PARTITIONS, "isolation.level", "read_committed"), base);
        Check.step("read all");
        smallFetches();
        offsets();
        seeks();
        outOfRange();
        pauses();
        longPoll();
        unknown();
    }

    private void write() throws Exception {
        clients.create(topic, Clients.PARTITIONS, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("compression.type", "lz4", "batch.size", "4000")) {
            for (int i = 0; i < Clients.COUNT; i++) producer.send(Clients.record(topic, base, i));
        }
    }

    /** Fetches smaller than a batch make progress, record by record. */
    private void smallFetches() {
        Clients.checkAll(clients.readAll(topic, Clients.PARTITIONS, "fetch.max.bytes", "900",
            "max.partition.fetch.bytes", "500", "max.poll.records", "77", "receive.buffer.bytes", "4096"), base);
        Clients.checkAll(clients.readAll(topic, Clients.PARTITIONS, "fetch.min.bytes", "30000", "fetch.max.wait.ms", "200"), base);
        Check.step("fetch sizes");
    }

    /** Beginning and end offsets, and offsets by time before, inside and after the data. */
    private void offsets() {
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            for (TopicPartition partition : partitions) {
                Check.equal(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "beginning");
                Check.equal(consumer.endOffsets(List.of(partition)).get(partition), END, "end");
                checkTime(consumer, partition, base - 10_000, 0L);
                checkTime(consumer, partition, base + 4001, (4001L - partition.partition() + 3) / 4);
                checkTime(consumer, partition, base + Clients.COUNT - 4 + partition.partition(), END - 1);
                checkTime(consumer, partition, base + Clients.COUNT, null);
            }
            Check.equal(consumer.listTopics().get(topic).size(), Clients.PARTITIONS, "partitions in listTopics");
        }
        Check.step("offsets");
    }

    private void checkTime(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, long stamp, Long want) {
        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, stamp)).get(partition);
        Check.equal(found == null ? null : found.offset(), want, "offset at base" + (stamp - base) + " in " + partition);
        if (found != null) {
            long at = base + want * Clients.PARTITIONS + partition.partition();
            Check.equal(found.timestamp(), at, "timestamp found in " + partition);
        }
    }

    /** Seeks to offsets inside batches, back and forth, and to the end. */
    private void seeks() {
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            TopicPartition second = partitions.get(2);
            consumer.assign(List.of(second));
            for (long offset : new long[] {1234, 0, 2499, 7, 1235}) {
                consumer.seek(second, offset);
                Clients.checkOne(next(consumer), base, (int) offset * Clients.PARTITIONS + 2);
            }
            consumer.seekToEnd(List.of(second));
            Check.equal(consumer.position(second), END, "position at the end");
            consumer.seek(second, END - 5);
            next(consumer);
            Check.equal(consumer.currentLag(second).isPresent(), true, "lag is known after a fetch");
        }
        Check.step("seeks");
    }

    private static ConsumerRecord<byte[], byte[]> next(KafkaConsumer<byte[], byte[]> consumer) {
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (System.nanoTime() < deadline) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) return record;
        }
        throw new AssertionError("no record within 20 s");
    }

    /** Beyond the end: an error, or a reset to either end, as the consumer is set. */
    private void outOfRange() {
        TopicPartition first = partitions.get(0);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            consumer.assign(List.of(first));
            consumer.seek(first, END + 100);
            OffsetOutOfRangeException error = Check.fails(OffsetOutOfRangeException.class, () -> next(consumer), "beyond the end");
            Check.equal(error.offsetOutOfRangePartitions(), Map.of(first, END + 100), "offsets out of range");
        }
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("auto.offset.reset", "earliest")) {
            consumer.assign(List.of(first));
            consumer.seek(first, END + 100);
            Clients.checkOne(next(consumer), base, 0);
        }
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            consumer.assign(List.of(first));
            Check.fails(NoOffsetForPartitionException.class, () -> next(consumer), "no position and no reset");
        }
        Check.step("out of range");
    }

    /** A paused partition is left alone and goes on where it was. */
    private void pauses() {
        TopicPartition paused = partitions.get(1);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("max.poll.records", "500")) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            consumer.pause(List.of(paused));
            List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
            long deadline = System.nanoTime() + 20_000_000_000L;
            while (all.size() < Clients.COUNT && System.nanoTime() < deadline) {
                consumer.poll(Duration.ofMillis(200)).forEach(all::add);
                if (all.size() < 3 * END) Check.that(all.stream().noneMatch(r -> r.partition() == 1), "a paused partition is silent");
                else consumer.resume(List.of(paused));
            }
            Clients.checkAll(all, base);
        }
        Check.step("pauses");
    }

    /** A poll that waits at the end gets a record that is written meanwhile. */
    private void longPoll() throws Exception {
        String name = topic + "-poll";
        clients.create(name, 1, Map.of());
        TopicPartition partition = new TopicPartition(name, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("fetch.max.wait.ms", "3000");
             KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 0);
            for (int i = 0; i < 20; i++) {
                Check.equal(consumer.poll(Duration.ofMillis(20)).count(), 0, "records before they are written");
                producer.send(new ProducerRecord<>(name, Clients.bytes("p" + i)));
                producer.flush();
                ConsumerRecord<byte[], byte[]> record = next(consumer);
                Check.equal(Clients.text(record.value()) + "@" + record.offset(), "p" + i + "@" + i, "record while waiting");
            }
        }
        Check.step("long poll");
    }

    private void unknown() {
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer("default.api.timeout.ms", "5000")) {
            Check.equal(consumer.partitionsFor(topic + "-absent"), List.of(), "partitions of an unknown topic");
            Check.equal(consumer.listTopics().containsKey(topic + "-absent"), false, "asking made the topic");
        }
        Check.step("unknown topic");
    }
}
