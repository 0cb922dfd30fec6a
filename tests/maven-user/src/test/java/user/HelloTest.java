package user;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.runhv.api.Runhv;
import org.junit.jupiter.api.Test;

class HelloTest {
    @Test
    void aContainerRunsLinux() throws Exception {
        try (var runhv = Runhv.open()) {
            assertEquals("Linux x86_64\n", Hello.uname(runhv, System.getProperty("image")));
        }
    }
}
