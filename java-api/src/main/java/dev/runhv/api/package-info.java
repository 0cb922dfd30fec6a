/**
 * Runs Linux containers, each in its own micro-VM.
 *
 * <pre>{@code
 * try (Runhv runhv = Runhv.open();
 *         Container container = runhv.start(
 *                 ContainerSpec.image("oci:build/images/busybox").command("uname", "-r").build())) {
 *     System.out.print(new String(container.stdout().readAllBytes()));
 *     System.out.println(container.waitFor());
 * }
 * }</pre>
 *
 * <p>Everything that can go wrong is a {@link dev.runhv.api.RunhvException}, unchecked, but for interruption: what waits for
 * long throws {@link InterruptedException} and leaves nothing half made. Arguments that are null where null is not named
 * throw {@link NullPointerException}.
 *
 * <p>The interfaces are implemented by runhv alone, and grow; so do the enumerations, events and exceptions. A
 * {@code switch} over them needs a default branch, but for {@link dev.runhv.api.ExitStatus}, which is sealed.
 */
@NullMarked
package dev.runhv.api;

import org.jspecify.annotations.NullMarked;
