package dev.runhv.vmm.service;

/** The types of the service's frames (docs/service.md), which are built as those of the control channel. */
final class ServiceFrame {
    static final int HELLO = 1;
    static final int ENVIRONMENT = 2;
    static final int REQUEST = 3;
    static final int STATUS = 4;
    static final int STOP = 5;
    static final int CANCEL = 6;
    static final int TAKEN = 0x8001;
    static final int ERRORS = 0x8002;
    static final int OUTPUT = 0x8003;
    static final int END = 0x8004;

    private ServiceFrame() {}
}
