import java.util.Locale;
import java.util.concurrent.Semaphore;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** An idempotent producer that writes its history: BOOTSTRAP TOPIC PARTITIONS FILE NAME RATE. No record may fail. */
public final class HistoryProducer {
    private static volatile Exception failed;

    private HistoryProducer() { }

    public static void main(String[] args) {
        Check.main(() -> run(args[0], args[1], Integer.parseInt(args[2]), args[3], args[4], Double.parseDouble(args[5])));
    }

    private static void run(String bootstrap, String topic, int partitions, String path, String name, double rate) throws Exception {
        Semaphore window = new Semaphore(5000);
        try (HistoryFile history = new HistoryFile(path)) {
            try (KafkaProducer<byte[], byte[]> producer = new Clients(bootstrap).producer("linger.ms", "5", "delivery.timeout.ms", "600000",
                    "max.block.ms", "600000", "request.timeout.ms", "4000", "reconnect.backoff.max.ms", "300", "retry.backoff.max.ms", "300",
                    "metadata.max.age.ms", "2000", "socket.connection.setup.timeout.ms", "2000")) {
                double begin = HistoryFile.now();
                for (long sent = 0; failed == null && HistoryFile.goesOn();) {
                    double now = HistoryFile.now();
                    begin = Math.max(begin, now - sent / rate - 1);
                    if (sent >= rate * (now - begin)) {
                        Thread.sleep(5);
                        continue;
                    }
                    window.acquire();
                    send(producer, history, window, topic, (int) (sent % partitions), name, sent++);
                }
            }
            if (failed != null) throw new AssertionError("a record failed: " + failed, failed);
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, HistoryFile history, Semaphore window, String topic, int partition, String name, long number) {
        byte[] value = HistoryFile.value(name, number);
        String who = "\"c\":\"" + name + "\",\"n\":" + number;
        history.write("send", String.format(Locale.ROOT, "%s,\"k\":\"idem\",\"p\":\"%s/%d\",\"h\":%d,\"t\":%.6f", who, topic, partition, HistoryFile.crc(value), HistoryFile.now()));
        producer.send(new ProducerRecord<>(topic, partition, null, value), (at, error) -> {
            if (error != null) failed = error;
            history.write(error == null ? "ack" : "fail", String.format(Locale.ROOT, "%s,\"t\":%.6f,%s", who, HistoryFile.now(),
                error == null ? "\"o\":" + at.offset() : "\"why\":\"" + error.getClass().getSimpleName() + "\""));
            window.release();
        });
    }
}
