package dev.runhv.vmm.cli;

import java.util.List;

/** Rows of words below one another, each column as wide as its widest word. */
final class Table {
    private static final int BETWEEN = 2;

    private Table() {}

    /** @param rows the headings first; each has as many words */
    static String text(List<List<String>> rows) {
        int[] widths = new int[rows.getFirst().size()];
        for (List<String> row : rows) {
            for (int column = 0; column < widths.length; column++) {
                widths[column] = Math.max(widths[column], row.get(column).length());
            }
        }
        StringBuilder text = new StringBuilder();
        for (List<String> row : rows) {
            StringBuilder line = new StringBuilder();
            for (int column = 0; column < widths.length; column++) {
                line.append(row.get(column));
                line.append(
                        " ".repeat(widths[column] + BETWEEN - row.get(column).length()));
            }
            text.append(line.toString().stripTrailing()).append('\n');
        }
        return text.toString();
    }
}
