package dev.runhv.vmm.image;

import dev.runhv.vmm.content.CorruptInputException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A configuration: what is taken from it can be given to a process. */
public final class ConfigFuzz {
    private ConfigFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) {
        ImageConfig config;
        try {
            config = ImageConfig.parse(data);
        } catch (CorruptInputException e) {
            return;
        }
        List<String> texts = new ArrayList<>(List.of(config.user(), config.workingDir(), config.stopSignal()));
        texts.addAll(config.entrypoint());
        texts.addAll(config.cmd());
        texts.addAll(config.env());
        for (String text : texts) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            if (text.indexOf('\0') >= 0 || !new String(bytes, StandardCharsets.UTF_8).equals(text)) {
                throw new AssertionError("No process can have the text " + text);
            }
        }
    }
}
