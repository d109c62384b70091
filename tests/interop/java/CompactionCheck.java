import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/**
 * Keyed records with tombstones, of all codecs, in transactions that end well or badly and lie between one another, into compacted topics. The order is a
 * function of the seed, so that offsets are the same on every server. Then waits until compaction has left exactly what Kafka promises, and prints that:
 * the driver compares two servers' lines.
 *
 * Arguments: bootstrap, topic prefix, base timestamp, seed, seconds to settle.
 */
public class CompactionCheck {
    static final int PARTITIONS = 2, STEPS = 500, KEYS = 40;
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final Map<String, Map<String, String>> TOPICS = new LinkedHashMap<>();
    static {
        TOPICS.put("values", Map.of("delete.retention.ms", "500"));
        TOPICS.put("tombstones", Map.of());
        TOPICS.put("young", Map.of("min.compaction.lag.ms", "604800000"));
    }

    /** A record that was sent, and whether consumers may see it. */
    record Sent(int partition, long offset, long timestamp, String key, String value, String headers, boolean[] aborted) {
        String line() {
            return partition + " " + offset + " " + timestamp + " " + key + " " + value + " " + headers;
        }
    }

    /** A transaction that is open: its producer, what it sent, the partitions that it touched. */
    static final class Open {
        final boolean[] aborted = new boolean[1];
        final boolean[] touched = new boolean[PARTITIONS];
    }

    final Clients clients;
    final String topic;
    final long base;
    final Random chance;
    final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
    final Map<Integer, Open> open = new TreeMap<>();
    final long[] next = new long[PARTITIONS];
    final List<Sent> sent = new ArrayList<>();
    int number;

    CompactionCheck(Clients clients, String topic, long base, long seed) {
        this.clients = clients;
        this.topic = topic;
        this.base = base;
        this.chance = new Random(seed);
    }

    KafkaProducer<byte[], byte[]> plain(String codec) {
        return producers.computeIfAbsent(codec, name -> clients.producer("compression.type", name, "linger.ms", "5"));
    }

    KafkaProducer<byte[], byte[]> transactional(int id) {
        return producers.computeIfAbsent("t" + id, name -> {
            KafkaProducer<byte[], byte[]> producer = clients.producer("compression.type", CODECS[id % CODECS.length], "linger.ms", "5",
                "transactional.id", topic + "-" + name);
            producer.initTransactions();
            return producer;
        });
    }

