package dev.runhv.vmm.content;

import java.util.Map;

/**
 * The environment of whoever asks for something: this process's own, or, on a thread that works for a client of the image
 * service, that client's. It is data: nothing of it reaches the environment of this process.
 */
public final class CallerEnvironment {
    private static final ScopedValue<Map<String, String>> CLIENTS = ScopedValue.newInstance();

    private CallerEnvironment() {}

    /** Of the caller that the current thread works for; other threads that it starts must be told. */
    public static Map<String, String> get() {
        return CLIENTS.isBound() ? CLIENTS.get() : System.getenv();
    }

    /** Does work for a client. */
    public static <T, X extends Throwable> T within(Map<String, String> environment, ScopedValue.CallableOp<T, X> work)
            throws X {
        return ScopedValue.where(CLIENTS, Map.copyOf(environment)).call(work);
    }
}
