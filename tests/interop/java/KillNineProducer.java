import java.io.BufferedWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Semaphore;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * An idempotent producer that outlives its server: BOOTSTRAP TOPIC FILE. It writes `partition offset id` to FILE for
 * every acknowledgement until its standard input ends, then `sent N`. No record may fail.
 */
public final class KillNineProducer {
    private static final int PARTITIONS = 4;

    private KillNineProducer() { }

    public static void main(String[] args) {
        Check.main(() -> run(args[0], args[1], Path.of(args[2])));
    }

    private static void run(String bootstrap, String topic, Path file) throws Exception {
        Semaphore window = new Semaphore(2000);
        Object failed[] = new Object[1];
        long sent = 0;
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            try (KafkaProducer<byte[], byte[]> producer = new Clients(bootstrap).producer("linger.ms", "5",
                    "delivery.timeout.ms", "600000", "max.block.ms", "600000", "request.timeout.ms", "10000",
                    "reconnect.backoff.max.ms", "200", "retry.backoff.max.ms", "200")) {
                while (System.in.available() == 0 && failed[0] == null) {
                    String id = "java-" + sent;
                    window.acquire();
                    producer.send(new ProducerRecord<>(topic, (int) (sent++ % PARTITIONS), null, Clients.bytes(id)), (at, error) -> {
                        if (error != null) failed[0] = error;
                        else write(out, at.partition() + " " + at.offset() + " " + id + "\n");
                        window.release();
                    });
                    if (sent % 10 == 0) Thread.sleep(2);
                }
            }
            if (failed[0] != null) throw new AssertionError("a record failed: " + failed[0], (Throwable) failed[0]);
            write(out, "sent " + sent + "\n");
        }
    }

    private static void write(BufferedWriter out, String line) {
        try {
            out.write(line);
            out.flush();
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
