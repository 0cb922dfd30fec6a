/** From a specification to a running container: users, bundles, and what the Java API promises. */
package dev.runhv.vmm.runtime;
