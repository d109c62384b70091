import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.InitProducerIdRequestData;
import org.apache.kafka.common.message.InitProducerIdResponseData;
import org.apache.kafka.common.message.MetadataRequestData;
import org.apache.kafka.common.message.MetadataResponseData;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.RecordBatch;

/**
 * Asks a server many small questions and prints all answers as one JSON object, without what differs from run to run
 * (ids, addresses, times, texts). Two servers that print the same behave the same: BOOTSTRAP PREFIX.
 */
public final class Probe {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final Set<String> DROPPED = Set.of("throttleTimeMs", "errorMessage", "clusterId", "host", "port",
        "rack", "logDir", "totalBytes", "usableBytes", "configs", "records", "recordsSizeInBytes", "partitionSize",
        "finalizedFeaturesEpoch", "lastTimestamp", "isCordoned", "batchIndexErrorMessage");
    private static final Set<String> IDS = Set.of("topicId", "leaderId", "nodeId", "brokerId", "controllerId",
        "producerId", "sessionId", "memberId", "leader", "ongoingTxnProducerId");
    private static final Set<Integer> LATER = Set.of(14, 15, 51);  // loading, not available, another transaction is still ending
    final String bootstrap;
    final String prefix;
    private final ObjectNode answers = MAPPER.createObjectNode();

