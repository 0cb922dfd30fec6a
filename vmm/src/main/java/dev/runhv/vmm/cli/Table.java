package dev.runhv.vmm.cli;

import java.util.List;

/** Rows of words below one another, each column as wide as its widest word. */
final class Table {
    private static final int BETWEEN = 2;

    private Table() {}

    /** @param rows the headings first; each has as many words */
    static String text(List<List<String>> rows) {
        StringBuilder text = new StringBuilder();
        for (List<String> row : rows) {
            StringBuilder line = new StringBuilder();
            for (int column = 0; column < row.size(); column++) {
                int at = column;
                int width =
                        rows.stream().mapToInt(r -> r.get(at).length()).max().orElse(0);
                line.append(row.get(column));
                line.append(" ".repeat(width + BETWEEN - row.get(column).length()));
            }
            text.append(line.toString().stripTrailing()).append('\n');
        }
        return text.toString();
    }
}
