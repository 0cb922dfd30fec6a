package dev.runhv.api;

/** The signals of Linux on x86-64 that make sense for a container's first process. */
public enum Signal {
    HUP(1),
    INT(2),
    QUIT(3),
    /** Ends the micro-VM at once, whatever the guest does. */
    KILL(9),
    USR1(10),
    USR2(12),
    TERM(15),
    CONT(18),
    WINCH(28);

    private final int number;

    Signal(int number) {
        this.number = number;
    }

    public int number() {
        return number;
    }
}
