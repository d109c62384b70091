import java.time.Duration;
import java.util.List;
import java.util.Locale;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.TopicPartition;

/**
 * A reader that follows all of a topic and writes its history: BOOTSTRAP TOPIC PARTITIONS FILE NAME ISOLATION(rc|ru) RACK. It names its rack and
 * nothing else, begins at 0, and never goes elsewhere by itself.
 */
public final class HistoryReader {
    private HistoryReader() { }

    public static void main(String[] args) {
        Check.main(() -> run(args));
    }

    private static void run(String[] args) {
        List<TopicPartition> parts = Clients.partitions(args[1], Integer.parseInt(args[2]));
        try (HistoryFile history = new HistoryFile(args[3]); KafkaConsumer<byte[], byte[]> consumer = new Clients(args[0]).consumer("client.rack", args[6],
                "isolation.level", args[5].equals("rc") ? "read_committed" : "read_uncommitted", "fetch.max.wait.ms", "100", "request.timeout.ms", "5000",
                "reconnect.backoff.max.ms", "300", "metadata.max.age.ms", "2000", "socket.connection.setup.timeout.ms", "2000", "default.api.timeout.ms", "60000")) {
            consumer.assign(parts);
            parts.forEach(part -> consumer.seek(part, 0));
            parts.forEach(part -> history.write("at", String.format(Locale.ROOT, "\"c\":\"%s\",\"p\":\"%s/%d\",\"o\":0,\"t\":%.6f", args[4], part.topic(), part.partition(),
                HistoryFile.now())));
            while (HistoryFile.goesOn()) poll(consumer, history, args[4], args[5]);
        }
    }

    private static void poll(KafkaConsumer<byte[], byte[]> consumer, HistoryFile history, String name, String isolation) {
        double asked = HistoryFile.now();
        try {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                history.write("read", String.format(Locale.ROOT, "\"c\":\"%s\",\"i\":\"%s\",\"p\":\"%s/%d\",\"o\":%d,\"t\":%.6f,%s", name, isolation, record.topic(),
                    record.partition(), record.offset(), HistoryFile.now(), HistoryFile.named(record.value())));
            }
        } catch (OffsetOutOfRangeException lost) {
            lost.offsetOutOfRangePartitions().forEach((part, offset) -> history.write("range", String.format(Locale.ROOT,
                "\"c\":\"%s\",\"p\":\"%s/%d\",\"o\":%d,\"a\":%.6f,\"b\":%.6f", name, part.topic(), part.partition(), offset, asked, HistoryFile.now())));
            throw lost;
        }
    }
}
