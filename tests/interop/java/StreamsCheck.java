import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams 4.2 under exactly_once_v2: BOOTSTRAP PREFIX FOLDER. One application counts words (repartitioned, in a state store),
 * counts per window of a minute, and joins a stream with a table. It is stopped, its local state thrown away, and started again: what it
 * then answers rests on the changelog topics. A second instance shares the work.
 */
public final class StreamsCheck {
    private static final String[] WORDS = {"amber", "basalt", "chalk", "dolomite", "emerald", "flint", "granite"};
    private final Clients clients;
    private final String prefix;
    private final Path folder;
    /** Two hours ago: what is older than a topic's retention may go at any time. */
    private final long base = (System.currentTimeMillis() - 7_200_000) / 60_000 * 60_000;
    private final Map<String, Long> words = new TreeMap<>();
    private final Map<String, Long> windows = new TreeMap<>();
    private int lines;

    private StreamsCheck(String[] args) {
        clients = new Clients(args[0]);
        prefix = args[1];
        folder = Path.of(args[2]);
    }

    public static void main(String[] args) {
        Check.main(() -> new StreamsCheck(args).run());
    }

    private String topic(String name) {
        return prefix + "-" + name;
    }

    private void run() throws Exception {
        for (String name : List.of("lines", "colours", "counts", "minutes", "joined")) clients.create(topic(name), 3, Map.of());
        table();
        try (KafkaStreams streams = started("one")) {
            write(300);
            settled(streams, "the first part");
            Check.step("word count");
        }
        try (KafkaStreams streams = started("two")) {  // another folder: nothing but the changelogs tells it what was counted
            settled(streams, "after restoring");
            Check.step("restored");
            write(200);
            settled(streams, "the second part");
            try (KafkaStreams helper = started("three")) {
                write(200);
                settled(null, "with two instances");
                Check.step("two instances");
            }
        }
        outputs();
        internalTopics();
    }

    private KafkaStreams started(String instance) throws Exception {
        Properties settings = new Properties();
        settings.putAll(Map.of("bootstrap.servers", clients.bootstrap, "application.id", prefix, "processing.guarantee", "exactly_once_v2",
            "state.dir", folder.resolve(instance).toString(), "commit.interval.ms", "200", "num.stream.threads", "1", "replication.factor", "1",
            "statestore.cache.max.bytes", "0"));
        settings.put("consumer.session.timeout.ms", "6000");
        settings.put("consumer.heartbeat.interval.ms", "300");
        settings.put("metadata.max.age.ms", "1000");
        settings.put("probing.rebalance.interval.ms", "60000");
        KafkaStreams streams = new KafkaStreams(topology(), settings);
        streams.start();
        Check.eventually(streams::state, KafkaStreams.State.RUNNING, "state of instance " + instance);
        return streams;
    }

