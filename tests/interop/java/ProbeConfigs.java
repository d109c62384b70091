import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.TreeMap;
import org.apache.kafka.common.message.AlterConfigsRequestData;
import org.apache.kafka.common.message.CreateTopicsRequestData;
import org.apache.kafka.common.message.DescribeConfigsRequestData;
import org.apache.kafka.common.message.DescribeConfigsRequestData.DescribeConfigsResource;
import org.apache.kafka.common.message.DescribeConfigsResponseData;
import org.apache.kafka.common.message.IncrementalAlterConfigsRequestData;

/** Topic configs: names, defaults, types and sources; what altering refuses. */
final class ProbeConfigs {
    private static final byte TOPIC = 2;
    private static final byte BROKER = 4;
    private final Probe probe;

    ProbeConfigs(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        CreateTopicsRequestData.CreatableTopicCollection topics = new CreateTopicsRequestData.CreatableTopicCollection();
        topics.add(new CreateTopicsRequestData.CreatableTopic().setName(probe.topic("configs")).setNumPartitions(1).setReplicationFactor((short) 1));
        probe.ask("configs: create", new CreateTopicsRequestData().setTopics(topics).setTimeoutMs(10_000), 7);
        told("retention.ms", "604800000 source=5");
        describe();
        incremental();
        replace();
        told("max.message.bytes", "5000 source=1");
        state("configs: at the end");
    }

    private DescribeConfigsRequestData asked(byte type, String name, List<String> keys) {
        return new DescribeConfigsRequestData().setResources(List.of(new DescribeConfigsResource().setResourceType(type)
            .setResourceName(name).setConfigurationKeys(keys))).setIncludeSynonyms(true);
    }

    private void describe() throws Exception {
        state("configs: defaults of a topic");
        probe.sweep("configs: unknown topic", asked(TOPIC, probe.topic("absent"), null));
        probe.ask("configs: bad topic name", asked(TOPIC, "not good", null), 4);
        probe.ask("configs: empty topic name", asked(TOPIC, "", null), 4);
        probe.ask("configs: unknown broker", asked(BROKER, "4711", null), 4);
        probe.ask("configs: broker that is no number", asked(BROKER, "first", null), 4);
        probe.ask("configs: unknown kind of resource", asked((byte) 99, "x", null), 4);
        keys("configs: two keys, one unknown", List.of("retention.ms", "no.such.config"));
        keys("configs: no keys", List.of());
    }

    private void keys(String name, List<String> keys) throws Exception {
        probe.note(name, entries(asked(TOPIC, probe.topic("configs"), keys)));
    }

    private void state(String name) throws Exception {
        probe.note(name, entries(asked(TOPIC, probe.topic("configs"), null)));
    }

    /** Waits until the broker tells this of the topic: Kafka's brokers follow its controller a moment later. */
    private void told(String name, String start) throws InterruptedException {
        Check.eventually(() -> {
            try {
                return entries(asked(TOPIC, probe.topic("configs"), null)).path(name).asText().startsWith(start);
            } catch (Exception error) {
                return error;
            }
        }, true, name + " of the topic");
    }

    /** Name ▸ value, source, type, and whether it can be changed, in order of names. */
    private ObjectNode entries(DescribeConfigsRequestData request) throws Exception {
        TreeMap<String, String> all = new TreeMap<>();
        try (Wire wire = new Wire(probe.bootstrap)) {
            var result = ((DescribeConfigsResponseData) wire.ask(request, 4)).results().get(0);
            all.put("(error)", "" + result.errorCode());
            for (var entry : result.configs()) {
                all.put(entry.name(), "%s source=%d type=%d readOnly=%b sensitive=%b".formatted(entry.value(),
                    entry.configSource(), entry.configType(), entry.readOnly(), entry.isSensitive()));
            }
        }
        ObjectNode node = new ObjectMapper().createObjectNode();
        all.forEach(node::put);
        return node;
    }

    private void incremental(String name, String topic, String key, String value, int operation) throws Exception {
        var configs = new IncrementalAlterConfigsRequestData.AlterableConfigCollection();
        configs.add(new IncrementalAlterConfigsRequestData.AlterableConfig().setName(key).setValue(value)
            .setConfigOperation((byte) operation));
        var resources = new IncrementalAlterConfigsRequestData.AlterConfigsResourceCollection();
        resources.add(new IncrementalAlterConfigsRequestData.AlterConfigsResource().setResourceType(TOPIC)
            .setResourceName(topic).setConfigs(configs));
        probe.ask("alter: " + name, new IncrementalAlterConfigsRequestData().setResources(resources), 1);
    }

    private void incremental() throws Exception {
        String topic = probe.topic("configs");
        incremental("set", topic, "retention.ms", "60000", 0);
        incremental("set, bad value", topic, "retention.ms", "soon", 0);
        incremental("set to null", topic, "retention.ms", null, 0);
        incremental("unknown config", topic, "no.such.config", "1", 0);
        incremental("unknown operation", topic, "retention.ms", "1", 9);
        incremental("append to a list", topic, "cleanup.policy", "compact", 2);
        incremental("append to no list", topic, "retention.ms", "1", 2);
        incremental("subtract from a list", topic, "cleanup.policy", "delete", 3);
        incremental("subtract what is not there", topic, "cleanup.policy", "delete", 3);
        incremental("delete", topic, "cleanup.policy", null, 1);
        incremental("delete what is not set", topic, "max.message.bytes", null, 1);
        incremental("unknown topic", probe.topic("absent"), "retention.ms", "1", 0);
        incremental("bad topic name", "not good", "retention.ms", "1", 0);
    }

    private void replace(String name, String topic, String key, String value) throws Exception {
        var configs = new AlterConfigsRequestData.AlterableConfigCollection();
        configs.add(new AlterConfigsRequestData.AlterableConfig().setName(key).setValue(value));
        var resources = new AlterConfigsRequestData.AlterConfigsResourceCollection();
        resources.add(new AlterConfigsRequestData.AlterConfigsResource().setResourceType(TOPIC).setResourceName(topic).setConfigs(configs));
        probe.ask("replace: " + name, new AlterConfigsRequestData().setResources(resources), 2);
    }

    private void replace() throws Exception {
        replace("bad value", probe.topic("configs"), "retention.ms", "soon");
        replace("unknown config", probe.topic("configs"), "no.such.config", "1");
        replace("unknown topic", probe.topic("absent"), "retention.ms", "1");
        replace("good", probe.topic("configs"), "max.message.bytes", "5000");
    }
}
