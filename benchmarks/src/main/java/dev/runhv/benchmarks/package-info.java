/** What starts, ends and images cost, measured by JMH; README.md says how to read the figures. */
package dev.runhv.benchmarks;
