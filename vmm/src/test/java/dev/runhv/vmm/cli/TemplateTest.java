package dev.runhv.vmm.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.runhv.api.RunhvException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TemplateTest {
    private static final Map<String, Object> ROW = Map.of(
            "ID", "abc", "Size", "1MB", "Config", Map.of("Cmd", List.of("sh", "-c"), "Labels", Map.of("a", "b")));

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    {{.ID}}                | abc
                    {{ .ID }}:{{.Size}}    | abc:1MB
                    a {{json .ID}} b       | a "abc" b
                    {{.Config.Cmd}}        | [sh -c]
                    {{.Config.Labels}}     | map[a:b]
                    {{json .Config.Cmd}}   | ["sh","-c"]
                    no field               | no field
                    """)
    void whatScriptsUseIsKnown(String format, String line) throws IOException {
        assertThat(Template.parse(format).text(Map.of(), List.of(ROW))).isEqualTo(line + "\n");
    }

    @Test
    void aTableHasAHeadingAndColumnsAtItsTabs() throws IOException {
        String text = Template.parse("table {{.ID}}\\t{{.Size}}").text(Map.of("ID", "IMAGE ID"), List.of(ROW));
        assertThat(text).isEqualTo("IMAGE ID  SIZE\nabc       1MB\n");
        assertThat(Template.parse("table {{.ID}}").text(Map.of(), List.of())).isEqualTo("ID\n");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    {{.Size}}         | true
                    {{json .Size}}    | true
                    {{.Size.Part}}    | true
                    table {{.Size}}   | true
                    {{json .}}        | true
                    json              | true
                    Size {{.ID}}      | false
                    {{.Config.Size}}  | false
                    """)
    void aFieldIsAskedForWhereALineNeedsIt(String format, boolean asked) {
        assertThat(Template.parse(format).asks("Size")).isEqualTo(asked);
    }

    @Test
    void jsonIsAllFieldsOfEachRow() throws IOException {
        assertThat(Template.parse("json").text(Map.of(), List.of(Map.of("a", 1L), Map.of("a", true))))
                .isEqualTo("{\"a\":1}\n{\"a\":true}\n");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    {{range .ID}}   | {{range .ID}}
                    {{len .ID}}     | {{len .ID}}
                    {{.Frob}}       | no field .Frob
                    {{.ID.Part}}    | no field .ID.Part
                    {{..}}          | no field
                    """)
    void whatIsNotKnownIsRefused(String format, String why) {
        assertThatExceptionOfType(RunhvException.class)
                .isThrownBy(() -> Template.parse(format).text(Map.of(), List.of(ROW)))
                .withMessageContaining(why);
    }
}
