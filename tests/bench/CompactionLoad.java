import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Writes each of KEYS keys once to partition 0, then AGAIN of them, spread over all, a second time. Arguments: bootstrap, topic, KEYS, AGAIN. See compaction. */
public class CompactionLoad {
    public static void main(String[] args) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("linger.ms", "20");
        properties.put("batch.size", "262144");
        properties.put("buffer.memory", "67108864");
        int keys = Integer.parseInt(args[2]), again = Integer.parseInt(args[3]);
        byte[] value = new byte[100];
        try (var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long i = 0; i < (long) keys + again; i++) {
                long key = i < keys ? i : (i - keys) * keys / again;
                // Values that don't compress to nothing.
                for (int at = 0; at < value.length; at++) value[at] = (byte) ((key * 31 + i) * (at + 7) >> 3);
                producer.send(new ProducerRecord<>(args[1], 0, String.format("key-%012d", key).getBytes(), value.clone()), (metadata, error) -> {
                    if (error != null) {
                        error.printStackTrace();
                        System.exit(1);
                    }
                });
            }
        }
    }
}
