package dev.runhv.vmm.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RequestException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UserDatabaseTest {
    private static final String PASSWD = """
            # local users
            root:x:0:0:root:/root:/bin/sh
            broken line
            negative:x:-1:0::/:
            huge:x:4294967296:0::/:
            web:x:33:34:web:/srv/web:/bin/false
            homeless:x:50:51:::
            77:x:78:79::/seven:
            +nis::7:7::/:
            -nis:x:8:8::/:
            +::::::
              indented:x:90:91::/in:/bin/sh \s
            four:x:92:93
            three:x:94
            two:x
            letters:x:9a:9
            letters2:x:96:9a
            empty:x::
            windows:x:97:98::/win\r
            windows4:x:99:34\r
            """;
    private static final String GROUP = """
            root:x:0:
            web:x:34:
            staff:x:40:other,web
            wheel:x:10:root
            tape:x:26:webby
            short:x:60
            +:::
            spaced:x:61: root , indented
            crlf:x:62:windows\r
            """;

    private final UserDatabase database = new UserDatabase(bytes(PASSWD), bytes(GROUP));

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    # user      | uid   | gid   | groups   | home
                    ''          | 0     | 0     | 0 10 61  | /root
                    root        | 0     | 0     | 0 10 61  | /root
                    0           | 0     | 0     | 0 10 61  | /root
                    web         | 33    | 34    | 34 40    | /srv/web
                    33          | 33    | 34    | 34 40    | /srv/web
                    web:staff   | 33    | 40    | 40       | /srv/web
                    web:0       | 33    | 0     | 0        | /srv/web
                    web:        | 33    | 34    | 34 40    | /srv/web
                    :staff      | 0     | 40    | 40       | /root
                    1000        | 1000  | 0     | 0        | /
                    1000:1001   | 1000  | 1001  | 1001     | /
                    1000:short  | 1000  | 60    | 60       | /
                    homeless    | 50    | 51    | 51       | /
                    77          | 77    | 0     | 0        | /
                    indented    | 90    | 91    | 91 61    | /in
                    four        | 92    | 93    | 93       | /
                    three       | 94    | 0     | 0        | /
                    windows     | 97    | 98    | 98 62    | /win
                    windows4    | 99    | 34    | 34       | /
                    7           | 7     | 0     | 0        | /
                    2147483647  | 2147483647 | 0 | 0       | /
                    """)
    void usersAreResolvedAsDockerDoes(String user, long uid, long gid, String groups, String home) {
        List<Long> gids = Stream.of(groups.split(" ")).map(Long::valueOf).toList();
        assertThat(database.resolve(user)).isEqualTo(new ResolvedUser(uid, gid, gids, home));
    }

    @ParameterizedTest
    @CsvSource({
        "nobody, no user \"nobody\" in /etc/passwd",
        "web:nogroup, no group \"nogroup\" in /etc/group",
        "2147483648, no user \"2147483648\"",
        "-1, no user \"-1\"",
        "4294967295, no user \"4294967295\"",
        "4294967296, no user \"4294967296\"",
        "18446744073709551616, no user \"18446744073709551616\"",
        "99999999999999999999999999, no user \"99999999999999999999999999\"",
        "+0, no user \"+0\"",
        "0x0, no user \"0x0\"",
        "\uff10, no user \"\uff10\"",
        "0:4294967296, no group \"4294967296\"",
        "0:-1, no group \"-1\"",
        "negative, no user \"negative\"",
        "huge, no user \"huge\"",
        "+nis, no user",
        "nis, no user",
        "-nis, no user",
        "+, no user",
        "two, no user",
        "letters, no user",
        "letters2, no user",
        "empty, no user",
        "0:+, no group"
    })
    void aNameThatIsNotThereIsAnError(String user, String why) {
        assertThatThrownBy(() -> database.resolve(user))
                .isInstanceOf(RequestException.class)
                .hasMessageContaining(why)
                .extracting(e -> ((RequestException) e).code())
                .isEqualTo(ErrorCode.NOT_FOUND);
    }

    @Test
    void withoutFilesNumbersAndRootStillWork() {
        UserDatabase empty = new UserDatabase(null, null);

        assertThat(empty.resolve("")).isEqualTo(new ResolvedUser(0, 0, List.of(0L), "/"));
        assertThat(empty.resolve("5:6")).isEqualTo(new ResolvedUser(5, 6, List.of(6L), "/"));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
