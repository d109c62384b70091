import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;

/** Kafka's Java producer: BOOTSTRAP TOPIC BASE-TIMESTAMP. Each method states what it checks. */
public final class ProducerCheck {
    private final Clients clients;
    private final String topic;
    private final long base;

    private ProducerCheck(String[] args) {
        clients = new Clients(args[0]);
        topic = args[1];
        base = Long.parseLong(args[2]);
    }

    public static void main(String[] args) {
        Check.main(() -> new ProducerCheck(args).run());
    }

    private void run() throws Exception {
        idempotent();
        acknowledgements();
        codecs();
        refusals();
        logAppendTime();
        topicLimits();
    }

    /** The default producer (idempotent, acks=all): contiguous offsets, timestamps as sent. */
    private void idempotent() throws Exception {
        clients.create(topic, Clients.PARTITIONS, Map.of());
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            Check.equal(producer.partitionsFor(topic).size(), Clients.PARTITIONS, "partitions for the topic");
            for (int i = 0; i < Clients.COUNT; i++) sent.add(producer.send(Clients.record(topic, base, i)));
            producer.flush();
        }
        for (int i = 0; i < Clients.COUNT; i++) {
            RecordMetadata at = sent.get(i).get();
            Check.equal(at.partition(), i % Clients.PARTITIONS, "partition of record " + i);
            Check.equal(at.offset(), (long) (i / Clients.PARTITIONS), "offset of record " + i);
            Check.equal(at.timestamp(), base + i, "timestamp of record " + i);
        }
        Clients.checkAll(clients.readAll(topic, Clients.PARTITIONS), base);
        Check.step("idempotent");
    }

    /** acks=0 tells no offset, acks=1 does; both end up in the log, in order. */
    private void acknowledgements() throws Exception {
        for (String acks : List.of("0", "1", "all")) {
            String name = topic + "-acks-" + acks;
            clients.create(name, 1, Map.of());
            try (KafkaProducer<byte[], byte[]> producer = clients.producer("acks", acks, "enable.idempotence", "false",
                    "max.in.flight.requests.per.connection", "1")) {
                for (int i = 0; i < 1000; i++) {
                    Future<RecordMetadata> sent = producer.send(new ProducerRecord<>(name, 0, null, Clients.bytes("v" + i)));
                    if (i % 100 == 0) Check.equal(sent.get().offset(), acks.equals("0") ? -1L : i, "offset with acks=" + acks);
                }
            }
            Check.eventually(() -> clients.readAll(name, 1).size(), 1000, "records with acks=" + acks);
            checkValues(clients.readAll(name, 1), "v");
        }
        Check.step("acknowledgements");
    }

    private static void checkValues(List<ConsumerRecord<byte[], byte[]>> records, String prefix) {
        for (int i = 0; i < records.size(); i++) {
            Check.equal(records.get(i).offset(), (long) i, "offset");
            Check.equal(Clients.text(records.get(i).value()), prefix + i, "value at offset " + i);
        }
    }

    /** Java's own encoders of every codec; large batches, read back whole. */
    private void codecs() throws Exception {
        String name = topic + "-codecs";
        clients.create(name, 1, Map.of());
        int next = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (KafkaProducer<byte[], byte[]> producer = clients.producer("compression.type", codec, "linger.ms", "50",
                    "batch.size", "200000")) {
                for (int i = 0; i < 5000; i++) producer.send(new ProducerRecord<>(name, Clients.bytes("text " + next++)));
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = clients.readAll(name, 1);
        Check.equal(records.size(), next, "records of all codecs");
        checkValues(records, "text ");
        Check.step("codecs");
    }

    /** Too large, a bad topic name, a partition that is not there; the producer goes on working after each. */
    private void refusals() throws Exception {
        String name = topic + "-refusals";
        clients.create(name, 1, Map.of());
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("max.request.size", "8000000",
                "max.block.ms", "1500")) {
            Check.equal(send(producer, name, 10).offset(), 0L, "before the refusals");
            Check.fails(RecordTooLargeException.class, () -> send(producer, name, 2_000_000), "2 MB record");
            Check.equal(send(producer, name, 10).offset(), 1L, "after a record that is too large");
            Check.fails(InvalidTopicException.class, () -> send(producer, "not a topic", 10), "bad name");
            Check.fails(TimeoutException.class, () -> producer.send(new ProducerRecord<>(name, 9, null, null)).get(), "partition 9");
            Check.equal(send(producer, name, 10).offset(), 2L, "after the other refusals");
            Check.equal(send(producer, topic + "-auto", 10).offset(), 0L, "first record of an auto-created topic");
        }
        Check.step("refusals");
    }

    private static RecordMetadata send(KafkaProducer<byte[], byte[]> producer, String name, int size) throws Exception {
        return producer.send(new ProducerRecord<>(name, new byte[size])).get();
    }

    /** With message.timestamp.type=LogAppendTime the broker's time replaces the client's, in answer and log. */
    private void logAppendTime() throws Exception {
        String name = topic + "-append-time";
        clients.create(name, 1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("compression.type", "gzip")) {
            RecordMetadata at = producer.send(new ProducerRecord<>(name, 0, base, null, Clients.bytes("x"))).get();
            ConsumerRecord<byte[], byte[]> read = clients.readAll(name, 1).get(0);
            Check.equal(read.timestampType().name(), "LOG_APPEND_TIME", "timestamp type");
            Check.equal(read.timestamp(), at.timestamp(), "timestamp in the log and in the answer");
            Check.that(at.timestamp() >= before - 1000, "the timestamp is the broker's: " + at.timestamp());
        }
        Check.step("log append time");
    }

    /** max.message.bytes and compression.type of a topic hold. */
    private void topicLimits() throws Exception {
        String name = topic + "-limits";
        clients.create(name, 1, Map.of("max.message.bytes", "5000", "compression.type", "zstd"));
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("compression.type", "gzip")) {
            send(producer, name, 100_000);
        }
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            byte[] noise = new byte[20_000];
            new java.util.Random(1).nextBytes(noise);
            Check.fails(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(name, noise)).get(), "20 kB of noise");
        }
        List<ConsumerRecord<byte[], byte[]>> records = clients.readAll(name, 1);
        Check.equal(records.size(), 1, "records under the topic's limit");
        Check.equal(records.get(0).value().length, 100_000, "length of the record that compresses well");
        Check.step("topic limits");
    }
}
