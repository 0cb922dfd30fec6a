/** Which images are let in: containers' signature policy, and the signatures that it asks for (docs/trust.md). */
package dev.runhv.vmm.trust;
