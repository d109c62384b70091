import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.CreatePartitionsRequestData;
import org.apache.kafka.common.message.CreatePartitionsRequestData.CreatePartitionsTopic;
import org.apache.kafka.common.message.CreatePartitionsRequestData.CreatePartitionsTopicCollection;
import org.apache.kafka.common.message.CreateTopicsRequestData;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopic;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopicCollection;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopicConfig;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopicConfigCollection;
import org.apache.kafka.common.message.DeleteTopicsRequestData;
import org.apache.kafka.common.message.DeleteTopicsRequestData.DeleteTopicState;

/** Making, growing and deleting topics: what is refused, and with which error. */
final class ProbeTopics {
    private final Probe probe;

    ProbeTopics(Probe probe) {
        this.probe = probe;
    }

    void run() throws Exception {
        names();
        sizes();
        settings();
        partitions();
        deletes();
    }

    private static CreateTopicsRequestData create(boolean validateOnly, CreatableTopic... topics) {
        CreatableTopicCollection all = new CreatableTopicCollection();
        for (CreatableTopic topic : topics) all.add(topic);
        return new CreateTopicsRequestData().setTopics(all).setTimeoutMs(10_000).setValidateOnly(validateOnly);
    }

    private static CreatableTopic topic(String name, int partitions, int replicas) {
        return new CreatableTopic().setName(name).setNumPartitions(partitions).setReplicationFactor((short) replicas);
    }

    private static CreatableTopic topic(String name, Map<String, String> settings) {
        CreatableTopicConfigCollection configs = new CreatableTopicConfigCollection();
        settings.forEach((key, value) -> configs.add(new CreatableTopicConfig().setName(key).setValue(value)));
        return topic(name, 1, 1).setConfigs(configs);
    }

    private void names() throws Exception {
        for (String name : List.of("", ".", "..", "a/b", "with space", "ümlaut", "new\nline", "x".repeat(249), "x".repeat(250))) {
            String shown = name.length() > 100 ? name.length() + " characters" : name.replace("\n", "\\n");
            probe.ask("create: name '" + shown + "'", create(true, topic(name, 1, 1)), 7);
        }
        probe.ask("create: plain", create(false, topic(probe.topic("one"), 2, 1)), 7);
        probe.ask("create: it exists", create(false, topic(probe.topic("one"), 2, 1)), 7);
        probe.ask("create: it exists, validate only", create(true, topic(probe.topic("one"), 2, 1)), 7);
        probe.ask("create: name that collides", create(false, topic(probe.topic("dot.ted"), 1, 1)), 7);
        probe.ask("create: underscore for a dot", create(false, topic(probe.topic("dot_ted"), 1, 1)), 7);
        probe.ask("create: the same twice", create(false, topic(probe.topic("twice"), 1, 1), topic(probe.topic("twice"), 2, 1)), 7);
        probe.ask("create: good and bad together", create(false, topic(probe.topic("good"), 1, 1), topic("not good", 1, 1)), 7);
        probe.ask("create: nothing", create(false), 7);
        probe.sweep("create: it exists, all versions", create(false, topic(probe.topic("one"), 2, 1)));
    }

    private void sizes() throws Exception {
        for (int partitions : new int[] {-2, -1, 0, 1}) {
            probe.ask("create: " + partitions + " partitions", create(true, topic(probe.topic("size"), partitions, 1)), 7);
        }
        for (int replicas : new int[] {-2, -1, 0, 1, 2}) {
            probe.ask("create: " + replicas + " replicas", create(true, topic(probe.topic("size"), 1, replicas)), 7);
        }
    }

    private void settings() throws Exception {
        List<Map<String, String>> all = List.of(Map.of("no.such.config", "1"), Map.of("retention.ms", "soon"),
            Map.of("retention.ms", "-2"), Map.of("retention.ms", "-1"), Map.of("cleanup.policy", "shred"),
            Map.of("cleanup.policy", "compact,delete"), Map.of("cleanup.policy", ""), Map.of("max.message.bytes", "-1"),
            Map.of("compression.type", "rar"), Map.of("compression.type", "uncompressed"),
            Map.of("message.timestamp.type", "Yesterday"), Map.of("min.insync.replicas", "0"),
            Map.of("segment.bytes", "1"), Map.of("min.cleanable.dirty.ratio", "2"), Map.of("delete.retention.ms", "-1"));
        for (Map<String, String> settings : all) {
            probe.ask("create: with " + settings, create(true, topic(probe.topic("settings"), settings)), 7);
        }
    }

    private void grow(String name, String topic, int count, boolean validateOnly) throws Exception {
        CreatePartitionsTopicCollection topics = new CreatePartitionsTopicCollection();
        topics.add(new CreatePartitionsTopic().setName(probe.topic(topic)).setCount(count).setAssignments(null));
        probe.ask("partitions: " + name, new CreatePartitionsRequestData().setTopics(topics).setTimeoutMs(10_000)
            .setValidateOnly(validateOnly), 3);
    }

    private void partitions() throws Exception {
        grow("fewer", "one", 1, false);
        grow("as many", "one", 2, false);
        grow("none", "one", 0, false);
        grow("negative", "one", -1, false);
        grow("more, validate only", "one", 5, true);
        grow("more", "one", 3, false);
        grow("unknown topic", "absent", 3, false);
    }

    private void delete(String name, int version, DeleteTopicState... topics) throws Exception {
        probe.ask("delete: " + name, new DeleteTopicsRequestData().setTopics(List.of(topics)).setTimeoutMs(10_000), version);
    }

    private void deletes() throws Exception {
        delete("unknown name", 6, new DeleteTopicState().setName(probe.topic("absent")));
        delete("unknown id", 6, new DeleteTopicState().setName(null).setTopicId(new Uuid(1, 2)));
        delete("nothing", 6);
        delete("name and id", 6, new DeleteTopicState().setName(probe.topic("good")).setTopicId(probe.id("good")));
        delete("the same twice", 6, new DeleteTopicState().setName(probe.topic("good")), new DeleteTopicState().setName(probe.topic("good")));
        delete("by id", 6, new DeleteTopicState().setName(null).setTopicId(probe.id("dot.ted")));
        probe.sweep("delete: unknown name, all versions", new DeleteTopicsRequestData().setTimeoutMs(1000)
            .setTopicNames(List.of(probe.topic("absent"))));
    }
}
