package dev.runhv.vmm.content.tar;

import dev.runhv.vmm.content.BlockInputStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/** A tar means the same however its bytes arrive, and holds no more data than it has bytes. */
public final class TarFuzz {
    private TarFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        List<String> whole = read(new ByteArrayInputStream(data), data.length);
        List<String> dripping = read(new Dripping(data), data.length);
        if (!whole.equals(dripping)) {
            throw new AssertionError(whole + "\n" + dripping);
        }
    }

    private static List<String> read(InputStream in, long bytes) {
        List<String> seen = new ArrayList<>();
        byte[] buffer = new byte[4096];
        try {
            TarReader reader = new TarReader(in);
            for (TarEntry entry = reader.next(); entry != null; entry = reader.next()) {
                if (entry.name().isEmpty() || entry.size() < 0 || reader.position() < 0 || reader.position() > bytes) {
                    throw new AssertionError(entry);
                }
                long sum = 0;
                int hash = 1;
                for (int count = reader.read(buffer, 0, 4096); count > 0; count = reader.read(buffer, 0, 4096)) {
                    for (int i = 0; i < count; i++) {
                        hash = 31 * hash + buffer[i];
                    }
                    sum += count;
                }
                if (sum > bytes) {
                    throw new AssertionError(entry + " has more data than the archive");
                }
                seen.add(entry.type() + " " + entry.name() + " " + entry.linkName() + " " + entry.size() + " " + sum
                        + " " + hash + " " + entry.xattrs().keySet());
            }
        } catch (IOException e) {
            seen.add(String.valueOf(e.getMessage()));
        }
        return seen;
    }

    /** Gives what it has in pieces of seven bytes, and skips by reading. */
    private static final class Dripping extends BlockInputStream {
        private final byte[] data;
        private int at;

        private Dripping(byte[] data) {
            this.data = data;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) {
            if (length == 0) {
                return 0;
            }
            int count = Math.min(Math.min(length, 7), data.length - at);
            if (count == 0) {
                return -1;
            }
            System.arraycopy(data, at, buffer, offset, count);
            at += count;
            return count;
        }
    }
}
