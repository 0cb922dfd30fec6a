package dev.runhv.api;

import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A signal of Linux on x86-64.
 *
 * @param number 1 to 64
 */
public record Signal(int number) {
    private static final int REAL_TIME_MIN = 34; // signal(7): the C library keeps 32 and 33 to itself
    private static final int REAL_TIME_MAX = 64;
    private static final Pattern NUMBER =
            Pattern.compile("(?<number>[0-9]{1,2})|RTMIN(\\+(?<up>[0-9]{1,2}))?|RTMAX(-(?<down>[0-9]{1,2}))?");
    private static final List<String> NAMES = List.of(
            "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
            "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
            "WINCH", "IO", "PWR", "SYS");

    /** Hang-up: the terminal has gone, or read your configuration again. */
    public static final Signal HUP = new Signal(1);
    /** Interrupt from the keyboard. */
    public static final Signal INT = new Signal(2);
    /** Quit from the keyboard. */
    public static final Signal QUIT = new Signal(3);
    /** Ends a process at once; for a container's first process the whole micro-VM, whatever the guest does. */
    public static final Signal KILL = new Signal(9);
    /** Of a program's own. */
    public static final Signal USR1 = new Signal(10);
    /** Of a program's own. */
    public static final Signal USR2 = new Signal(12);
    /** Asks a process to end. */
    public static final Signal TERM = new Signal(15);
    /** Lets a stopped process go on. */
    public static final Signal CONT = new Signal(18);
    /** Stops a process. */
    public static final Signal STOP = new Signal(19);
    /** The terminal has another size. */
    public static final Signal WINCH = new Signal(28);

    /**
     * A signal by its number.
     *
     * @throws RequestException where there is no such number
     */
    public Signal {
        if (number < 1 || number > REAL_TIME_MAX) {
            throw invalid(Integer.toString(number));
        }
    }

    /**
     * A signal by its name or number.
     *
     * @param text {@code TERM}, {@code SIGTERM}, {@code RTMIN+3}, {@code RTMAX-1} in any case, or {@code 15}
     * @return the signal
     * @throws RequestException where there is no such signal
     */
    public static Signal of(String text) {
        String name = text.toUpperCase(Locale.ROOT);
        name = name.startsWith("SIG") ? name.substring(3) : name;
        int known = NAMES.indexOf(name);
        if (known >= 0) {
            return new Signal(known + 1);
        }
        Matcher matcher = NUMBER.matcher(name);
        if (matcher.matches()) {
            boolean realTime = matcher.group("number") == null;
            int number = !realTime
                    ? Integer.parseInt(matcher.group("number"))
                    : name.startsWith("RTMIN")
                            ? REAL_TIME_MIN + digits(matcher.group("up"))
                            : REAL_TIME_MAX - digits(matcher.group("down"));
            if (number >= (realTime ? REAL_TIME_MIN : 1) && number <= REAL_TIME_MAX) {
                return new Signal(number);
            }
        }
        throw invalid(text);
    }

    private static int digits(@Nullable String text) {
        return text == null ? 0 : Integer.parseInt(text);
    }

    /**
     * Its name.
     *
     * @return {@code TERM}, {@code RTMIN+3}; the number where it has none
     */
    public String name() {
        if (number <= NAMES.size()) {
            return NAMES.get(number - 1);
        }
        if (number < REAL_TIME_MIN) {
            return Integer.toString(number);
        }
        return number == REAL_TIME_MIN ? "RTMIN" : "RTMIN+" + (number - REAL_TIME_MIN);
    }

    @Override
    public String toString() {
        return name();
    }

    private static RunhvException invalid(String text) {
        return RunhvException.of(
                ErrorCode.INVALID_ARGUMENT,
                "use the signal \"" + text + "\"",
                "There is none of that name or number: write TERM, RTMIN+3 or a number from 1 to 64",
                null,
                null);
    }
}
