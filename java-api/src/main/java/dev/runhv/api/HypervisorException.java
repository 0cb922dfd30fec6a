package dev.runhv.api;

/** The engine that was asked for is not on this host; the message says what it needs. */
public final class HypervisorException extends RunhvException {
    public HypervisorException(String operation, String detail, OsError osError, Throwable cause) {
        super(ErrorCode.HYPERVISOR_ABSENT, operation, detail, osError, cause);
    }
}
