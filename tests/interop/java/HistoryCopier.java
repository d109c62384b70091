import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/**
 * A transactional copier, a member of a group, that writes its history: BOOTSTRAP IN OUT PARTITIONS GROUP FILE NAME. One transaction in ten is aborted on
 * purpose. After any error it begins anew, with new clients.
 */
public final class HistoryCopier {
    private final String[] args;
    private final String name;
    private final int partitions;
    private final HistoryFile history;
    private final Random chance = new Random();
    private long records;
    private long transactions;

    private HistoryCopier(String[] args) {
        this.args = args;
        partitions = Integer.parseInt(args[3]);
        history = new HistoryFile(args[5]);
        name = args[6];
    }

    public static void main(String[] args) {
        Check.main(() -> new HistoryCopier(args).run());
    }

    private void run() {
        Clients clients = new Clients(args[0]);
        while (HistoryFile.goesOn()) {
            try (KafkaConsumer<byte[], byte[]> consumer = clients.groupConsumer(args[4], "isolation.level", "read_committed", "max.poll.records", "40", "auto.offset.reset",
                     "none", "session.timeout.ms", "6000", "heartbeat.interval.ms", "500", "reconnect.backoff.max.ms", "300", "request.timeout.ms", "5000",
                     "default.api.timeout.ms", "15000", "client.rack", "zone-1", "socket.connection.setup.timeout.ms", "2000");
                 KafkaProducer<byte[], byte[]> producer = clients.producer("transactional.id", name, "transaction.timeout.ms", "15000", "delivery.timeout.ms", "14000",
                     "request.timeout.ms", "4000", "max.block.ms", "20000", "reconnect.backoff.max.ms", "300", "linger.ms", "0", "socket.connection.setup.timeout.ms", "2000")) {
                producer.initTransactions();
                consumer.subscribe(List.of(args[1]));
                while (HistoryFile.goesOn()) {
                    ConsumerRecords<byte[], byte[]> records = poll(consumer);
                    if (!records.isEmpty()) process(consumer, producer, records);
                }
            } catch (KafkaException | IllegalStateException error) {
                System.err.printf(Locale.ROOT, "%.3f begins anew after %s%n", HistoryFile.now(), error);
            }
        }
        history.close();
    }

    /** What is said to be lost, though the group has committed it, goes into the history. */
    private ConsumerRecords<byte[], byte[]> poll(KafkaConsumer<byte[], byte[]> consumer) {
        double asked = HistoryFile.now();
        try {
            return consumer.poll(Duration.ofMillis(100));
        } catch (OffsetOutOfRangeException lost) {
            lost.offsetOutOfRangePartitions().forEach((part, offset) -> history.write("range", place(part) + String.format(Locale.ROOT, ",\"o\":%d,%s", offset, since(asked))));
            throw lost;
        } catch (NoOffsetForPartitionException none) {
            for (TopicPartition part : none.partitions()) history.write("fetched", place(part) + ",\"g\":\"" + args[4] + "\",\"o\":-1," + since(asked));
            throw none;
        }
    }

    private String place(TopicPartition part) {
        return "\"c\":\"" + name + "\",\"p\":\"" + part.topic() + "/" + part.partition() + "\"";
    }

    private static String since(double asked) {
        return String.format(Locale.ROOT, "\"a\":%.6f,\"b\":%.6f", asked, HistoryFile.now());
    }

    private void process(KafkaConsumer<byte[], byte[]> consumer, KafkaProducer<byte[], byte[]> producer, ConsumerRecords<byte[], byte[]> batch) {
        boolean abort = chance.nextInt(10) == 0;
        String txn = name + "-" + ++transactions;
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        batch.partitions().forEach(part -> offsets.put(part, new OffsetAndMetadata(consumer.position(part))));
        ConsumerGroupMetadata member = consumer.groupMetadata();
        double asked = HistoryFile.now();
        String result = "unknown";
        try {
            producer.beginTransaction();
            for (ConsumerRecord<byte[], byte[]> record : batch) send(producer, record, txn);
            asked = HistoryFile.now();
            producer.sendOffsetsToTransaction(offsets, member);
            if (abort) producer.abortTransaction();
            else producer.commitTransaction();
            result = abort ? "aborted" : "committed";
        } finally {
            String places = offsets.entrySet().stream().map(entry -> String.format("[\"%s\",\"%s/%d\",%d]", args[4], entry.getKey().topic(), entry.getKey().partition(),
                entry.getValue().offset())).collect(Collectors.joining(","));
            history.write("end", String.format(Locale.ROOT, "\"c\":\"%s\",\"x\":\"%s\",\"m\":\"%s\",\"gen\":%d,\"r\":\"%s\",\"offs\":[%s],%s", name, txn,
                member.memberId(), member.generationId(), result, places, since(asked)));
        }
        if (abort) throw new KafkaException("an abort on purpose");
    }

    private void send(KafkaProducer<byte[], byte[]> producer, ConsumerRecord<byte[], byte[]> record, String txn) {
        long number = records++;
        byte[] value = HistoryFile.value(name, number);
        int partition = (int) (record.offset() % partitions);
        String who = "\"c\":\"" + name + "\",\"n\":" + number;
        history.write("send", String.format(Locale.ROOT, "%s,\"k\":\"txn\",\"p\":\"%s/%d\",\"h\":%d,\"t\":%.6f,\"x\":\"%s\",\"s\":[\"%s/%d\",%d]", who, args[2], partition,
            HistoryFile.crc(value), HistoryFile.now(), txn, record.topic(), record.partition(), record.offset()));
        producer.send(new ProducerRecord<>(args[2], partition, null, value), (at, error) ->
            history.write(error == null ? "ack" : "fail", String.format(Locale.ROOT, "%s,\"t\":%.6f,%s", who, HistoryFile.now(),
                error == null ? "\"o\":" + at.offset() : "\"why\":\"" + error.getClass().getSimpleName() + "\"")));
    }
}
