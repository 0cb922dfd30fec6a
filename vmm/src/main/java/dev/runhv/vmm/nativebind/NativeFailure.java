package dev.runhv.vmm.nativebind;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.OsError;
import dev.runhv.api.RunhvException;
import java.nio.charset.StandardCharsets;

/** An error of the core as it crosses from native code, which makes it by this name and constructor. */
final class NativeFailure extends RuntimeException {
    private final int code;
    private final int domain;
    private final long osCode;
    private final String operation;
    private final String detail;

    NativeFailure(int code, int domain, long osCode, byte[] operation, byte[] detail) {
        this.code = code;
        this.domain = domain;
        this.osCode = osCode;
        this.operation = new String(operation, StandardCharsets.UTF_8);
        this.detail = new String(detail, StandardCharsets.UTF_8);
    }

    /** What the API says of it. */
    RunhvException toRunhvException() {
        return RunhvException.of(errorCode(), operation, detail, osError(), this);
    }

    // runhv_code. A number that is not there is a fault of ours: both sides come in one distribution.
    private ErrorCode errorCode() {
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

    // runhv_domain
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
