package dev.runhv.api;

/**
 * The size of a terminal.
 *
 * @param columns 1 to 65535
 * @param rows 1 to 65535
 */
public record TerminalSize(int columns, int rows) {
    /**
     * A size.
     *
     * @throws RequestException where it is out of its range
     */
    public TerminalSize {
        SpecCheck.range("describe a terminal", "number of columns", columns, 1, 65535);
        SpecCheck.range("describe a terminal", "number of rows", rows, 1, 65535);
    }
}
