package dev.runhv.vmm.abi;

import java.nio.ByteBuffer;

/**
 * What happened to a micro-VM, {@code runhv_event}.
 *
 * @param process of the kinds {@code PROCESS_…} and {@code WARNING}
 * @param code {@code runhv_code} of {@code ENDED}
 * @param oomKills of {@code OUT_OF_MEMORY}
 * @param end of {@code PROCESS_ENDED} and {@code ENDED}
 * @param error of {@code PROCESS_ENDED}, {@code WARNING} and {@code ENDED}
 */
public record VmEvent(Kind kind, int process, int code, int oomKills, VmEnd end, VmError error) {
    static final int SIZE = 848;

    /** {@code runhv_event_kind}, by its number less 1. */
    public enum Kind {
        CREATED,
        STARTED,
        PROCESS_STARTED,
        PROCESS_ENDED,
        OUT_OF_MEMORY,
        PAUSED,
        RESUMED,
        WARNING,
        ENDED,
        /** Of a newer version: to be passed over. */
        UNKNOWN;

        public int number() {
            return ordinal() + 1;
        }

        static Kind of(int number) {
            return number >= 1 && number < values().length ? values()[number - 1] : UNKNOWN;
        }
    }

    public static VmEvent read(ByteBuffer bytes) throws MalformedException {
        StructReader in = StructReader.take(bytes);
        Kind kind = Kind.of(in.int32());
        int process = in.int32();
        int code = in.int32();
        in.int64(); // when
        int oomKills = in.int32();
        in.int32();
        VmEnd end = VmEnd.read(in.nested(VmEnd.SIZE, VmEnd.ALIGNMENT));
        VmError error = VmError.read(in.nested(VmError.SIZE, VmError.ALIGNMENT));
        return new VmEvent(kind, process, code, oomKills, end, error);
    }
}
