import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** A group member on a thread of its own: polls, remembers what it read, was given and lost, and runs orders between two polls. */
final class Member implements AutoCloseable {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final LinkedBlockingQueue<Runnable> orders = new LinkedBlockingQueue<>();
    private final Thread thread;
    private volatile boolean ending;
    private volatile Set<TopicPartition> owned = Set.of();
    private volatile Throwable error;
    /** What the rebalance listener was told: "+" given, "-" revoked, "!" lost, each with the number of partitions. */
    final Queue<String> events = new ConcurrentLinkedQueue<>();
    final Queue<ConsumerRecord<byte[], byte[]>> read = new ConcurrentLinkedQueue<>();

    Member(KafkaConsumer<byte[], byte[]> consumer, java.util.function.BiConsumer<KafkaConsumer<byte[], byte[]>, ConsumerRebalanceListener> subscribe) {
        this.consumer = consumer;
        subscribe.accept(consumer, new Listener());
        thread = new Thread(this::live, "member");
        thread.setDaemon(true);
        thread.start();
    }

    /** A member that subscribes by names. */
    static Member of(Clients clients, String group, Collection<String> topics, String... settings) {
        return new Member(clients.groupConsumer(group, settings), (consumer, listener) -> consumer.subscribe(topics, listener));
    }

    private final class Listener implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            if (!partitions.isEmpty()) events.add("+" + partitions.size());
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            if (!partitions.isEmpty()) events.add("-" + partitions.size());
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            if (!partitions.isEmpty()) events.add("!" + partitions.size());
        }
    }

    private void live() {
        try {
            while (!ending) {
                consumer.poll(Duration.ofMillis(50)).forEach(read::add);
                owned = Set.copyOf(consumer.assignment());
                for (Runnable order = orders.poll(); order != null; order = orders.poll()) order.run();
            }
        } catch (Throwable failure) {
            error = failure;
            owned = Set.of();
        }
    }

    /** Runs `order` on the member's thread and gives its result; a failure comes as the cause of an ExecutionException. */
    <T> T call(Function<KafkaConsumer<byte[], byte[]>, T> order) throws Exception {
        CompletableFuture<T> result = new CompletableFuture<>();
        orders.add(() -> {
            try {
                result.complete(order.apply(consumer));
            } catch (Throwable failure) {
                result.completeExceptionally(failure);
            }
        });
        return result.get(30, TimeUnit.SECONDS);
    }

    /** As `call`, without waiting for it. */
    void start(Consumer<KafkaConsumer<byte[], byte[]>> order) {
        orders.add(() -> order.accept(consumer));
    }

    /** How many partitions it has by what its listener was told, which may trail what it owns. */
    int told() {
        return events.stream().mapToInt(event -> (event.startsWith("+") ? 1 : -1) * Integer.parseInt(event.substring(1))).sum();
    }

    Set<TopicPartition> owned() {
        if (error != null) throw new AssertionError("a member failed", error);
        return owned;
    }

    Throwable error() {
        return error;
    }

    /** Ends polling; the group learns of it only where the protocol says so on close. */
    private void end(CloseOptions how) {
        ending = true;
        try {
            thread.join(20_000);
        } catch (InterruptedException stopped) {
            throw new IllegalStateException(stopped);
        }
        consumer.close(how.withTimeout(Duration.ofSeconds(10)));
    }

    @Override
    public void close() {
        end(CloseOptions.groupMembershipOperation(GroupMembershipOperation.DEFAULT));
    }

    /** Whether this member's position is at `offset` in all that it owns: only what it has a position in does it commit. */
    boolean allAt(long offset) {
        try {
            return call(consumer -> consumer.assignment().stream().allMatch(part -> consumer.position(part) == offset));
        } catch (Exception failure) {
            throw new AssertionError("positions of a member", failure);
        }
    }

    /** As a crash looks to the group: no more heartbeats, and no goodbye. */
    void vanish() {
        end(CloseOptions.groupMembershipOperation(GroupMembershipOperation.REMAIN_IN_GROUP));
    }

    /** Sizes of what the members own if together they own all of `topics` x `partitions`, each once; else what is wrong. */
    static Object shares(List<Member> members, int total) {
        List<Integer> sizes = new ArrayList<>();
        Set<TopicPartition> all = new HashSet<>();
        int count = 0;
        for (Member member : members) {
            Set<TopicPartition> mine = member.owned();
            sizes.add(mine.size());
            all.addAll(mine);
            count += mine.size();
        }
        sizes.sort(null);
        return count == total && all.size() == total ? sizes : "owned " + names(all) + " by shares of " + sizes;
    }

    static Set<String> names(Collection<TopicPartition> partitions) {
        Set<String> names = new TreeSet<>();
        partitions.forEach(partition -> names.add(partition.toString()));
        return names;
    }

    /** Waits until the members share `total` partitions in these sizes. */
    static void await(List<Member> members, int total, List<Integer> sizes, String what) throws InterruptedException {
        Check.eventually(() -> shares(members, total), sizes, what);
    }

    static void closeAll(List<Member> members) {
        members.forEach(Member::close);
    }
}
