package dev.runhv.benchmarks;

import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.openjdk.jmh.profile.GCProfiler;

/** JMH's own command line, with what every result of ours holds besides times: counts and allocation. */
public final class Main {
    static final List<String> PROFILERS = List.of(SecondaryMetrics.class.getName(), GCProfiler.class.getName());

    private Main() {}

    public static void main(String[] arguments) throws IOException {
        Stream<String> profilers = PROFILERS.stream().flatMap(profiler -> Stream.of("-prof", profiler));
        org.openjdk.jmh.Main.main(Stream.concat(profilers, Stream.of(arguments)).toArray(String[]::new));
    }
}
