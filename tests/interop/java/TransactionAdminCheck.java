import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** What Kafka's admin client 4.2 asks about transactions, and does to them: BOOTSTRAP TOPIC. */
public final class TransactionAdminCheck {
    private final Clients clients;
    private final Admin admin;
    private final String topic;
    private final TopicPartition zero;

    private TransactionAdminCheck(String[] args) {
        clients = new Clients(args[0]);
        admin = clients.admin();
        topic = args[1];
        zero = new TopicPartition(topic, 0);
    }

    public static void main(String[] args) {
        Check.main(() -> new TransactionAdminCheck(args).run());
    }

    private void run() throws Exception {
        clients.create(topic, 2, Map.of());
        described();
        aborted();
        fenced();
        terminated();
        admin.close();
    }

    private KafkaProducer<byte[], byte[]> begun(String id) throws Exception {
        KafkaProducer<byte[], byte[]> producer = clients.producer("transactional.id", topic + id, "transaction.timeout.ms", "45000", "max.block.ms", "20000");
        producer.initTransactions();
        producer.beginTransaction();
        for (int part = 0; part < 2; part++) producer.send(new ProducerRecord<>(topic, part, null, Clients.bytes(id))).get();
        return producer;
    }

    private TransactionListing listing(String id, ListTransactionsOptions options) {
        return quietly(() -> admin.listTransactions(options).all().get().stream().filter(listed -> listed.transactionalId().equals(topic + id))
            .findFirst().orElse(null));
    }

    private TransactionDescription describe(String id) {
        return quietly(() -> admin.describeTransactions(List.of(topic + id)).description(topic + id).get());
    }

    private ProducerState state(long producerId) {
        return quietly(() -> admin.describeProducers(List.of(zero)).partitionResult(zero).get().activeProducers().stream()
            .filter(producer -> producer.producerId() == producerId).findFirst().orElse(null));
    }

    private static <T> T quietly(Callable<T> call) {
        try {
            return call.call();
        } catch (Exception failure) {
            throw new AssertionError(failure);
        }
    }

    private long ended() {
        return quietly(() -> admin.listOffsets(Map.of(zero, org.apache.kafka.clients.admin.OffsetSpec.latest()),
            new org.apache.kafka.clients.admin.ListOffsetsOptions(org.apache.kafka.common.IsolationLevel.READ_COMMITTED)).partitionResult(zero).get().offset());
    }

    /** An open transaction and its end: listed under each filter, described, and seen at its partitions. */
    private void described() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = begun("open")) {
            TransactionListing listed = listing("open", new ListTransactionsOptions());
            Check.equal(listed.state(), TransactionState.ONGOING, "state listed");
            Check.that(listing("open", new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))) != null, "listed by state");
            Check.equal(listing("open", new ListTransactionsOptions().filterStates(Set.of(TransactionState.COMPLETE_ABORT))), null, "listed by another state");
            Check.that(listing("open", new ListTransactionsOptions().filterProducerIds(Set.of(listed.producerId()))) != null, "listed by producer id");
            Check.equal(listing("open", new ListTransactionsOptions().filterOnDuration(60_000)), null, "listed as older than a minute");
            Check.that(listing("open", new ListTransactionsOptions().filterOnTransactionalIdPattern(topic + "op.*")) != null, "listed by a pattern");
            Check.equal(listing("open", new ListTransactionsOptions().filterOnTransactionalIdPattern("other.*")), null, "listed by another pattern");
            TransactionDescription told = describe("open");
            Check.equal(told.state(), TransactionState.ONGOING, "state described");
            Check.equal(told.producerId(), listed.producerId(), "producer id");
            Check.equal(told.transactionTimeoutMs(), 45_000L, "timeout");
            Check.equal(told.topicPartitions(), Set.of(zero, new TopicPartition(topic, 1)), "partitions");
            long age = System.currentTimeMillis() - told.transactionStartTimeMs().getAsLong();
            Check.that(age >= -1000 && age < 60_000, "start time: " + age + " ms ago");
            ProducerState seen = state(told.producerId());
            Check.equal(seen.currentTransactionStartOffset().getAsLong(), 0L, "first offset of the transaction");
            Check.equal(seen.producerEpoch(), told.producerEpoch(), "epoch at the partition");
            producer.commitTransaction();
            Check.eventually(() -> describe("open").state(), TransactionState.COMPLETE_COMMIT, "state after the commit");
            Check.equal(describe("open").topicPartitions(), Set.of(), "partitions after the commit");
            Check.equal(state(told.producerId()).currentTransactionStartOffset().isPresent(), false, "an open transaction at the partition");
        }
        Check.fails(TransactionalIdNotFoundException.class, () -> admin.describeTransactions(List.of(topic + "absent")).all().get(), "describe an unknown id");
        Check.step("list and describe");
    }

    /** WriteTxnMarkers at one partition, as `kafka-transactions abort` does it for a hanging transaction. */
    private void aborted() throws Exception {
        long before = ended();
        try (KafkaProducer<byte[], byte[]> producer = begun("aborted")) {
            TransactionDescription told = describe("aborted");
            Check.equal(ended(), before, "last stable offset while it is open");
            ProducerState seen = state(told.producerId());
            admin.abortTransaction(new AbortTransactionSpec(zero, told.producerId(), (short) seen.producerEpoch(), seen.coordinatorEpoch().orElse(0))).all().get();
            Check.eventually(() -> ended() > before, true, "last stable offset after the abort");
            Check.equal(state(told.producerId()).currentTransactionStartOffset().isPresent(), false, "an open transaction at the partition");
        }
        Check.step("abort by admin");
    }

    /** Fenced by the admin client: the transaction is aborted and its producer refused. */
    private void fenced() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = begun("fenced")) {
            admin.fenceProducers(List.of(topic + "fenced")).all().get();
            Check.eventually(() -> describe("fenced").state(), TransactionState.EMPTY, "state after fencing");
            Check.fails(KafkaException.class, () -> {
                producer.commitTransaction();
                return 0;
            }, "commit of a fenced producer");
        }
        Check.step("fence by admin");
    }

    /** Ended by the admin client under its id. */
    private void terminated() throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = begun("terminated")) {
            admin.forceTerminateTransaction(topic + "terminated").result().get();
            Check.eventually(() -> describe("terminated").state(), TransactionState.EMPTY, "state after termination");
            Check.fails(KafkaException.class, () -> {
                producer.commitTransaction();
                return 0;
            }, "commit of a terminated transaction");
        }
        Check.step("terminate by admin");
    }
}
