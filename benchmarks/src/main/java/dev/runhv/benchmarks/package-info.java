/** How long a start takes, measured by JMH. */
package dev.runhv.benchmarks;
