/** The starts of containers as events of Java Flight Recorder; docs/timings.md describes them. */
package dev.runhv.vmm.jfr;
