import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;

/** A client's history, see harness/history. Names hold nothing that JSON would have to escape. */
final class HistoryFile implements AutoCloseable {
    private final BufferedWriter out;
    private double flushed;

    HistoryFile(String path) {
        try {
            out = Files.newBufferedWriter(Path.of(path));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Seconds of the machine's monotonic clock: the same that Python's and Go's programs read. */
    static double now() {
        return System.nanoTime() / 1e9;
    }

    static byte[] value(String name, long number) {
        return Clients.bytes(name + " " + number + " " + "x".repeat(60));
    }

    static long crc(byte[] value) {
        CRC32 crc = new CRC32();
        crc.update(value);
        return crc.getValue();
    }

    /** Producer and number of a value, as JSON, and its CRC-32. */
    static String named(byte[] value) {
        String[] words = Clients.text(value).split(" ", 3);
        return "\"n\":[\"" + words[0] + "\"," + words[1] + "],\"h\":" + crc(value);
    }

    /** Writes an event; the fields after its kind as JSON. */
    synchronized void write(String kind, String fields) {
        try {
            out.write("{\"e\":\"" + kind + "\"," + fields + "}\n");
            if (now() > flushed + 0.2) {
                flushed = now();
                out.flush();
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public synchronized void close() {
        try {
            out.close();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** The driver writes a line when the program shall end. */
    static boolean goesOn() {
        try {
            return System.in.available() == 0;
        } catch (IOException closed) {
            return false;
        }
    }
}
