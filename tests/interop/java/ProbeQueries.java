import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.TreeMap;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiVersionsRequestData;
import org.apache.kafka.common.message.ApiVersionsResponseData;
import org.apache.kafka.common.message.DescribeClientQuotasRequestData;
import org.apache.kafka.common.message.DescribeClusterRequestData;
import org.apache.kafka.common.message.DescribeLogDirsRequestData;
import org.apache.kafka.common.message.DescribeProducersRequestData;
import org.apache.kafka.common.message.DescribeTopicPartitionsRequestData;
import org.apache.kafka.common.message.FindCoordinatorRequestData;
import org.apache.kafka.common.message.ListPartitionReassignmentsRequestData;
import org.apache.kafka.common.message.MetadataRequestData;
import org.apache.kafka.common.message.MetadataRequestData.MetadataRequestTopic;
import org.apache.kafka.common.protocol.ApiKeys;

/** Questions about the cluster. `(api versions)` is compared by name only for the APIs that a server must have. */
final class ProbeQueries {
    private final Probe probe;

    ProbeQueries(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        versions();
        metadata();
        topicPartitions();
        others();
    }

    private static ApiVersionsRequestData versionsOf(String software) {
        return new ApiVersionsRequestData().setClientSoftwareName(software).setClientSoftwareVersion("1");
    }

    private void versions() throws Exception {
        TreeMap<String, String> ranges = new TreeMap<>();
        try (Wire wire = new Wire(probe.bootstrap)) {
            var answer = (ApiVersionsResponseData) wire.ask(versionsOf("probe"), 4);
            Check.equal(answer.errorCode(), (short) 0, "error of ApiVersions");
            answer.apiKeys().forEach(key -> ranges.put(ApiKeys.forId(key.apiKey()).name(), key.minVersion() + "-" + key.maxVersion()));
        }
        ObjectNode node = new ObjectMapper().createObjectNode();
        ranges.forEach(node::put);
        probe.note("(api versions)", node);
        ObjectNode error = new ObjectMapper().createObjectNode();
        for (int version = 0; version <= 4; version++) {
            try (Wire wire = new Wire(probe.bootstrap)) {
                error.put("v" + version, ((ApiVersionsResponseData) wire.ask(versionsOf("probe"), version)).errorCode());
            }
        }
        probe.note("api versions: every version", error);
        try (Wire wire = new Wire(probe.bootstrap)) {
            var answer = (ApiVersionsResponseData) wire.answer(versionsOf("probe"), 99, 0);
            ObjectNode told = new ObjectMapper().createObjectNode().put("errorCode", answer.errorCode());
            answer.apiKeys().stream().filter(key -> key.apiKey() == 18).forEach(key -> told.put("range", key.minVersion() + "-" + key.maxVersion()));
            probe.note("api versions: version 99", told);
        }
        try (Wire wire = new Wire(probe.bootstrap)) {
            var answer = (ApiVersionsResponseData) wire.ask(versionsOf("-bad name-"), 4);
            probe.note("api versions: bad client name", new ObjectMapper().createObjectNode().put("errorCode", answer.errorCode()));
        }
        probe.ask("metadata: version 99", new MetadataRequestData(), 99, 13);
    }

    private static MetadataRequestData about(MetadataRequestTopic... topics) {
        return new MetadataRequestData().setTopics(List.of(topics)).setAllowAutoTopicCreation(false);
    }

    private void metadata() throws Exception {
        probe.ask("metadata: one topic", about(new MetadataRequestTopic().setName(probe.topic("data"))), 13);
        probe.ask("metadata: no topic", about(), 13);
        probe.ask("metadata: unknown topic", about(new MetadataRequestTopic().setName(probe.topic("absent"))), 13);
        probe.ask("metadata: bad name", about(new MetadataRequestTopic().setName("not good")), 13);
        probe.ask("metadata: bad name, creating", about(new MetadataRequestTopic().setName("not good")).setAllowAutoTopicCreation(true), 13);
        probe.ask("metadata: unknown id", about(new MetadataRequestTopic().setName(null).setTopicId(new Uuid(7, 8))), 13);
        probe.ask("metadata: by id", about(new MetadataRequestTopic().setName(null).setTopicId(probe.id("data"))), 13);
        probe.ask("metadata: id and name", about(new MetadataRequestTopic().setName(probe.topic("data")).setTopicId(probe.id("data"))), 13);
        probe.ask("metadata: null name, no id", about(new MetadataRequestTopic().setName(null)), 13);
        probe.sweep("metadata: all versions", new MetadataRequestData().setTopics(List.of(new MetadataRequestTopic().setName(probe.topic("data")))));
        probe.ask("metadata: creating", about(new MetadataRequestTopic().setName(probe.topic("made"))).setAllowAutoTopicCreation(true), 13);
    }

    private void topicPartitions() throws Exception {
        for (String name : List.of("data", "absent")) {
            probe.ask("topic partitions: " + name, new DescribeTopicPartitionsRequestData().setTopics(List.of(
                new DescribeTopicPartitionsRequestData.TopicRequest().setName(probe.topic(name)))).setResponsePartitionLimit(100), 0);
        }
        probe.ask("topic partitions: limit 1", new DescribeTopicPartitionsRequestData().setTopics(List.of(
            new DescribeTopicPartitionsRequestData.TopicRequest().setName(probe.topic("data")))).setResponsePartitionLimit(1), 0);
        probe.ask("topic partitions: cursor", new DescribeTopicPartitionsRequestData().setTopics(List.of(
            new DescribeTopicPartitionsRequestData.TopicRequest().setName(probe.topic("data")))).setResponsePartitionLimit(10)
            .setCursor(new DescribeTopicPartitionsRequestData.Cursor().setTopicName(probe.topic("data")).setPartitionIndex(1)), 0);
    }

    private void others() throws Exception {
        probe.sweep("cluster", new DescribeClusterRequestData());
        probe.ask("cluster: controllers", new DescribeClusterRequestData().setEndpointType((byte) 2), 2);
        probe.ask("cluster: endpoint type 9", new DescribeClusterRequestData().setEndpointType((byte) 9), 2);
        var dirs = new DescribeLogDirsRequestData.DescribableLogDirTopicCollection();
        dirs.add(new DescribeLogDirsRequestData.DescribableLogDirTopic().setTopic(probe.topic("data")).setPartitions(List.of(0, 9)));
        probe.ask("log dirs: two partitions, one unknown", new DescribeLogDirsRequestData().setTopics(dirs), 4);
        for (int partition : new int[] {1, 9}) {
            probe.ask("producers: partition " + partition, new DescribeProducersRequestData().setTopics(List.of(
                new DescribeProducersRequestData.TopicRequest().setName(probe.topic("data")).setPartitionIndexes(List.of(partition)))), 0);
        }
        probe.ask("producers: unknown topic", new DescribeProducersRequestData().setTopics(List.of(
            new DescribeProducersRequestData.TopicRequest().setName(probe.topic("absent")).setPartitionIndexes(List.of(0)))), 0);
        probe.ask("reassignments", new ListPartitionReassignmentsRequestData().setTopics(null).setTimeoutMs(5000), 0);
        probe.ask("quotas", new DescribeClientQuotasRequestData().setStrict(false), 1);
        probe.ask("coordinator: of kind 9", new FindCoordinatorRequestData().setKeyType((byte) 9).setCoordinatorKeys(List.of("x")), 6);
    }
}
