import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.AddOffsetsToTxnRequestData;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData;
import org.apache.kafka.common.message.CreateTopicsRequestData;
import org.apache.kafka.common.message.DescribeProducersRequestData;
import org.apache.kafka.common.message.DescribeTransactionsRequestData;
import org.apache.kafka.common.message.EndTxnRequestData;
import org.apache.kafka.common.message.EndTxnResponseData;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.InitProducerIdRequestData;
import org.apache.kafka.common.message.InitProducerIdResponseData;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.ListTransactionsRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.TxnOffsetCommitRequestData;
import org.apache.kafka.common.message.WriteTxnMarkersRequestData;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.SimpleRecord;

/** Transactions of both versions, one request at a time. Ends are waited for: Kafka does them after it has answered. */
final class ProbeTransactions {
    private final Probe probe;
    private Uuid id;
    private String name;
    private long producer;
    private short epoch;
    private int sequence;

    ProbeTransactions(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        var topics = new CreateTopicsRequestData.CreatableTopicCollection();
        topics.add(new CreateTopicsRequestData.CreatableTopic().setName(probe.topic("txn")).setNumPartitions(3).setReplicationFactor((short) 1));
        probe.ask("txn: create", new CreateTopicsRequestData().setTopics(topics).setTimeoutMs(10_000), 7);
        id = probe.id("txn");
        inits();
        versionOne();
        versionTwo();
        offsets();
        fenced();
        told();
        markers();
    }

    private InitProducerIdRequestData init(String name) {
        return new InitProducerIdRequestData().setTransactionalId(name).setTransactionTimeoutMs(60_000);
    }

    private void begin(String what) throws Exception {
        name = probe.topic(what);
        var answer = (InitProducerIdResponseData) probe.settle(init(name), 5);
        producer = answer.producerId();
        epoch = answer.producerEpoch();
        sequence = 0;
    }

    private void inits() throws Exception {
        String mine = probe.topic("init");
        probe.askSettled("txn init: again", init(mine), 5);
        probe.sweep("txn init: all versions", init(mine));
        probe.ask("txn init: empty id", init(""), 5);
        for (int timeout : new int[] {0, -1, 900_000, 900_001}) {
            probe.ask("txn init: timeout " + timeout, init(probe.topic("init" + timeout)).setTransactionTimeoutMs(timeout), 5);
        }
        var now = (InitProducerIdResponseData) probe.settle(init(mine), 5);
        probe.ask("txn init: with its id and epoch", init(mine).setProducerId(now.producerId()).setProducerEpoch(now.producerEpoch()), 5);
        probe.ask("txn init: with its id and epoch, again", init(mine).setProducerId(now.producerId()).setProducerEpoch(now.producerEpoch()), 5);
        probe.ask("txn init: with an old epoch", init(mine).setProducerId(now.producerId()).setProducerEpoch((short) (now.producerEpoch() - 1)), 5);
        probe.ask("txn init: with a wrong id", init(mine).setProducerId(now.producerId() + 1_000_000).setProducerEpoch((short) 0), 5);
        probe.ask("txn init: an id without an epoch", init(mine).setProducerId(now.producerId()), 5);
        probe.ask("txn init: two phases", init(mine).setEnable2Pc(true), 6);
        probe.ask("txn init: keeping what is prepared", init(mine).setKeepPreparedTxn(true), 6);
    }

    private MemoryRecords batch(long producer, short epoch, int sequence) {
        return MemoryRecords.withTransactionalRecords(Compression.NONE, producer, epoch, sequence,
            new SimpleRecord(System.currentTimeMillis(), "k".getBytes(), "v".getBytes()));
    }

    private ProduceRequestData records(int partition, MemoryRecords records) {
        var topics = new ProduceRequestData.TopicProduceDataCollection();
        topics.add(new ProduceRequestData.TopicProduceData().setName(probe.topic("txn")).setTopicId(id).setPartitionData(List.of(
            new ProduceRequestData.PartitionProduceData().setIndex(partition).setRecords(records))));
        return new ProduceRequestData().setTransactionalId(name).setAcks((short) -1).setTimeoutMs(10_000).setTopicData(topics);
    }

    private void produce(String what, int partition, int version) throws Exception {
        probe.ask("txn produce: " + what, records(partition, batch(producer, epoch, sequence)), version);
    }

