package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import java.nio.charset.StandardCharsets;

/** An in-toto statement: what is said is one object of it. */
public final class StatementFuzz {
    private StatementFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        byte[] predicate;
        try {
            predicate = InTotoStatement.parse(data).predicate();
        } catch (CorruptInputException e) {
            return;
        }
        String whole = "{\"predicate\":" + new String(predicate, StandardCharsets.UTF_8) + "}";
        try {
            InTotoStatement.parse(whole.getBytes(StandardCharsets.UTF_8));
        } catch (CorruptInputException e) {
            throw new AssertionError("A predicate that is no object", e);
        }
    }
}
