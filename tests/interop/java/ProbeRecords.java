import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.CreateTopicsRequestData;
import org.apache.kafka.common.message.DeleteRecordsRequestData;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.InitProducerIdRequestData;
import org.apache.kafka.common.message.InitProducerIdResponseData;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.SimpleRecord;

/** Producing, fetching, offsets and deleting records: good, odd and bad requests. */
final class ProbeRecords {
    private static final int PRODUCE = 13;
    private static final int FETCH = 18;
    private final Probe probe;
    private Uuid id;

    ProbeRecords(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        var topics = new CreateTopicsRequestData.CreatableTopicCollection();
        topics.add(new CreateTopicsRequestData.CreatableTopic().setName(probe.topic("data")).setNumPartitions(3).setReplicationFactor((short) 1));
        probe.ask("records: create", new CreateTopicsRequestData().setTopics(topics).setTimeoutMs(10_000), 7);
        id = probe.id("data");
        plain();
        bad();
        idempotent();
        fetches();
        offsets();
        deletes();
    }

    private static SimpleRecord[] records(int count) {
        SimpleRecord[] all = new SimpleRecord[count];
        long now = System.currentTimeMillis();
        for (int i = 0; i < count; i++) all[i] = new SimpleRecord(now, ("k" + i).getBytes(), ("v" + i).getBytes());
        return all;
    }

    private static MemoryRecords batch(int count) {
        return MemoryRecords.withRecords(Compression.NONE, records(count));
    }

    private ProduceRequestData produce(Uuid topic, int partition, MemoryRecords records, int acks) {
        var topics = new ProduceRequestData.TopicProduceDataCollection();
        topics.add(new ProduceRequestData.TopicProduceData().setName(probe.topic("data")).setTopicId(topic).setPartitionData(List.of(
            new ProduceRequestData.PartitionProduceData().setIndex(partition).setRecords(records))));
        return new ProduceRequestData().setAcks((short) acks).setTimeoutMs(10_000).setTopicData(topics);
    }

    private void write(String name, MemoryRecords records) throws Exception {
        probe.ask("produce: " + name, produce(id, 0, records, -1), PRODUCE);
    }

    /** As `write`, to partition 2: where a server may well differ, which must not move the offsets of other cases. */
    private void odd(String name, MemoryRecords records) throws Exception {
        probe.ask("produce: " + name, produce(id, 2, records, -1), PRODUCE);
    }

    private void plain() throws Exception {
        write("three records", batch(3));
        write("two more", batch(2));
        probe.ask("produce: acks 1", produce(id, 0, batch(1), 1), PRODUCE);
        probe.ask("produce: unknown topic id", produce(new Uuid(3, 4), 0, batch(1), -1), PRODUCE);
        probe.ask("produce: unknown partition", produce(id, 7, batch(1), -1), PRODUCE);
        probe.ask("produce: negative partition", produce(id, -1, batch(1), -1), PRODUCE);
        var named = produce(Uuid.ZERO_UUID, 0, batch(1), -1);
        named.topicData().iterator().next().setName(probe.topic("absent"));
        probe.ask("produce: unknown topic, by name", named, 12);
        probe.ask("produce: acks 2", produce(id, 0, batch(1), 2), PRODUCE);
        probe.ask("produce: nothing", new ProduceRequestData().setAcks((short) -1).setTimeoutMs(1000), PRODUCE);
        probe.ask("produce: a transactional id, no transaction", produce(id, 2, batch(1), -1).setTransactionalId("not-begun"), PRODUCE);
    }

    /** A batch with one byte, short or int changed. */
    private static MemoryRecords changed(int position, int value) {
        ByteBuffer buffer = batch(2).buffer().duplicate();
        ByteBuffer copy = ByteBuffer.allocate(buffer.remaining()).put(buffer);
        copy.flip().put(position, (byte) value);
        return MemoryRecords.readableRecords(copy);
    }

    private static MemoryRecords joined(MemoryRecords... parts) {
        ByteBuffer all = ByteBuffer.allocate(100_000);
        for (MemoryRecords part : parts) all.put(part.buffer().duplicate());
        return MemoryRecords.readableRecords(all.flip());
    }