    /** Sends some records to one partition with one producer, and waits until they are there. */
    void send(KafkaProducer<byte[], byte[]> producer, int partition, boolean[] aborted) throws Exception {
        int count = 1 + chance.nextInt(8);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        List<Future<RecordMetadata>> answers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String key = "key-" + chance.nextInt(KEYS);
            String value = chance.nextInt(4) == 0 ? null : "value-" + number + "-" + "x".repeat(chance.nextInt(300));
            List<Header> headers = number % 3 == 0 ? List.of(new RecordHeader("n", Clients.bytes("" + number)), new RecordHeader("null", null)) : List.of();
            records.add(new ProducerRecord<>(topic, partition, base + (number * 37L) % 5000, Clients.bytes(key), Clients.bytes(value), headers));
            number++;
        }
        for (ProducerRecord<byte[], byte[]> record : records) answers.add(producer.send(record));
        producer.flush();
        for (int i = 0; i < count; i++) {
            ProducerRecord<byte[], byte[]> record = records.get(i);
            long offset = answers.get(i).get().offset();
            Check.equal(offset, next[partition]++, "offset of record " + (number - count + i) + " of " + topic);
            sent.add(new Sent(partition, offset, record.timestamp(), Clients.text(record.key()), Clients.text(record.value()),
                text(record.headers()), aborted));
        }
    }

    /** Ends a transaction, and waits until its markers are there: Kafka writes them behind its answer. */
    void end(int id, Open transaction, boolean commit) throws Exception {
        KafkaProducer<byte[], byte[]> producer = transactional(id);
        if (commit) producer.commitTransaction();
        else producer.abortTransaction();
        transaction.aborted[0] = !commit;
        for (int partition = 0; partition < PARTITIONS; partition++) if (transaction.touched[partition]) next[partition]++;
        Check.eventually(() -> Arrays.toString(ends()), Arrays.toString(next), "ends of " + topic + " with the markers");
    }

    long[] ends() {
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer()) {
            List<TopicPartition> partitions = Clients.partitions(topic, PARTITIONS);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            return partitions.stream().mapToLong(ends::get).toArray();
        }
    }

    void write() throws Exception {
        for (int step = 0; step < STEPS; step++) {
            int id = chance.nextInt(5), partition = chance.nextInt(PARTITIONS);
            Open transaction = open.get(id);
            switch (chance.nextInt(8)) {
                case 0, 1, 2 -> send(plain(CODECS[id]), partition, new boolean[1]);
                case 3 -> {
                    if (transaction != null) end(id, open.remove(id), chance.nextInt(5) < 3);
                }
                default -> {
                    if (transaction == null) {
                        transactional(id).beginTransaction();
                        open.put(id, transaction = new Open());
                    }
                    transaction.touched[partition] = true;
                    send(transactional(id), partition, transaction.aborted);
                }
            }
        }
        for (int id : new ArrayList<>(open.keySet())) end(id, open.remove(id), id % 2 == 0);
        for (int partition = 0; partition < PARTITIONS; partition++) send(plain("none"), partition, new boolean[1]);
        producers.values().forEach(KafkaProducer::close);
        producers.clear();
    }

    static String text(Iterable<Header> headers) {
        StringBuilder out = new StringBuilder("[");
        headers.forEach(header -> out.append(header.key()).append('=').append(Clients.text(header.value())).append(';'));
        return out.append("]").toString();
    }

    /** Of what was sent and not aborted: the newest of each key, with or without tombstones. */
    List<String> newest(boolean tombstones) {
        Map<String, Sent> newest = new LinkedHashMap<>();
        for (Sent one : sent) if (!one.aborted[0]) newest.put(one.partition + " " + one.key, one);
        return newest.values().stream().filter(one -> tombstones || one.value != null)
            .sorted(Comparator.comparingInt(Sent::partition).thenComparingLong(Sent::offset)).map(Sent::line).toList();
    }

    List<String> all() {
        return sent.stream().filter(one -> !one.aborted[0])
            .sorted(Comparator.comparingInt(Sent::partition).thenComparingLong(Sent::offset)).map(Sent::line).toList();
    }

    List<String> expected(String name) {
        return switch (name) {
            case "values" -> newest(false);
            case "tombstones" -> newest(true);
            default -> all();
        };
    }

    /** What a consumer is shown of the input, up to the ends. What keeps compaction going lies behind it. */
    List<String> read(String isolation) {
        List<ConsumerRecord<byte[], byte[]>> records = clients.readAll(topic, PARTITIONS, "isolation.level", isolation);
        Function<ConsumerRecord<byte[], byte[]>, String> line = record -> new Sent(record.partition(), record.offset(), record.timestamp(),
            Clients.text(record.key()), Clients.text(record.value()), text(record.headers()), null).line();
        return records.stream().filter(record -> record.offset() < next[record.partition()])
            .sorted(Comparator.<ConsumerRecord<byte[], byte[]>>comparingInt(ConsumerRecord::partition).thenComparingLong(ConsumerRecord::offset))
            .map(line).toList();
    }

    /** One more record behind the input in each partition: a compactor may want something dirty, or a new log file, before it moves. */
    void tick() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = clients.producer()) {
            for (int partition = 0; partition < PARTITIONS; partition++) producer.send(new ProducerRecord<>(topic, partition, Clients.bytes("tick"), new byte[1])).get();
        }
    }

    /** Whatever compaction is at: nothing is shown that wasn't sent, and nothing is missing that must stay. */
    void promised(String name, List<String> shown) {
        Check.that(all().containsAll(shown), "only what was committed is shown of " + topic);
        List<String> missing = new ArrayList<>(expected(name));
        missing.removeAll(Set.copyOf(shown));
        Check.that(missing.isEmpty(), "the newest record of each key is in " + topic + ", but not these: " + missing);
    }

    boolean settled(String name) {
        List<String> committed = read("read_committed");
        promised(name, committed);
        List<String> expected = expected(name);
        // Aborted records go where the rest does.
        return committed.equals(expected) && (name.equals("young") || read("read_uncommitted").equals(expected));
    }

    static void refusal(Clients clients, String topic) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("linger.ms", "200")) {
            Future<RecordMetadata> good = producer.send(new ProducerRecord<>(topic, 0, Clients.bytes("key"), Clients.bytes("value")));
            Future<RecordMetadata> bad = producer.send(new ProducerRecord<>(topic, 0, null, Clients.bytes("value")));
            producer.flush();
            InvalidRecordException error = Check.fails(InvalidRecordException.class, bad::get, "a record without key");
            System.out.println("refusal: " + error.getMessage());
            KafkaException other = Check.fails(KafkaException.class, good::get, "a record with a key in the same batch");
            Check.equal(other.getClass(), KafkaException.class, "the kind of error of a record that only was in a bad batch");
        }
        Check.step("refusals");
    }

    public static void main(String[] args) {
        Check.main(() -> {
            Clients clients = new Clients(args[0]);
            long base = Long.parseLong(args[2]), seed = Long.parseLong(args[3]);
            long deadline = System.nanoTime() + Long.parseLong(args[4]) * 1_000_000_000L;
            Map<String, CompactionCheck> checks = new LinkedHashMap<>();
            for (Map.Entry<String, Map<String, String>> entry : TOPICS.entrySet()) {
                String topic = args[1] + "-" + entry.getKey();
                Map<String, String> configs = new HashMap<>(Map.of("cleanup.policy", "compact", "segment.ms", "200", "min.cleanable.dirty.ratio", "0.001"));
                configs.putAll(entry.getValue());
                clients.create(topic, PARTITIONS, configs);
                checks.put(entry.getKey(), new CompactionCheck(clients, topic, base, seed));
            }
            refusal(clients, args[1] + "-young");
            for (CompactionCheck check : checks.values()) check.write();
            Check.step("written");
            Map<String, CompactionCheck> left = new LinkedHashMap<>(checks);
            while (true) {
                for (CompactionCheck check : checks.values()) check.tick();
                Set<String> done = left.entrySet().stream().filter(one -> one.getValue().settled(one.getKey())).map(Map.Entry::getKey).collect(Collectors.toSet());
                left.keySet().removeAll(done);
                if (left.isEmpty()) break;
                Check.that(System.nanoTime() < deadline, "these have not settled: " + left.entrySet().stream()
                    .map(one -> one.getKey() + ": " + one.getValue().read("read_uncommitted").size() + " records, want " + one.getValue().expected(one.getKey()).size()).toList());
                Thread.sleep(300);
            }
            Check.step("settled");
            for (Map.Entry<String, CompactionCheck> one : checks.entrySet()) {
                Check.that(one.getValue().settled(one.getKey()), one.getKey() + " stays as it has settled");
                one.getValue().read("read_committed").forEach(line -> System.out.println("left: " + one.getKey() + " " + line));
            }
            Check.step("stays");
        });
    }
}