    private AddPartitionsToTxnRequestData adding(int... partitions) {
        var topics = new AddPartitionsToTxnRequestData.AddPartitionsToTxnTopicCollection();
        topics.add(new AddPartitionsToTxnRequestData.AddPartitionsToTxnTopic().setName(probe.topic("txn"))
            .setPartitions(java.util.Arrays.stream(partitions).boxed().toList()));
        return new AddPartitionsToTxnRequestData().setV3AndBelowTransactionalId(name).setV3AndBelowProducerId(producer)
            .setV3AndBelowProducerEpoch(epoch).setV3AndBelowTopics(topics);
    }

    private AddPartitionsToTxnRequestData batched(boolean verify, int... partitions) {
        var transactions = new AddPartitionsToTxnRequestData.AddPartitionsToTxnTransactionCollection();
        transactions.add(new AddPartitionsToTxnRequestData.AddPartitionsToTxnTransaction().setTransactionalId(name).setProducerId(producer)
            .setProducerEpoch(epoch).setVerifyOnly(verify).setTopics(adding(partitions).v3AndBelowTopics().duplicate()));
        return new AddPartitionsToTxnRequestData().setTransactions(transactions);
    }

    private EndTxnRequestData ending(boolean commit) {
        return new EndTxnRequestData().setTransactionalId(name).setProducerId(producer).setProducerEpoch(epoch).setCommitted(commit);
    }

    private EndTxnResponseData end(String what, boolean commit, int version) throws Exception {
        return (EndTxnResponseData) probe.ask("txn end: " + what, ending(commit), version);
    }

    private void state(String what) throws Exception {
        settleEnd();
        probe.ask("txn state: " + what, new DescribeTransactionsRequestData().setTransactionalIds(List.of(name)), 0);
        probe.ask("txn ends: " + what, ends(), 11);
    }

    /** Until the coordinator's state is no longer that of an end under way. */
    private void settleEnd() throws Exception {
        Check.eventually(() -> {
            try (Wire wire = new Wire(probe.bootstrap)) {
                return Wire.json(wire.ask(new DescribeTransactionsRequestData().setTransactionalIds(List.of(name)), 0), 0).toString().contains("Prepare");
            } catch (Exception error) {
                return error;
            }
        }, false, "the transaction has ended");
    }

    private ListOffsetsRequestData ends() {
        return new ListOffsetsRequestData().setReplicaId(-1).setIsolationLevel((byte) 1).setTopics(List.of(new ListOffsetsRequestData.ListOffsetsTopic()
            .setName(probe.topic("txn")).setPartitions(List.of(0, 1, 2).stream().map(partition -> new ListOffsetsRequestData.ListOffsetsPartition()
                .setPartitionIndex(partition).setTimestamp(-1)).toList())));
    }

    /** Clients of version 1 add partitions first, and end with EndTxn below 5. */
    private void versionOne() throws Exception {
        begin("one");
        end("nothing begun, v3", true, 3);
        produce("not added, v11", 0, 11);
        probe.ask("txn add: no such partition", adding(0, 9), 3);
        probe.sweep("txn add: all versions", adding(0));
        var other = adding(0);
        probe.ask("txn add: unknown transactional id", other.setV3AndBelowTransactionalId(probe.topic("nobody")), 3);
        probe.ask("txn add: another producer id", adding(0).setV3AndBelowProducerId(producer + 1_000_000), 3);
        probe.ask("txn add: an old epoch", adding(0).setV3AndBelowProducerEpoch((short) (epoch - 1)), 3);
        probe.ask("txn add: a later epoch", adding(0).setV3AndBelowProducerEpoch((short) (epoch + 1)), 3);
        probe.ask("txn add: empty id", adding(0).setV3AndBelowTransactionalId(""), 3);
        probe.ask("txn add: batch, verify only", batched(true, 0, 1), 5);
        probe.ask("txn add: batch v4", batched(false, 1), 4);
        produce("added, v11", 0, 11);
        produce("another partition, v11", 2, 11);
        state("ongoing, version 1");
        probe.ask("txn end: unknown id, v3", ending(true).setTransactionalId(probe.topic("nobody")), 3);
        probe.ask("txn end: unknown id, v5", ending(true).setTransactionalId(probe.topic("nobody")), 5);
        probe.ask("txn end: another producer id, v5", ending(true).setProducerId(producer + 1_000_000), 5);
        for (int version = 0; version <= 4; version++) {
            if (version > 0) probe.settle(adding(0), 3);
            if (version > 0) produce("again, before the end v" + version, 0, 11);
            end("v" + version, version % 2 == 0, version);
            settleEnd();
            end("again, v" + version, version % 2 == 0, version);
            end("otherwise, v" + version, version % 2 != 0, version);
            sequence++;
        }
        state("ended, version 1");
    }

