package dev.runhv.vmm.abi;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.OsError;
import dev.runhv.api.RunhvException;
import java.nio.ByteBuffer;

/**
 * An error of the core, {@code runhv_error}.
 *
 * @param code {@code runhv_code}; 0 is none
 * @param domain {@code runhv_domain}: whose number osCode is
 */
public record VmError(int code, int domain, long osCode, String operation, String detail) {
    static final int SIZE = 792;
    static final int ALIGNMENT = 8;
    private static final int OPERATION_BYTES = 256;
    private static final int DETAIL_BYTES = 512;

    public static VmError read(ByteBuffer bytes) throws MalformedException {
        return read(StructReader.take(bytes));
    }

    static VmError read(StructReader in) {
        int code = in.int32();
        int domain = in.int32();
        in.int32();
        return new VmError(code, domain, in.int64(), in.text(OPERATION_BYTES), in.text(DETAIL_BYTES));
    }

    /** What the API says of it. */
    public RunhvException toException() {
        return RunhvException.of(errorCode(code), operation, detail, osError(), null);
    }

    /** The same words for a person in one piece. */
    public String text() {
        return operation + ": " + detail;
    }

    /** A number that is not there is a fault of ours: both sides come in one distribution. */
    public static ErrorCode errorCode(int code) {
        return switch (code) {
            case 1 -> ErrorCode.INVALID_ARGUMENT;
            case 2 -> ErrorCode.NOT_FOUND;
            case 3 -> ErrorCode.CONFLICT;
            case 4 -> ErrorCode.CORRUPT_INPUT;
            case 5 -> ErrorCode.UNSUPPORTED;
            case 6 -> ErrorCode.ACCESS_DENIED;
            case 7 -> ErrorCode.OUT_OF_MEMORY;
            case 8 -> ErrorCode.NO_SPACE;
            case 9 -> ErrorCode.HYPERVISOR_ABSENT;
            case 10 -> ErrorCode.GUEST_FAILED;
            case 11 -> ErrorCode.TIMED_OUT;
            case 12 -> ErrorCode.CLOSED;
            case 13 -> ErrorCode.HOST_FAILED;
            default -> ErrorCode.INTERNAL;
        };
    }

    private OsError osError() {
        return switch (domain) {
            case 1 -> new OsError(OsError.Domain.ERRNO, osCode);
            case 2 -> new OsError(OsError.Domain.WIN32, osCode);
            // Signed in C, where everybody writes it as an unsigned number of 32 bits.
            case 3 -> new OsError(OsError.Domain.HRESULT, osCode & 0xffff_ffffL);
            case 4 -> new OsError(OsError.Domain.GUEST_ERRNO, osCode);
            default -> null;
        };
    }
}
