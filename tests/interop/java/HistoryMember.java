import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Locale;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * A member of a group of its own, with the consumer protocol, that follows a topic, commits where it is, and writes its history: BOOTSTRAP TOPIC FILE NAME RACK.
 * The group begins at 0 in all partitions (begin_at_zero.py).
 */
public final class HistoryMember implements ConsumerRebalanceListener {
    private static final double EACH = 0.5; // seconds from commit to commit
    private final String name;
    private final HistoryFile history;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, Long> places = new HashMap<>();
    private final Map<TopicPartition, Long> said = new HashMap<>();

    private HistoryMember(HistoryFile history, KafkaConsumer<byte[], byte[]> consumer, String name) {
        this.history = history;
        this.consumer = consumer;
        this.name = name;
    }

    public static void main(String[] args) {
        Check.main(() -> {
            try (HistoryFile history = new HistoryFile(args[2]); KafkaConsumer<byte[], byte[]> consumer = new Clients(args[0]).groupConsumer(args[3],
                    "group.protocol", "consumer", "client.rack", args[4], "auto.offset.reset", "none", "fetch.max.wait.ms", "100", "request.timeout.ms", "5000",
                    "reconnect.backoff.max.ms", "300", "socket.connection.setup.timeout.ms", "2000", "default.api.timeout.ms", "30000")) {
                new HistoryMember(history, consumer, args[3]).follow(args[1]);
            }
        });
    }

    private void follow(String topic) {
        consumer.subscribe(List.of(topic), this);
        double due = HistoryFile.now();
        while (HistoryFile.goesOn()) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                TopicPartition part = new TopicPartition(record.topic(), record.partition());
                history.write("read", String.format(Locale.ROOT, "%s,\"i\":\"ru\",\"o\":%d,\"t\":%.6f,%s", place(part), record.offset(), HistoryFile.now(),
                    HistoryFile.named(record.value())));
                places.put(part, record.offset() + 1);
            }
            if (HistoryFile.now() >= due) {
                due = HistoryFile.now() + EACH;
                commit();
            }
        }
    }

    /** Says where it is, as far as that is new, and does not wait for the answer. */
    private void commit() {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        places.forEach((part, offset) -> {
            if (!offset.equals(said.put(part, offset))) offsets.put(part, new OffsetAndMetadata(offset));
        });
        if (offsets.isEmpty()) return;
        double asked = HistoryFile.now();
        consumer.commitAsync(offsets, (told, error) -> offsets.forEach((part, at) -> history.write("commit", String.format(Locale.ROOT,
            "%s,\"g\":\"%s\",\"gen\":null,\"o\":%d,\"a\":%.6f,\"b\":%.6f,\"r\":\"%s\"", place(part), name, at.offset(), asked, HistoryFile.now(),
            error == null ? "ok" : "unknown"))));
    }

    /** Goes on where the group is. */
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> parts) {
        double asked = HistoryFile.now();
        Map<TopicPartition, OffsetAndMetadata> told = consumer.committed(new HashSet<>(parts));
        for (TopicPartition part : parts) {
            long offset = told.get(part) == null ? -1 : told.get(part).offset();
            history.write("fetched", String.format(Locale.ROOT, "%s,\"g\":\"%s\",\"o\":%d,\"a\":%.6f,\"b\":%.6f", place(part), name, offset, asked, HistoryFile.now()));
            Check.that(offset >= 0, "an offset of the group's at " + part);
            history.write("at", String.format(Locale.ROOT, "%s,\"o\":%d,\"t\":%.6f", place(part), offset, HistoryFile.now()));
            consumer.seek(part, offset);
            places.put(part, offset);
        }
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> parts) {
        parts.forEach(places::remove);
    }

    private String place(TopicPartition part) {
        return "\"c\":\"" + name + "\",\"p\":\"" + part.topic() + "/" + part.partition() + "\"";
    }
}