    /** Clients of version 2: no adding; every end raises the epoch; an end that is asked again answers the same. */
    private void versionTwo() throws Exception {
        begin("two");
        produce("without adding", 0, 13);
        produce("without adding, v12", 1, 12);
        state("ongoing, version 2");
        var done = end("version 2", true, 5);
        state("ended, version 2");
        end("version 2, again", true, 5);
        end("version 2, otherwise", false, 5);
        sequence = 0;
        produce("of the epoch before", 0, 13);
        short before = epoch;
        epoch = done.producerEpoch();
        Check.equal((int) epoch, before + 1, "epoch after the end");
        done = end("version 2, abort of nothing", false, 5);
        settleEnd();
        epoch = done.producerEpoch();
        done = end("version 2, commit of nothing", true, 5);
        settleEnd();
        if (done.errorCode() == 0) epoch = done.producerEpoch();
        produce("next epoch", 0, 13);
        produce("next epoch, the same again", 0, 13);
        epoch++;
        produce("an epoch that was not given out", 0, 13);
        end("version 2, an epoch that was not given out", true, 5);
        epoch--;
        done = end("version 2, abort", false, 5);
        state("aborted, version 2");
        probe.ask("txn fetch: committed", fetch(1), 18);
        probe.ask("txn fetch: uncommitted", fetch(0), 18);
    }

    private FetchRequestData fetch(int isolation) {
        return new FetchRequestData().setMaxWaitMs(0).setMinBytes(0).setMaxBytes(1 << 20).setIsolationLevel((byte) isolation).setSessionEpoch(-1)
            .setTopics(List.of(new FetchRequestData.FetchTopic().setTopicId(id).setPartitions(List.of(0, 1).stream().map(partition ->
                new FetchRequestData.FetchPartition().setPartition(partition).setFetchOffset(0).setPartitionMaxBytes(1 << 20)).toList())));
    }

    private AddOffsetsToTxnRequestData addingOffsets(String group) {
        return new AddOffsetsToTxnRequestData().setTransactionalId(name).setProducerId(producer).setProducerEpoch(epoch).setGroupId(group);
    }

    private TxnOffsetCommitRequestData offset(String group, long at) {
        return new TxnOffsetCommitRequestData().setTransactionalId(name).setGroupId(group).setProducerId(producer).setProducerEpoch(epoch).setTopics(List.of(
            new TxnOffsetCommitRequestData.TxnOffsetCommitRequestTopic().setName(probe.topic("txn")).setPartitions(List.of(
                new TxnOffsetCommitRequestData.TxnOffsetCommitRequestPartition().setPartitionIndex(0).setCommittedOffset(at).setCommittedMetadata("n")))));
    }

    private void offsetsOf(String what, String group, boolean stable) throws Exception {
        probe.ask("txn offsets: " + what, new OffsetFetchRequestData().setRequireStable(stable).setGroups(List.of(new OffsetFetchRequestData.OffsetFetchRequestGroup()
            .setGroupId(group).setTopics(List.of(new OffsetFetchRequestData.OffsetFetchRequestTopics().setName(probe.topic("txn")).setTopicId(id)
                .setPartitionIndexes(List.of(0, 1)))))), 10);
    }

    private void offsets() throws Exception {
        begin("offsets");
        String group = probe.topic("txn-group");
        probe.ask("txn offsets: not added, v3", offset(group, 5), 3);
        probe.sweep("txn offsets: add, all versions", addingOffsets(group));
        probe.ask("txn offsets: add, no group", addingOffsets(""), 4);
        probe.ask("txn offsets: add, unknown id", addingOffsets(group).setTransactionalId(probe.topic("nobody")), 4);
        probe.ask("txn offsets: add, another producer", addingOffsets(group).setProducerId(producer + 1_000_000), 4);
        probe.ask("txn offsets: add, an old epoch", addingOffsets(group).setProducerEpoch((short) (epoch - 1)), 4);
        probe.sweep("txn offsets: commit, all versions", offset(group, 6));
        probe.ask("txn offsets: commit, a stranger", offset(group, 7).setMemberId("stranger").setGenerationId(3), 5);
        probe.ask("txn offsets: commit, an instance", offset(group, 7).setGroupInstanceId("i"), 5);
        probe.ask("txn offsets: commit, no group", offset("", 7), 5);
        var absent = offset(group, 7);
        absent.topics().get(0).setName(probe.topic("absent"));
        probe.ask("txn offsets: commit, unknown topic", absent, 5);
        probe.ask("txn offsets: commit, an old epoch", offset(group, 7).setProducerEpoch((short) (epoch - 1)), 5);
        probe.ask("txn offsets: commit, another producer", offset(group, 7).setProducerId(producer + 1_000_000), 5);
        offsetsOf("while open", group, false);
        offsetsOf("while open, stable", group, true);
        var done = end("with offsets", true, 5);
        settleEnd();
        Check.eventually(() -> {
            try {
                var answer = probe.settle(new OffsetFetchRequestData().setRequireStable(true).setGroups(List.of(new OffsetFetchRequestData.OffsetFetchRequestGroup()
                    .setGroupId(group).setTopics(null))), 10);
                return Wire.json(answer, 10).toString().contains("\"errorCode\":88");
            } catch (Exception error) {
                return error;
            }
        }, false, "no offset is pending");
        offsetsOf("after the commit, stable", group, true);
        epoch = done.producerEpoch();
        probe.ask("txn offsets: commit without adding, v5", offset(group, 9), 5);
        end("with offsets, abort", false, 5);
        state("after an abort with offsets");
        offsetsOf("after the abort", group, false);
    }

