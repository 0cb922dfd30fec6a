package dev.runhv.vmm.process;

import dev.runhv.api.Output;
import dev.runhv.api.TerminalSize;
import java.util.Optional;

/**
 * What the standard streams of another process in a container shall be.
 *
 * @param stdin whether it is connected
 * @param terminal with one, stdin and stdout are on it and there is no stderr
 */
public record ExecStreams(boolean stdin, Output stdout, Output stderr, Optional<TerminalSize> terminal) {}
