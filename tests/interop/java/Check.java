import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/** Assertions for the client programs: the first that fails ends the program with status 1 and says what it saw. */
final class Check {
    private Check() { }

    static void equal(Object got, Object want, String what) {
        if (!Objects.equals(got, want)) throw new AssertionError(what + ": got " + got + ", want " + want);
    }

    static void that(boolean condition, String what) {
        if (!condition) throw new AssertionError(what);
    }

    /** The call must fail with this kind of error, itself or as the cause of an ExecutionException. */
    static <E extends Throwable> E fails(Class<E> kind, Callable<?> call, String what) {
        try {
            Object value = call.call();
            throw new AssertionError(what + ": got " + value + ", want " + kind.getSimpleName());
        } catch (Exception error) {
            Throwable found = error instanceof ExecutionException ? error.getCause() : error;
            if (kind.isInstance(found)) return kind.cast(found);
            throw new AssertionError(what + ": got " + found + ", want " + kind.getSimpleName(), found);
        }
    }

    /** Polls until the value is as wanted, for at most 20 seconds. */
    static void eventually(Supplier<?> value, Object want, String what) throws InterruptedException {
        long end = System.nanoTime() + 20_000_000_000L;
        while (!Objects.equals(value.get(), want)) {
            if (System.nanoTime() > end) equal(value.get(), want, what + " within 20 s");
            Thread.sleep(50);
        }
    }

    static void step(String name) {
        System.out.println("ok: " + name);
    }

    /** Runs a program's body so that its failure reaches the driver as status 1 whatever threads still live. */
    static void main(Body body) {
        try {
            body.run();
            System.exit(0);
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }

    /** A program. */
    interface Body {
        void run() throws Exception;
    }
}