    private void bad() throws Exception {
        write("no batch", MemoryRecords.EMPTY);
        write("wrong checksum", changed(60, 99));
        write("magic 1", changed(16, 1));
        write("magic 7", changed(16, 7));
        write("two batches", joined(batch(1), batch(1)));
        write("half a batch", MemoryRecords.readableRecords(batch(2).buffer().duplicate().limit(70)));
        odd("a batch and a half", joined(batch(1), MemoryRecords.readableRecords(batch(2).buffer().duplicate().limit(70))));
        write("base offset 77", MemoryRecords.withRecords(77L, Compression.NONE, records(1)));
        write("too large", MemoryRecords.withRecords(Compression.NONE, new SimpleRecord(new byte[1_048_588])));
        write("a control batch", MemoryRecords.withEndTransactionMarker(5, (short) 0,
            new org.apache.kafka.common.record.EndTransactionMarker(org.apache.kafka.common.record.ControlRecordType.COMMIT, 0)));
        odd("leader epoch 12", MemoryRecords.withRecords(Compression.NONE, 12, records(1)));
        write("timestamp far in the future", MemoryRecords.withRecords(Compression.NONE,
            new SimpleRecord(System.currentTimeMillis() + 7_200_000, "future".getBytes())));
        odd("no timestamp", MemoryRecords.withRecords(Compression.NONE, new SimpleRecord(-1, "none".getBytes())));
    }

    private static MemoryRecords sequenced(long producer, int epoch, int sequence, int count) {
        return MemoryRecords.withIdempotentRecords(Compression.NONE, producer, (short) epoch, sequence, records(count));
    }

    /** Sequences in and out of order, repeats, epochs, producer ids that nobody gave out. */
    private void idempotent() throws Exception {
        var given = (InitProducerIdResponseData) probe.ask("producer: new id", new InitProducerIdRequestData()
            .setTransactionalId(null).setTransactionTimeoutMs(60_000), 5);
        long me = given.producerId();
        write("sequence 0", sequenced(me, 0, 0, 2));
        write("sequence 0 again", sequenced(me, 0, 0, 2));
        write("sequence 2", sequenced(me, 0, 2, 3));
        write("sequence 0 late again", sequenced(me, 0, 0, 2));
        write("sequence 9 is early", sequenced(me, 0, 9, 1));
        write("sequence 3 cuts a batch", sequenced(me, 0, 3, 2));
        for (int i = 0; i < 6; i++) write("one record, sequence " + (5 + i), sequenced(me, 0, 5 + i, 1));
        write("sequence 0 beyond the window", sequenced(me, 0, 0, 2));
        write("epoch 1 begins at 4", sequenced(me, 1, 4, 1));
        write("epoch 1 begins at 0", sequenced(me, 1, 0, 1));
        write("epoch 0 is old", sequenced(me, 0, 11, 1));
        odd("an unknown producer begins at 0", sequenced(me + 900, 0, 0, 1));
        odd("an unknown producer begins at 5", sequenced(me + 901, 0, 5, 1));
        write("two batches of one producer", joined(sequenced(me + 903, 0, 0, 1), sequenced(me + 903, 0, 1, 1)));
        probe.ask("producer: empty transactional id", new InitProducerIdRequestData().setTransactionalId("").setTransactionTimeoutMs(60_000), 5);
        probe.ask("producer: bump of an epoch", new InitProducerIdRequestData().setTransactionalId(null)
            .setTransactionTimeoutMs(60_000).setProducerId(me).setProducerEpoch((short) 1), 5);
    }

    private FetchRequestData fetch(Uuid topic, int partition, long offset, int maxBytes) {
        return new FetchRequestData().setMaxWaitMs(0).setMinBytes(0).setMaxBytes(maxBytes).setSessionEpoch(-1).setTopics(List.of(
            new FetchRequestData.FetchTopic().setTopic(probe.topic("data")).setTopicId(topic).setPartitions(List.of(new FetchRequestData.FetchPartition()
                .setPartition(partition).setFetchOffset(offset).setPartitionMaxBytes(1 << 20)))));
    }

    private void fetches() throws Exception {
        probe.ask("fetch: all", fetch(id, 0, 0, 1 << 20), FETCH);
        probe.ask("fetch: inside a batch", fetch(id, 0, 1, 1 << 20), FETCH);
        probe.ask("fetch: one byte", fetch(id, 0, 0, 1), FETCH);
        probe.ask("fetch: no bytes", fetch(id, 0, 0, 0), FETCH);
        probe.ask("fetch: empty partition", fetch(id, 1, 0, 1 << 20), FETCH);
        probe.ask("fetch: beyond the end", fetch(id, 1, 1, 1 << 20), FETCH);
        probe.ask("fetch: negative offset", fetch(id, 1, -5, 1 << 20), FETCH);
        probe.ask("fetch: unknown partition", fetch(id, 9, 0, 1 << 20), FETCH);
        probe.ask("fetch: unknown topic id", fetch(new Uuid(5, 6), 0, 0, 1 << 20), FETCH);
        probe.ask("fetch: zero topic id", fetch(Uuid.ZERO_UUID, 0, 0, 1 << 20), FETCH);
        probe.ask("fetch: committed", fetch(id, 0, 0, 1 << 20).setIsolationLevel((byte) 1), FETCH);
        probe.ask("fetch: unknown session", fetch(id, 0, 0, 100).setSessionId(4711).setSessionEpoch(3), FETCH);
        var epoch = fetch(id, 0, 0, 1 << 20);
        epoch.topics().get(0).partitions().get(0).setCurrentLeaderEpoch(9);
        probe.ask("fetch: leader epoch from the future", epoch, FETCH);
        var unknown = fetch(Uuid.ZERO_UUID, 0, 0, 1 << 20);
        unknown.topics().get(0).setTopic(probe.topic("absent"));
        probe.ask("fetch: unknown topic, by name", unknown, 12);
        probe.sweep("fetch: all versions", fetch(id, 0, 0, 1 << 20));
    }

