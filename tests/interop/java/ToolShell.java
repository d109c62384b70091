import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools one after the other in one JVM, since most of a tool's second is the JVM's start. Each line of the
 * standard input is `{"tool": CLASS, "args": […], "stdin": TEXT}`; each line of the output `{"code": …, "out": …, "err": …}`.
 */
public final class ToolShell {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private ToolShell() { }

    /** In place of the end of the process. */
    private static final class Ended extends RuntimeException {
        final int code;

        Ended(int code) {
            super("exit " + code, null, false, false);
            this.code = code;
        }
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            answers.println(run(MAPPER.readTree(line)));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static JsonNode run(JsonNode order) throws Exception {
        List<String> args = new ArrayList<>();
        order.get("args").forEach(arg -> args.add(arg.asText()));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        System.setIn(new ByteArrayInputStream(order.path("stdin").asText().getBytes(StandardCharsets.UTF_8)));
        int[] first = {-1};  // a tool may catch what stops it, and end again
        Exit.Procedure ends = (code, message) -> {
            if (first[0] < 0) first[0] = code;
            if (message != null) System.err.println(message);
            throw new Ended(code);
        };
        Exit.setExitProcedure(ends);
        Exit.setHaltProcedure(ends);
        List<Runnable> atEnd = new ArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> atEnd.add(hook));
        int code = 0;
        try {
            Class.forName(order.get("tool").asText()).getMethod("main", String[].class).invoke(null, (Object) args.toArray(String[]::new));
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Ended)) {
                thrown.getCause().printStackTrace();
                code = 1;
            }
        }
        for (Runnable hook : atEnd) {
            Thread runs = new Thread(hook, "at the tool's end");
            runs.setDaemon(true);
            runs.start();
            runs.join(5_000);
        }
        return MAPPER.createObjectNode().put("code", first[0] < 0 ? code : first[0]).put("out", out.toString(StandardCharsets.UTF_8))
            .put("err", err.toString(StandardCharsets.UTF_8));
    }
}
