import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** Kafka's admin client 4.2: BOOTSTRAP TOPIC BASE-TIMESTAMP. */
public final class AdminCheck {
    private final Clients clients;
    private final Admin admin;
    private final String topic;
    private final long base;
    private final ConfigResource resource;

    private AdminCheck(String[] args) {
        clients = new Clients(args[0]);
        admin = clients.admin();
        topic = args[1];
        base = Long.parseLong(args[2]);
        resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    public static void main(String[] args) {
        Check.main(() -> new AdminCheck(args).run());
    }

    private void run() throws Exception {
        cluster();
        create();
        configs();
        records();
        offsets();
        producers();
        partitions();
        deleteRecords();
        logDirs();
        empties();
        delete();
    }

    private int node() throws Exception {
        return admin.describeCluster().controller().get().id();
    }

    /** One node that is its own controller, a cluster id, finalized features. */
    private void cluster() throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        Check.equal(cluster.nodes().get().size(), 1, "nodes");
        var only = cluster.nodes().get().iterator().next();
        Check.equal(only.host() + ":" + only.port(), clients.bootstrap, "address of the node");
        Check.equal(cluster.controller().get().id(), only.id(), "controller");
        Check.that(cluster.clusterId().get() != null && !cluster.clusterId().get().isEmpty(), "cluster id");
        FeatureMetadata features = admin.describeFeatures().featureMetadata().get();
        for (String name : List.of("metadata.version", "transaction.version", "group.version")) {
            var levels = features.finalizedFeatures().get(name);
            Check.that(levels != null && levels.maxVersionLevel() >= 1, "finalized feature " + name + ": " + levels);
            Check.that(features.supportedFeatures().containsKey(name), "supported feature " + name);
        }
        Check.that(features.finalizedFeaturesEpoch().isPresent(), "epoch of the finalized features");
        Check.step("cluster");
    }

