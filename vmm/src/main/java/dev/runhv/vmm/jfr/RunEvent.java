package dev.runhv.vmm.jfr;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** A container from its start to its end. */
@Name("dev.runhv.Run")
@Label("Container Run")
@Description("A container from when its program was in place until it has ended")
@Category("runhv")
@StackTrace(false)
final class RunEvent extends Event {
    /** In place of the exit status. */
    static final int FAILED = -1;

    @Label("Container")
    String container;

    @Label("Exit Status")
    @Description("What a shell would show; -1 where the micro-VM failed")
    int exitStatus;

    @Label("Exits")
    @Description("Exits of the virtual processors, as last known")
    long exits;

    @Label("Instructions")
    @Description("Guest instructions, as last known; -1 where the engine cannot count")
    long instructions;

    @Label("Private Memory")
    @Description("Memory of the process that it shares with nobody, guest memory included, as last known")
    @DataAmount
    long privateMemory;

    @Label("Resident Guest Memory")
    @Description("Guest memory that the host held in RAM, as last known")
    @DataAmount
    long residentGuestMemory;

    @Label("Processes Killed")
    @Description("Processes that the guest's kernel killed because its memory had run out")
    int oomKills;
}
