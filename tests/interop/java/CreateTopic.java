import java.util.Map;

/** Creates a topic: BOOTSTRAP TOPIC PARTITIONS. */
public final class CreateTopic {
    private CreateTopic() { }

    public static void main(String[] args) {
        Check.main(() -> new Clients(args[0]).create(args[1], Integer.parseInt(args[2]), Map.of()));
    }
}