    /** Creates with and without defaults and configs; the answer tells what was made; validate-only makes nothing. */
    private void create() throws Exception {
        NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "123456789"));
        CreateTopicsResult dry = admin.createTopics(List.of(wanted), new CreateTopicsOptions().validateOnly(true));
        Check.equal(dry.numPartitions(topic).get(), 3, "partitions of a dry run");
        Check.equal(admin.listTopics().names().get().contains(topic), false, "a dry run made the topic");
        CreateTopicsResult made = admin.createTopics(List.of(wanted));
        Check.equal(made.numPartitions(topic).get(), 3, "partitions told");
        Check.equal(made.replicationFactor(topic).get(), 1, "replication factor told");
        Check.equal(made.config(topic).get().get("retention.ms").value(), "123456789", "config told");
        Check.fails(TopicExistsException.class, () -> admin.createTopics(List.of(wanted)).all().get(), "second creation");
        admin.createTopics(List.of(new NewTopic(topic + "-defaults", Optional.empty(), Optional.empty()))).all().get();
        awaitPartitions(topic + "-defaults", 1);
        awaitPartitions(topic, 3);
        TopicDescription told = describe(topic);
        Check.equal(told.topicId(), made.topicId(topic).get(), "topic id");
        Check.equal(told.isInternal(), false, "internal");
        Check.equal(admin.describeTopics(TopicCollection.ofTopicIds(List.of(told.topicId()))).allTopicIds().get()
            .get(told.topicId()).name(), topic, "topic described by id");
        for (int i = 0; i < 3; i++) {
            TopicPartitionInfo partition = told.partitions().get(i);
            Check.equal(partition.partition(), i, "partition");
            Check.equal(partition.leader().id(), node(), "leader");
            Check.equal(partition.replicas().size() + "/" + partition.isr().size(), "1/1", "replicas and in-sync replicas");
        }
        Check.that(admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get().contains(topic), "listed");
        Check.fails(UnknownTopicOrPartitionException.class, () -> describe(topic + "-absent"), "describe an unknown topic");
        Check.step("create and describe");
    }

    /** Kafka's brokers follow its controller a moment later, so what was changed is waited for. */
    private void awaitPartitions(String name, int count) throws InterruptedException {
        Check.eventually(() -> quietly(() -> describe(name).partitions().size()), count, "partitions of " + name);
    }

    private void awaitConfig(String name, String value, String what) throws InterruptedException {
        Check.eventually(() -> quietly(() -> config(name).value()), value, what);
    }

    private TopicDescription describe(String name) throws ExecutionException, InterruptedException {
        return admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
    }

    private ConfigEntry config(String name) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
    }

    private void alter(String name, String value, OpType kind) throws Exception {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value), kind);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    /** Set, append, subtract, delete; sources and defaults; unknown names and bad values refused, nothing changed. */
    private void configs() throws Exception {
        Check.equal(config("retention.ms").value(), "123456789", "retention.ms as created");
        Check.equal(config("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "its source");
        Check.equal(config("cleanup.policy").value(), "delete", "default cleanup.policy");
        Check.equal(config("cleanup.policy").isDefault(), true, "cleanup.policy is a default");
        alter("max.message.bytes", "2000000", OpType.SET);
        awaitConfig("max.message.bytes", "2000000", "max.message.bytes after SET");
        alter("cleanup.policy", "compact", OpType.APPEND);
        awaitConfig("cleanup.policy", "delete,compact", "cleanup.policy after APPEND");
        alter("cleanup.policy", "compact", OpType.SUBTRACT);
        awaitConfig("cleanup.policy", "delete", "cleanup.policy after SUBTRACT");
        alter("max.message.bytes", null, OpType.DELETE);
        awaitConfig("max.message.bytes", "1048588", "max.message.bytes after DELETE");
        Check.fails(InvalidConfigurationException.class, () -> { alter("retention.ms", "soon", OpType.SET); return 0; }, "bad value");
        Check.fails(InvalidConfigurationException.class, () -> { alter("no.such.config", "1", OpType.SET); return 0; }, "unknown name");
        Check.equal(config("retention.ms").value(), "123456789", "retention.ms after a refusal");
        ConfigResource absent = new ConfigResource(ConfigResource.Type.TOPIC, topic + "-absent");
        Check.fails(UnknownTopicOrPartitionException.class, () -> admin.describeConfigs(List.of(absent)).all().get(), "configs of an unknown topic");
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "" + node());
        Check.that(admin.describeConfigs(List.of(broker)).all().get().get(broker).entries().size() > 10, "broker configs");
        Check.step("configs");
    }

    /** 100 records in partition 0 with known timestamps, the newest in the middle; 10 in partition 1. */
    private void records() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = clients.producer("batch.size", "500")) {
            for (int i = 0; i < 100; i++) {
                long stamp = base + (i == 60 ? 5000 : i);
                producer.send(new ProducerRecord<>(topic, 0, stamp, null, Clients.bytes("v" + i)));
            }
            for (int i = 0; i < 10; i++) {
                producer.send(new ProducerRecord<>(topic, 1, base + i, null, Clients.bytes("w" + i)));
            }
        }
    }

    private ListOffsetsResultInfo offset(int partition, OffsetSpec spec) throws Exception {
        TopicPartition at = new TopicPartition(topic, partition);
        return admin.listOffsets(Map.of(at, spec)).partitionResult(at).get();
    }

    private void checkOffset(int partition, OffsetSpec spec, long offset, long stamp) throws Exception {
        ListOffsetsResultInfo info = offset(partition, spec);
        String what = spec.getClass().getSimpleName() + " of partition " + partition;
        Check.equal(info.offset(), offset, what + ": offset");
        Check.equal(info.timestamp(), stamp, what + ": timestamp");
    }

    /** Every kind of OffsetSpec, on a filled, a small and an empty partition. */
    private void offsets() throws Exception {
        checkOffset(0, OffsetSpec.earliest(), 0, -1);
        checkOffset(0, OffsetSpec.latest(), 100, -1);
        checkOffset(0, OffsetSpec.maxTimestamp(), 60, base + 5000);
        checkOffset(0, OffsetSpec.forTimestamp(base + 42), 42, base + 42);
        checkOffset(0, OffsetSpec.forTimestamp(base + 99), 60, base + 5000);
        checkOffset(0, OffsetSpec.forTimestamp(base + 5001), -1, -1);
        checkOffset(0, OffsetSpec.earliestLocal(), 0, -1);
        checkOffset(0, OffsetSpec.latestTiered(), -1, -1);
        checkOffset(0, OffsetSpec.earliestPendingUpload(), -1, -1);
        checkOffset(1, OffsetSpec.maxTimestamp(), 9, base + 9);
        checkOffset(2, OffsetSpec.earliest(), 0, -1);
        checkOffset(2, OffsetSpec.latest(), 0, -1);
        checkOffset(2, OffsetSpec.maxTimestamp(), -1, -1);
        checkOffset(2, OffsetSpec.forTimestamp(base), -1, -1);
        TopicPartition absent = new TopicPartition(topic + "-absent", 0);
        Admin brief = Admin.create(Map.of("bootstrap.servers", clients.bootstrap, "default.api.timeout.ms", "2000", "request.timeout.ms", "1000"));
        Check.fails(ApiException.class,
            () -> brief.listOffsets(Map.of(absent, OffsetSpec.latest())).all().get(), "offsets of an unknown topic");
        brief.close();
        Check.step("list offsets");
    }

    /** The idempotent producer that wrote is described with its last sequence. */
    private void producers() throws Exception {
        TopicPartition at = new TopicPartition(topic, 0);
        List<ProducerState> states = admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers();
        Check.equal(states.size(), 1, "active producers");
        Check.equal(states.get(0).lastSequence(), 99, "last sequence");
        Check.equal(states.get(0).producerEpoch(), 0, "epoch");
        Check.equal(states.get(0).currentTransactionStartOffset().isPresent(), false, "an open transaction");
        Check.step("describe producers");
    }

    /** More partitions: numbers go on, old data stays; fewer are refused. */
    private void partitions() throws Exception {
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
        awaitPartitions(topic, 5);
        Check.fails(InvalidPartitionsException.class,
            () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get(), "fewer partitions");
        Check.equal(clients.readAll(topic, 5).size(), 110, "records after the increase");
        Check.step("more partitions");
    }

    private static <T> T quietly(Callable<T> call) {
        try {
            return call.call();
        } catch (Exception error) {
            return null;
        }
    }

    /** Records below an offset go, the start offset says so, and beyond the end is refused. */
    private void deleteRecords() throws Exception {
        TopicPartition at = new TopicPartition(topic, 0);
        Check.equal(admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(30))).lowWatermarks().get(at).get().lowWatermark(), 30L, "low watermark");
        checkOffset(0, OffsetSpec.earliest(), 30, -1);
        checkOffset(0, OffsetSpec.latest(), 100, -1);
        List<Long> left = new ArrayList<>();
        for (ConsumerRecord<byte[], byte[]> record : clients.readAll(topic, 1)) {
            Check.equal(Clients.text(record.value()), "v" + record.offset(), "value at " + record.offset());
            left.add(record.offset());
        }
        Check.equal(left.get(0) + "…" + left.get(left.size() - 1) + ":" + left.size(), "30…99:70", "offsets left");
        Check.fails(OffsetOutOfRangeException.class,
            () -> admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(101))).all().get(), "beyond the end");
        Check.equal(admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(at).get().lowWatermark(), 100L, "all records");
        checkOffset(0, OffsetSpec.earliest(), 100, -1);
        Check.equal(clients.readAll(topic, 1).size(), 0, "records after deleting all");
        Check.step("delete records");
    }

    /** One log directory without an error that lists the topic's partitions. */
    private void logDirs() throws Exception {
        Map<String, LogDirDescription> dirs = admin.describeLogDirs(List.of(node())).allDescriptions().get().get(node());
        Check.equal(dirs.size(), 1, "log directories");
        LogDirDescription only = dirs.values().iterator().next();
        Check.equal(only.error(), null, "error of the log directory");
        for (int i = 0; i < 5; i++) {
            var replica = only.replicaInfos().get(new TopicPartition(topic, i));
            Check.that(replica != null && !replica.isFuture(), "partition " + i + " in the log directory");
            Check.that(replica.size() >= 0, "its size " + replica.size());
        }
        long small = only.replicaInfos().get(new TopicPartition(topic, 1)).size();
        Check.that(small > 0, "size of partition 1 in the log directory: " + small);
        Check.step("log dirs");
    }

    /** What a fresh cluster has none of. */
    private void empties() throws Exception {
        Check.equal(admin.listPartitionReassignments().reassignments().get(), Map.of(), "reassignments");
        Check.equal(admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get(), new HashMap<>(), "quotas");
        Check.step("reassignments and quotas");
    }

    /** Deleted by name and by id; gone at once; the name can be used again, empty, with a new id. */
    private void delete() throws Exception {
        Uuid before = describe(topic).topicId();
        admin.deleteTopics(List.of(topic)).all().get();
        Check.eventually(() -> quietly(() -> admin.listTopics().names().get().contains(topic)), false, "topic is listed");
        Check.fails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(topic)).all().get(), "second delete");
        clients.create(topic, 1, Map.of());
        awaitPartitions(topic, 1);
        Uuid after = describe(topic).topicId();
        Check.that(!before.equals(after), "a new topic has a new id");
        Check.equal(clients.readAll(topic, 1).size(), 0, "records in the new topic");
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(after))).all().get();
        Check.eventually(() -> quietly(() -> admin.listTopics().names().get().contains(topic)), false, "topic is listed after delete by id");
        Check.step("delete");
    }
}
