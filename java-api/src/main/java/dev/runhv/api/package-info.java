/**
 * Runs Linux containers, each in its own micro-VM.
 *
 * <pre>{@code
 * try (Runhv runhv = Runhv.open();
 *         Container container = runhv.start(
 *                 ContainerSpec.image("oci:build/images/hello").command("uname", "-r").build())) {
 *     System.out.print(new String(container.stdout().readAllBytes()));
 *     System.out.println(container.waitFor());
 * }
 * }</pre>
 *
 * <p>Everything that can go wrong is a {@link dev.runhv.api.RunhvException}: unchecked and sealed, so that a caller can
 * be exhaustive where it matters and silent where it does not. Arguments that are null where null is not named throw
 * {@link NullPointerException}.
 */
package dev.runhv.api;
