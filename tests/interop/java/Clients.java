import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.time.Duration;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Clients of one bootstrap address, and the ten thousand records of harness/records.py. */
final class Clients {
    static final int COUNT = 10_000;
    static final int PARTITIONS = 4;
    static final String CLIENT = "java";
    final String bootstrap;

    Clients(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    private Properties properties(String... settings) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < settings.length; i += 2) properties.put(settings[i], settings[i + 1]);
        return properties;
    }

    Admin admin() {
        return Admin.create(properties("default.api.timeout.ms", "30000"));
    }

    KafkaProducer<byte[], byte[]> producer(String... settings) {
        return new KafkaProducer<>(properties(settings), new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** A consumer that is only ever assigned, and fails rather than resets unless told otherwise. */
    KafkaConsumer<byte[], byte[]> consumer(String... settings) {
        Properties properties = properties("enable.auto.commit", "false", "auto.offset.reset", "none",
            "allow.auto.create.topics", "false");
        for (int i = 0; i < settings.length; i += 2) properties.put(settings[i], settings[i + 1]);
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** A consumer of a group that begins at the start, with quick heartbeats (classic) and no automatic commits unless told otherwise. */
    KafkaConsumer<byte[], byte[]> groupConsumer(String group, String... settings) {
        Properties properties = properties("enable.auto.commit", "false", "auto.offset.reset", "earliest",
            "allow.auto.create.topics", "false", "group.id", group, "retry.backoff.ms", "50", "metadata.max.age.ms", "1000",
            "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor", "session.timeout.ms", "6000",
            "heartbeat.interval.ms", "200");
        for (int i = 0; i < settings.length; i += 2) properties.put(settings[i], settings[i + 1]);
        if ("consumer".equals(properties.get("group.protocol"))) {  // these are then the server's to set
            List.of("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms").forEach(properties::remove);
        }
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Writes `count` records "PREFIX-N" to partitions N % `partitions`, and waits for their acknowledgement. */
    void fill(String topic, int partitions, String prefix, int count) {
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(topic, i % partitions, null, bytes(prefix + "-" + i)));
            producer.flush();
        }
    }

    void create(String topic, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
        }
    }

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    static String key(int i) {
        return i % 97 == 0 ? null : "key-" + i % 100;
    }

    static String value(int i) {
        return i % 89 == 0 && i % 97 != 0 ? null : "value-" + i + "-" + "x".repeat(i % 200);
    }

    static ProducerRecord<byte[], byte[]> record(String topic, long base, int i) {
        List<Header> headers = List.of(new RecordHeader("index", bytes("" + i)),
            new RecordHeader("client", bytes(CLIENT)), new RecordHeader("empty", new byte[0]));
        return new ProducerRecord<>(topic, i % PARTITIONS, base + i, bytes(key(i)), bytes(value(i)), headers);
    }

    static List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> all = new ArrayList<>();
        for (int i = 0; i < count; i++) all.add(new TopicPartition(topic, i));
        return all;
    }

    /** Everything between the beginnings and the ends, in the order read. */
    List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int partitions, String... settings) {
        List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(settings)) {
            List<TopicPartition> assigned = partitions(topic, partitions);
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            Map<TopicPartition, Long> ends = consumer.endOffsets(assigned);
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                Check.that(System.nanoTime() < deadline, "all of " + topic + " is read within 30 s, got " + all.size());
                consumer.poll(Duration.ofMillis(500)).forEach(all::add);
            }
        }
        return all;
    }

    /** Demands exactly the ten thousand records, in order in each partition. */
    static void checkAll(List<ConsumerRecord<byte[], byte[]>> records, long base) {
        int[] seen = new int[PARTITIONS];
        for (ConsumerRecord<byte[], byte[]> record : records) {
            int i = seen[record.partition()]++ * PARTITIONS + record.partition();
            checkOne(record, base, i);
        }
        Check.equal(records.size(), COUNT, "records read");
    }

    static void checkOne(ConsumerRecord<byte[], byte[]> record, long base, int i) {
        String what = "record " + i;
        Check.equal(record.offset(), (long) (i / PARTITIONS), what + ": offset");
        Check.equal(record.timestamp(), base + i, what + ": timestamp");
        Check.equal(record.timestampType().name(), "CREATE_TIME", what + ": timestamp type");
        Check.equal(text(record.key()), key(i), what + ": key");
        Check.equal(text(record.value()), value(i), what + ": value");
        StringBuilder headers = new StringBuilder();
        record.headers().forEach(header -> headers.append(header.key()).append('=').append(text(header.value())).append(';'));
        Check.equal(headers.toString(), "index=" + i + ";client=" + CLIENT + ";empty=;", what + ": headers");
    }
}