    private Probe(String bootstrap, String prefix) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
    }

    public static void main(String[] args) {
        Check.main(() -> {
            Probe probe = new Probe(args[0], args[1]);
            probe.warm();
            probe.part("topics", new ProbeTopics(probe)::run);
            probe.part("configs", new ProbeConfigs(probe)::run);
            probe.part("records", new ProbeRecords(probe)::run);
            probe.part("queries", new ProbeQueries(probe)::run);
            probe.part("groups", new ProbeGroups(probe)::run);
            probe.part("offsets", new ProbeOffsets(probe)::run);
            probe.part("consumer groups", new ProbeConsumerGroups(probe)::run);
            probe.part("transactions", new ProbeTransactions(probe)::run);
            System.out.println(MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(probe.answers));
        });
    }

    /** One part; if it can't go on, the others still do, and that it could not is a difference of its own. */
    private void part(String name, Check.Body body) {
        try {
            body.run();
        } catch (Throwable failure) {
            failure.printStackTrace();
            note("(the part " + name + " did not get to its end)", TextNode.valueOf(failure.toString()));
        }
    }

    /** Waits until producer ids are given out: a server that has just started may still say that it loads. */
    private void warm() throws InterruptedException {
        var request = new InitProducerIdRequestData().setTransactionalId(null).setTransactionTimeoutMs(60_000);
        Check.eventually(() -> {
            try (Wire wire = new Wire(bootstrap)) {
                return ((InitProducerIdResponseData) wire.ask(request, 5)).errorCode();
            } catch (IOException error) {
                return error;
            }
        }, (short) 0, "a producer id");
    }

    /** Asks on a connection of its own; a connection that the server closes is an answer too. */
    ApiMessage ask(String name, ApiMessage request, int version) throws Exception {
        return ask(name, request, version, version);
    }

    ApiMessage ask(String name, ApiMessage request, int version, int answerVersion) throws Exception {
        try (Wire wire = new Wire(bootstrap)) {
            ApiMessage response = wire.answer(request, version, answerVersion);
            note(name, plain(response, answerVersion));
            return response;
        } catch (java.io.EOFException | java.net.SocketException closed) {
            note(name, TextNode.valueOf("connection closed"));
        } catch (java.net.SocketTimeoutException silent) {
            note(name, TextNode.valueOf("no answer"));
        }
        return null;
    }

    /** As `ask`, again while the answer says "later": Kafka ends transactions after it has said so. */
    ApiMessage askSettled(String name, ApiMessage request, int version) throws Exception {
        settle(request, version);
        return ask(name, request, version);
    }

    /** Asks until the answer is not "later"; for what changes nothing when it is asked again. Nothing is noted. */
    ApiMessage settle(ApiMessage request, int version) throws Exception {
        ApiMessage[] last = new ApiMessage[1];
        Check.eventually(() -> {
            try (Wire wire = new Wire(bootstrap)) {
                last[0] = wire.ask(request, version);
                return later(Wire.json(last[0], version));
            } catch (IOException | ReflectiveOperationException error) {
                return error instanceof IOException ? Boolean.FALSE : error;
            }
        }, false, "an answer other than later");
        return last[0];
    }

    private static boolean later(JsonNode node) {
        return node.findValues("errorCode").stream().anyMatch(code -> LATER.contains(code.asInt()));
    }

    /** Asks the same in every version that can express it; versions with equal answers share an entry. */
    void sweep(String name, ApiMessage request) throws Exception {
        ApiMessageType type = ApiMessageType.fromApiKey(request.apiKey());
        TreeMap<Integer, JsonNode> all = new TreeMap<>();
        for (int version = type.lowestSupportedVersion(); version <= type.highestSupportedVersion(false); version++) {
            try (Wire wire = new Wire(bootstrap)) {
                all.put(version, plain(wire.ask(request, version), version));
            } catch (UnsupportedVersionException cannotSay) {
                continue;
            } catch (IOException closed) {
                all.put(version, TextNode.valueOf("connection closed"));
            }
        }
        int first = -1;
        for (int version : all.keySet()) {
            if (first < 0) first = version;
            JsonNode next = all.get(version + 1);
            if (!all.get(version).equals(next)) {
                note(name + " v" + first + "-" + version, all.get(version));
                first = -1;
            }
        }
    }

    void note(String name, JsonNode answer) {
        Check.that(!answers.has(name), "two cases are named " + name);
        answers.set(name, answer);
    }

    String topic(String name) {
        return prefix + name;
    }

    /** The id of a topic of this run, once the broker knows it. */
    Uuid id(String name) throws Exception {
        Check.eventually(() -> {
            try {
                return !lookUp(name).equals(Uuid.ZERO_UUID);
            } catch (IOException error) {
                return error;
            }
        }, true, "the id of " + name);
        return lookUp(name);
    }

    private Uuid lookUp(String name) throws IOException {
        var asked = new MetadataRequestData.MetadataRequestTopic().setName(topic(name));
        try (Wire wire = new Wire(bootstrap)) {
            var answer = (MetadataResponseData) wire.ask(new MetadataRequestData().setTopics(List.of(asked))
                .setAllowAutoTopicCreation(false), 13);
            return answer.topics().iterator().next().topicId();
        }
    }

    private JsonNode plain(ApiMessage message, int version) throws ReflectiveOperationException {
        JsonNode json = Wire.json(message, version);
        if (message instanceof FetchResponseData fetch) batches(fetch, json);
        if (json.get("groups") instanceof ArrayNode groups) ours(groups, "groupId");
        if (json.get("results") instanceof ArrayNode results && results.path(0).has("groupId")) ours(results, "groupId");
        if (json.get("transactionStates") instanceof ArrayNode states) ours(states, "transactionalId");
        return tidy(json);
    }

    /** Puts base offset, last offset and count of each batch in place of a fetch's bytes. */
    private static void batches(FetchResponseData fetch, JsonNode json) {
        for (int topic = 0; topic < fetch.responses().size(); topic++) {
            var partitions = fetch.responses().get(topic).partitions();
            for (int i = 0; i < partitions.size(); i++) {
                ArrayNode list = ((ObjectNode) json.get("responses").get(topic).get("partitions").get(i)).putArray("batches");
                if (!(partitions.get(i).records() instanceof MemoryRecords records)) continue;
                for (RecordBatch batch : records.batches()) {
                    batch.ensureValid();
                    list.add(batch.baseOffset() + "-" + batch.lastOffset() + " epoch " + batch.partitionLeaderEpoch());
                }
            }
        }
    }

    /** Leaves out groups and transactions of others on the same server, and orders ours by name: Kafka's order is that of its threads. */
    private void ours(ArrayNode all, String name) {
        List<JsonNode> mine = new ArrayList<>();
        all.forEach(one -> {
            String id = one.path(name).asText();
            if (id.isEmpty() || id.startsWith(prefix)) mine.add(one);
        });
        mine.sort(Comparator.comparing(one -> one.path(name).asText()));
        all.removeAll();
        all.addAll(mine);
    }

    private JsonNode tidy(JsonNode node) {
        if (node.isTextual()) return TextNode.valueOf(node.asText().replace(prefix, "T-"));
        if (node.isArray()) {
            ArrayNode list = MAPPER.createArrayNode();
            Comparator<JsonNode> byNumber = Comparator.comparingInt(part -> part.path("partitionIndex").asInt(part.asInt()));
            node.valueStream().sorted(byNumber).forEach(part -> list.add(tidy(part)));
            return list;
        }
        if (!node.isObject()) return node;
        ObjectNode object = MAPPER.createObjectNode();
        node.properties().forEach(field -> {
            if (!DROPPED.contains(field.getKey())) object.set(field.getKey(), value(field.getKey(), field.getValue()));
        });
        return object;
    }

    /** Ids become "some" or "none"; nodes and replicas lists are kept as lists of "some". */
    private JsonNode value(String name, JsonNode node) {
        if (IDS.contains(name)) {
            boolean none = node.asText().isEmpty() || node.asText().equals(Uuid.ZERO_UUID.toString()) || node.isNumber() && node.asLong() < 0
                || name.equals("sessionId") && node.asLong() == 0;
            return TextNode.valueOf(none ? "none" : "some");
        }
        if (name.equals("logAppendTimeMs") || name.equals("transactionStartTimeMs")) return TextNode.valueOf(node.asLong() < 0 ? "none" : "some");
        if (name.equals("replicaNodes") || name.equals("isrNodes")) return TextNode.valueOf(node.size() + " nodes");
        return tidy(node);
    }
}