    /** A second life of the transactional id, with the first one's transaction open. */
    private void fenced() throws Exception {
        begin("fenced");
        produce("of the first life", 2, 13);
        short first = epoch;
        var second = (InitProducerIdResponseData) probe.settle(init(name), 5);
        probe.ask("txn fenced: end", ending(true), 5);
        probe.ask("txn fenced: end, v4", ending(true), 4);
        probe.ask("txn fenced: end, v1", ending(true), 1);
        probe.ask("txn fenced: add", adding(0), 3);
        probe.ask("txn fenced: add, v1", adding(0), 1);
        sequence = 1;
        produce("of a fenced producer", 2, 13);
        probe.ask("txn fenced: init with the old epoch", init(name).setProducerId(producer).setProducerEpoch(first), 5);
        epoch = second.producerEpoch();
        state("fenced");
    }

    private void told() throws Exception {
        begin("told");
        sequence = 0;
        produce("to be told", 1, 13);
        for (String filter : List.of("Ongoing", "ongoing", "Happy", "CompleteAbort")) {
            probe.ask("txn list: state " + filter, new ListTransactionsRequestData().setStateFilters(List.of(filter)), 2);
        }
        probe.sweep("txn list: all versions", new ListTransactionsRequestData().setProducerIdFilters(List.of(producer)));
        probe.ask("txn list: older than an hour", new ListTransactionsRequestData().setDurationFilter(3_600_000), 2);
        probe.ask("txn list: a pattern", new ListTransactionsRequestData().setTransactionalIdPattern(".*to[l-m]d"), 2);
        probe.ask("txn list: a bad pattern", new ListTransactionsRequestData().setTransactionalIdPattern("(open"), 2);
        probe.ask("txn list: an empty pattern, by producer", new ListTransactionsRequestData().setTransactionalIdPattern("").setProducerIdFilters(List.of(producer)), 2);
        probe.ask("txn describe: known, unknown, no name", new DescribeTransactionsRequestData().setTransactionalIds(List.of(name, probe.topic("nobody"), "")), 0);
        probe.ask("txn producers", new DescribeProducersRequestData().setTopics(List.of(new DescribeProducersRequestData.TopicRequest()
            .setName(probe.topic("txn")).setPartitionIndexes(List.of(2)))), 0);
    }

    private WriteTxnMarkersRequestData marker(long producer, int epoch, boolean commit, int partition) {
        return new WriteTxnMarkersRequestData().setMarkers(List.of(new WriteTxnMarkersRequestData.WritableTxnMarker().setProducerId(producer)
            .setProducerEpoch((short) epoch).setTransactionResult(commit).setCoordinatorEpoch(0).setTopics(List.of(
                new WriteTxnMarkersRequestData.WritableTxnMarkerTopic().setName(probe.topic("txn")).setPartitionIndexes(List.of(partition))))));
    }

    /** What `kafka-transactions abort` sends for a transaction that hangs. */
    private void markers() throws Exception {
        probe.ask("txn markers: an old epoch", marker(producer, epoch - 1, false, 1), 1);
        probe.ask("txn markers: unknown partition", marker(producer, epoch, false, 9), 1);
        probe.ask("txn markers: abort", marker(producer, epoch, false, 1), 1);
        probe.ask("txn markers: abort again, v2", marker(producer, epoch, false, 1), 2);
        probe.ask("txn ends: after the marker", ends(), 11);
        probe.ask("txn markers: nothing", new WriteTxnMarkersRequestData(), 1);
    }
}
