package dev.runhv.vmm.jfr;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** What one start cost. */
@Name("dev.runhv.Start")
@Label("Container Start")
@Description("What the start of a container cost, from the call until its program was in place")
@Category("runhv")
@StackTrace(false)
final class StartEvent extends Event {
    /** How JFR writes a span that there is none of. */
    static final long NO_SPAN = Long.MIN_VALUE;

    static final long NOT_COUNTED = -1;

    @Label("Container")
    String container;

    @Label("Engine")
    String engine;

    @Label("Kernel")
    String kernel;

    @Label("In Process")
    @Description("Whether the micro-VM was in the process of this JVM, not in one of its own")
    boolean inProcess;

    @Label("Time to First Instruction")
    @Description("From the spawn of the micro-VM until the container's program was in place")
    @Timespan(Timespan.NANOSECONDS)
    long timeToFirstInstruction;

    @Label("Exits")
    @Description("Exits of the virtual processors until the container's program was in place")
    long exits;

    @Label("Instructions")
    @Description("Guest instructions until the container's program was in place; -1 where the engine cannot count")
    long instructions;

    @Label("Private Memory")
    @Description("Memory of the process that it shares with nobody, guest memory included")
    @DataAmount
    long privateMemory;

    @Label("Resident Guest Memory")
    @Description("Guest memory that the host held in RAM")
    @DataAmount
    long residentGuestMemory;
}