    private org.apache.kafka.streams.Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        var strings = Serdes.String();
        var lines = builder.stream(topic("lines"), Consumed.with(strings, strings));
        var split = lines.flatMapValues(line -> List.of(line.split(" "))).groupBy((key, word) -> word, Grouped.with("by-word", strings, strings));
        split.count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("words").withKeySerde(strings).withValueSerde(Serdes.Long()))
            .toStream().mapValues(count -> "" + count).to(topic("counts"), Produced.with(strings, strings));
        split.windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofDays(1)))
            .count(Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("minutes").withKeySerde(strings).withValueSerde(Serdes.Long()))
            .toStream().map((window, count) -> KeyValue.pair(window.key() + "@" + (window.window().start() - base) / 60_000, "" + count))
            .to(topic("minutes"), Produced.with(strings, strings));
        KTable<String, String> colours = builder.table(topic("colours"), Consumed.with(strings, strings),
            Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("colours").withKeySerde(strings).withValueSerde(strings));
        lines.join(colours, (line, colour) -> colour + ": " + line).to(topic("joined"), Produced.with(strings, strings));
        return builder.build();
    }

    private static String owner(int i) {
        return "owner-" + i % 5;
    }

    /** The table's rows are there before the stream's first; the last value of a key holds, and a key without a value has no row. */
    private void table() {
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            for (String round : List.of("pale", "dark")) {
                for (int i = 0; i < 5; i++) producer.send(new ProducerRecord<>(topic("colours"), null, base - 1000, Clients.bytes(owner(i)), Clients.bytes(round + " " + i)));
            }
            producer.send(new ProducerRecord<>(topic("colours"), null, base - 1000, Clients.bytes(owner(4)), (byte[]) null));
        }
    }

    /** Lines of three words, ten a minute in event time. */
    private void write(int count) {
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            for (int end = lines + count; lines < end; lines++) {
                StringBuilder line = new StringBuilder();
                long minute = lines / 10;
                for (int j = 0; j < 3; j++) {
                    String word = WORDS[(lines * 3 + j * 5) % WORDS.length];
                    line.append(j == 0 ? "" : " ").append(word);
                    words.merge(word, 1L, Long::sum);
                    windows.merge(word + "@" + minute, 1L, Long::sum);
                }
                producer.send(new ProducerRecord<>(topic("lines"), null, base + minute * 60_000 + lines % 10, Clients.bytes(owner(lines)), Clients.bytes(line.toString())));
            }
        }
    }

    /** The store, if one instance has it all, and the last counts written are those of all lines so far. */
    private void settled(KafkaStreams streams, String what) throws Exception {
        eventually(() -> last("counts"), words, "counts written, " + what);
        if (streams != null) eventually(() -> store(streams), words, "counts in the store, " + what);
        eventually(() -> last("minutes"), windows, "counts per minute, " + what);
    }

    private static void eventually(Supplier<Map<String, Long>> got, Map<String, Long> want, String what) throws Exception {
        Check.eventually(got, want, what);
    }

    private static Map<String, Long> store(KafkaStreams streams) {
        Map<String, Long> all = new TreeMap<>();
        ReadOnlyKeyValueStore<String, Long> store = streams.store(StoreQueryParameters.fromNameAndType("words", QueryableStoreTypes.keyValueStore()));
        try (var rows = store.all()) {
            rows.forEachRemaining(row -> all.put(row.key, row.value));
        }
        return all;
    }

    private Map<String, Long> last(String name) {
        Map<String, Long> last = new TreeMap<>();
        committed(name).forEach(record -> last.put(Clients.text(record.key()), Long.parseLong(Clients.text(record.value()))));
        return last;
    }

    private List<ConsumerRecord<byte[], byte[]>> committed(String name) {
        return clients.readAll(topic(name), 3, "isolation.level", "read_committed");
    }

    /** Exactly once: every count of a word is written once, from one up; every line of an owner with a colour is joined once. */
    private void outputs() {
        Map<String, List<Long>> steps = new HashMap<>();
        committed("counts").forEach(record -> steps.computeIfAbsent(Clients.text(record.key()), key -> new ArrayList<>()).add(Long.parseLong(Clients.text(record.value()))));
        for (String word : words.keySet()) {
            List<Long> want = new ArrayList<>();
            for (long i = 1; i <= words.get(word); i++) want.add(i);
            Check.equal(steps.get(word), want, "counts of " + word);
        }
        int joined = 0;
        for (var record : committed("joined")) {
            String number = Clients.text(record.key()).substring("owner-".length());
            Check.that(Clients.text(record.value()).startsWith("dark " + number + ": "), "a joined line: " + Clients.text(record.value()));
            joined++;
        }
        Check.equal(joined, lines / 5 * 4, "joined lines");
        Check.step("outputs");
    }

    /** The topics that Streams made for itself, with the policies that it needs. */
    private void internalTopics() throws Exception {
        Map<String, String> policies = new TreeMap<>();
        try (var admin = clients.admin()) {
            for (String name : admin.listTopics().names().get()) {
                if (!name.startsWith(prefix + "-") || !name.endsWith("-changelog") && !name.endsWith("-repartition")) continue;
                var resource = new org.apache.kafka.common.config.ConfigResource(org.apache.kafka.common.config.ConfigResource.Type.TOPIC, name);
                String policy = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("cleanup.policy").value();
                policies.put(name.substring(prefix.length() + 1), policy);
            }
        }
        Check.equal(policies, new TreeMap<>(Map.of("by-word-repartition", "delete", "words-changelog", "compact", "minutes-changelog", "compact,delete",
            "colours-changelog", "compact")), "internal topics and their policies");
        Check.step("internal topics");
    }
}
