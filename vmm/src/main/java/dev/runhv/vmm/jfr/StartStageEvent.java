package dev.runhv.vmm.jfr;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/** One bar of the waterfall. */
@Name("dev.runhv.StartStage")
@Label("Container Start Stage")
@Description("One stage of the start of a container; told when its program is in place")
@Category("runhv")
@StackTrace(false)
final class StartStageEvent extends Event {
    @Label("Container")
    String container;

    @Label("Engine")
    String engine;

    @Label("Kernel")
    String kernel;

    @Label("Stage")
    String stage;

    @Label("Start Offset")
    @Description("From the beginning of the first stage to that of this one")
    @Timespan(Timespan.NANOSECONDS)
    long startOffset;

    @Label("Stage Duration")
    @Description("From the start of the stage to that of the next one that was reached")
    @Timespan(Timespan.NANOSECONDS)
    long stageDuration;
}
