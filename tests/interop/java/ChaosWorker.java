import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/**
 * A transactional consume-process-produce worker for scenarios/exactly_once.py: BOOTSTRAP IN OUT GROUP ID PROTOCOL [INSTANCE].
 * Each record's headers tell its transaction, how many records that has, the offsets it commits, and whether it is to be aborted. The
 * worker goes on until its standard input ends; after any error it begins anew with new clients, as it must.
 */
public final class ChaosWorker {
    private static final int PARTITIONS = 4;
    private final Clients clients;
    private final String[] args;
    private final Random chance = new Random();

    private ChaosWorker(String[] args) {
        this.args = args;
        clients = new Clients(args[0]);
    }

    public static void main(String[] args) {
        Check.main(() -> new ChaosWorker(args).run());
    }

    /** The driver writes a line when the worker shall end. */
    private static boolean goesOn() {
        try {
            return System.in.available() == 0;
        } catch (java.io.IOException closed) {
            return false;
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Map<String, String> settings = new HashMap<>(Map.of("isolation.level", "read_committed", "max.poll.records", "40", "auto.offset.reset", "none",
            "session.timeout.ms", "3000", "reconnect.backoff.max.ms", "200", "max.poll.interval.ms", "20000", "group.protocol", args[5]));
        if (args.length > 6) settings.put("group.instance.id", args[6]);
        return clients.groupConsumer(args[3], settings.entrySet().stream().flatMap(entry -> java.util.stream.Stream.of(entry.getKey(), entry.getValue()))
            .toArray(String[]::new));
    }

    private void run() {
        while (goesOn()) {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer();
                 KafkaProducer<byte[], byte[]> producer = clients.producer("transactional.id", args[4], "transaction.timeout.ms", "10000",
                     "delivery.timeout.ms", "9000", "request.timeout.ms", "4000", "max.block.ms", "15000", "reconnect.backoff.max.ms", "200", "linger.ms", "0")) {
                producer.initTransactions();
                consumer.subscribe(List.of(args[1]));
                while (goesOn()) {
                    ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                    if (!records.isEmpty()) process(consumer, producer, records);
                }
            } catch (KafkaException | IllegalStateException error) {
                // Kafka's consumer of the new protocol may lose a partition between its poll and the question for its position.
                System.err.println("begins anew after " + error);
            }
        }
    }

    private void process(KafkaConsumer<byte[], byte[]> consumer, KafkaProducer<byte[], byte[]> producer, ConsumerRecords<byte[], byte[]> records) {
        boolean abort = chance.nextInt(10) == 0;
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        records.partitions().forEach(part -> offsets.put(part, new OffsetAndMetadata(consumer.position(part))));
        String places = offsets.entrySet().stream().map(entry -> entry.getKey().partition() + ":" + entry.getValue().offset()).collect(Collectors.joining(","));
        Map<Integer, Integer> parts = new HashMap<>();
        records.forEach(record -> parts.merge((int) (Long.parseLong(Clients.text(record.value())) % PARTITIONS), 1, Integer::sum));
        String counts = parts.entrySet().stream().map(entry -> entry.getKey() + ":" + entry.getValue()).collect(Collectors.joining(","));
        List<Header> headers = List.of(header("txn", args[4] + "/" + UUID.randomUUID()), header("parts", counts), header("offsets", places),
            header("fate", abort ? "abort" : "commit"));
        producer.beginTransaction();
        for (var record : records) {
            int number = Integer.parseInt(Clients.text(record.value()));
            producer.send(new ProducerRecord<>(args[2], number % PARTITIONS, null, null, record.value(), headers));
        }
        producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
        if (abort) {
            producer.abortTransaction();
            throw new KafkaException("an abort on purpose");
        }
        producer.commitTransaction();
    }

    private static Header header(String name, String value) {
        return new RecordHeader(name, Clients.bytes(value));
    }
}
