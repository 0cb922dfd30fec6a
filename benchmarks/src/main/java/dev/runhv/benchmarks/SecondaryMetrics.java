package dev.runhv.benchmarks;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.TreeMap;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.ScalarResult;

/**
 * What a benchmark counts besides its time, as a secondary result: the mean of each iteration. JMH's own
 * {@code @AuxCounters} are sums over iterations, without a unit.
 */
public final class SecondaryMetrics implements InternalProfiler {
    private record Metric(String name, String unit) implements Comparable<Metric> {
        @Override
        public int compareTo(Metric other) {
            return name.compareTo(other.name);
        }
    }

    // A profiler and a benchmark meet nowhere else in a fork. Guarded by itself.
    private static final TreeMap<Metric, List<Double>> VALUES = new TreeMap<>();

    /** @param unit {@code "#"} for a count */
    static void record(String name, double value, String unit) {
        synchronized (VALUES) {
            VALUES.computeIfAbsent(new Metric(name, unit), metric -> new ArrayList<>())
                    .add(value);
        }
    }

    @Override
    public String getDescription() {
        return "Exits, guest instructions and other counts of runhv";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {
        synchronized (VALUES) {
            VALUES.clear();
        }
    }

    @Override
    public Collection<? extends Result<?>> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        synchronized (VALUES) {
            List<ScalarResult> results = new ArrayList<>();
            VALUES.forEach((metric, values) -> results.add(new ScalarResult(
                    metric.name,
                    values.stream().mapToDouble(Double::doubleValue).average().orElseThrow(),
                    metric.unit,
                    AggregationPolicy.AVG)));
            return results;
        }
    }
}
