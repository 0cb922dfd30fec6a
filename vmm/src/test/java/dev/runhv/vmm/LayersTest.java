package dev.runhv.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.spi.ToolProvider;
import org.junit.jupiter.api.Test;

/**
 * The packages know only whom {@code tools/layers.json} lets them know. {@code tools/check_layers.py} sees imports; a type
 * that is never named, the result of one call given to another, stands in the classes alone, where jdeps finds it.
 */
class LayersTest {
    private static final String PREFIX = "dev.runhv.vmm.";
    private static final Pattern EDGE =
            Pattern.compile(" +dev\\.runhv\\.vmm\\.(\\w+)[\\w.]* +-> dev\\.runhv\\.vmm\\.(\\w+).*");

    @Test
    void noClassKnowsAPackageAboveItsOwn() throws IOException {
        assumeTrue(ToolProvider.findFirst("jdeps").isPresent(), "This Java has no jdeps");
        Map<String, Set<String>> allowed = rules(Path.of("../tools/layers.json"));
        Set<String> seen = new TreeSet<>();
        Set<String> breaches = new TreeSet<>();
        for (String line : jdeps().lines().toList()) {
            Matcher edge = EDGE.matcher(line);
            if (edge.matches()) {
                String from = edge.group(1);
                String to = edge.group(2);
                seen.add(from);
                if (!from.equals(to) && !allowed.getOrDefault(from, Set.of()).contains(to)) {
                    breaches.add(from + " knows " + to);
                }
            }
        }

        assertThat(seen).contains("cli", "runtime", "image");
        assertThat(breaches).isEmpty();
    }

    private static String jdeps() {
        StringWriter out = new StringWriter();
        String path =
                System.getProperty("jdk.module.path", "") + File.pathSeparator + System.getProperty("java.class.path");
        int status = ToolProvider.findFirst("jdeps")
                .orElseThrow()
                .run(
                        new PrintWriter(out),
                        new PrintWriter(out),
                        "-verbose:package",
                        "-filter:none",
                        "--multi-release",
                        "base",
                        "--module-path",
                        path,
                        "target/classes");
        assertThat(status).as(out.toString()).isZero();
        return out.toString();
    }

    private static Map<String, Set<String>> rules(Path file) throws IOException {
        Map<String, Set<String>> rules = new HashMap<>();
        try (JsonParser json = new JsonFactory().createParser(file.toFile())) {
            String name = "";
            while (json.nextToken() != null) {
                if (json.currentToken() == JsonToken.FIELD_NAME) {
                    name = json.currentName();
                    if (name.startsWith(PREFIX)) {
                        rules.put(name.substring(PREFIX.length()), new HashSet<>());
                    }
                } else if (json.currentToken() == JsonToken.VALUE_STRING && name.startsWith(PREFIX)) {
                    rules.get(name.substring(PREFIX.length())).add(json.getText());
                }
            }
        }
        return rules;
    }
}