    private ListOffsetsRequestData offsets(String topic, int partition, int epoch, long stamp) {
        return new ListOffsetsRequestData().setReplicaId(-1).setTopics(List.of(new ListOffsetsRequestData.ListOffsetsTopic()
            .setName(topic).setPartitions(List.of(new ListOffsetsRequestData.ListOffsetsPartition().setPartitionIndex(partition)
                .setCurrentLeaderEpoch(epoch).setTimestamp(stamp)))));
    }

    private void offsets() throws Exception {
        String data = probe.topic("data");
        for (long stamp : new long[] {-1, -2, -4, -5, -6, -7, Long.MAX_VALUE}) {
            probe.ask("offsets: timestamp " + stamp, offsets(data, 0, -1, stamp), 11);
        }
        for (long stamp : new long[] {-1, -2, -3, 0}) {
            probe.ask("offsets: empty partition, timestamp " + stamp, offsets(data, 1, -1, stamp), 11);
        }
        probe.ask("offsets: unknown partition", offsets(data, 9, -1, -1), 11);
        probe.ask("offsets: unknown topic", offsets(probe.topic("absent"), 0, -1, -1), 11);
        probe.ask("offsets: leader epoch from the future", offsets(data, 0, 9, -1), 11);
        probe.ask("offsets: old version, max timestamp", offsets(data, 1, -1, -3), 6);
        probe.sweep("offsets: all versions", offsets(data, 0, -1, -1));
        for (int epoch : new int[] {-1, 0, 1, 99}) {
            probe.ask("leader epoch: " + epoch, epoch(data, 0, -1, epoch), 4);
        }
        probe.ask("leader epoch: unknown partition", epoch(data, 9, -1, 0), 4);
        probe.ask("leader epoch: unknown topic", epoch(probe.topic("absent"), 0, -1, 0), 4);
        probe.ask("leader epoch: current one from the future", epoch(data, 0, 5, 0), 4);
        probe.sweep("leader epoch: all versions", epoch(data, 0, -1, 0));
    }

    private static OffsetForLeaderEpochRequestData epoch(String topic, int partition, int current, int epoch) {
        var topics = new OffsetForLeaderEpochRequestData.OffsetForLeaderTopicCollection();
        topics.add(new OffsetForLeaderEpochRequestData.OffsetForLeaderTopic().setTopic(topic).setPartitions(List.of(
            new OffsetForLeaderEpochRequestData.OffsetForLeaderPartition().setPartition(partition)
                .setCurrentLeaderEpoch(current).setLeaderEpoch(epoch))));
        return new OffsetForLeaderEpochRequestData().setReplicaId(-1).setTopics(topics);
    }

    private void delete(String name, String topic, int partition, long offset) throws Exception {
        probe.ask("delete records: " + name, new DeleteRecordsRequestData().setTimeoutMs(10_000).setTopics(List.of(
            new DeleteRecordsRequestData.DeleteRecordsTopic().setName(topic).setPartitions(List.of(
                new DeleteRecordsRequestData.DeleteRecordsPartition().setPartitionIndex(partition).setOffset(offset))))), 2);
    }

    private void deletes() throws Exception {
        String data = probe.topic("data");
        delete("beyond the end", data, 0, 1000);
        delete("negative", data, 0, -2);
        delete("unknown partition", data, 9, 0);
        delete("unknown topic", probe.topic("absent"), 0, 0);
        delete("before 2", data, 0, 2);
        delete("before 1, which is past", data, 0, 1);
        probe.ask("fetch: below the start", fetch(id, 0, 0, 1 << 20), FETCH);
        probe.ask("fetch: from the start", fetch(id, 0, 2, 200), FETCH);
        probe.ask("offsets: start after deleting", offsets(data, 0, -1, -2), 11);
        delete("all", data, 0, -1);
        probe.ask("fetch: nothing left", fetch(id, 0, 0, 1 << 20), FETCH);
    }
}
