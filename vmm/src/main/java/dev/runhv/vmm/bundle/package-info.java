/**
 * The bundle that Java gives to native (docs/bundle.md): {@code config.json} of the OCI runtime specification 1.2 as records,
 * and the one writer of it.
 */
package dev.runhv.vmm.bundle;
