package dev.runhv.vmm.abi;

import dev.runhv.api.ContainerState;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Optional;

/** A container at one moment, {@code runhv_state}. */
public record VmState(
        Status status, Instant createdAt, Optional<Instant> startedAt, Optional<Instant> endedAt, int processes)
        implements ContainerState {
    private static final int ID_BYTES = 136;

    public static VmState read(ByteBuffer bytes) throws MalformedException {
        StructReader in = StructReader.take(bytes);
        int status = in.int32();
        if (status < 0 || status >= Status.values().length) {
            throw new MalformedException("Unknown status " + status);
        }
        in.text(ID_BYTES);
        in.int64(); // pid
        return new VmState(
                Status.values()[status], instant(in.int64()), optional(in.int64()), optional(in.int64()), in.int32());
    }

    private static Optional<Instant> optional(long nanos) {
        return nanos == 0 ? Optional.empty() : Optional.of(instant(nanos));
    }

    private static Instant instant(long nanos) {
        return Instant.EPOCH.plusNanos(nanos);
    }
}
