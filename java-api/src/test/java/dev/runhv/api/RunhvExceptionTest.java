package dev.runhv.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.runhv.api.ErrorCode.Category;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RunhvExceptionTest {
    @ParameterizedTest
    @EnumSource(ErrorCode.class)
    void everyCodeMakesAnExceptionThatKeepsIt(ErrorCode code) {
        Throwable cause = new IllegalStateException();
        RunhvException exception = RunhvException.of(code, "start container web", "Too bad", null, cause);

        assertThat(exception.code()).isEqualTo(code);
        assertThat(exception).hasMessage("Cannot start container web: Too bad").hasCause(cause);
    }

    @Test
    void typesFollowTheCategory() {
        for (ErrorCode code : ErrorCode.values()) {
            Category category = switch (RunhvException.of(code, "try", "No", null, null)) {
                case RequestException e -> Category.USER;
                case UnsupportedException e -> Category.USER;
                case ClosedException e -> Category.USER;
                case HypervisorException e -> Category.HOST;
                case HostException e -> Category.HOST;
                case GuestException e -> Category.GUEST;
                case InternalException e -> Category.INTERNAL;
                default -> throw new AssertionError(code);
            };
            assertThat(category).as(code.name()).isEqualTo(code.category());
        }
    }

    @Test
    void theNumberOfTheOperatingSystemSurvives() {
        OsError absent = new OsError(OsError.Domain.HRESULT, 0x80370102L);
        RunhvException exception = RunhvException.of(
                ErrorCode.HYPERVISOR_ABSENT, "create partition", "WHvCreatePartition failed", absent, null);

        assertThat(exception.osError()).contains(absent);
        assertThat(exception).hasMessageEndingWith("WHvCreatePartition failed (0x80370102)");
    }

    @Test
    void itSurvivesSerialization() throws Exception {
        RunhvException exception =
                RunhvException.of(ErrorCode.NO_SPACE, "write", "Full", new OsError(OsError.Domain.ERRNO, 28), null);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(exception);
        }
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            assertThat(in.readObject()).isInstanceOfSatisfying(HostException.class, copy -> {
                assertThat(copy.code()).isEqualTo(ErrorCode.NO_SPACE);
                assertThat(copy.osError()).isEqualTo(exception.osError());
            });
        }
    }

    @Test
    void codesHaveTheNamesOfTheCInterface() {
        assertThat(ErrorCode.CORRUPT_INPUT.jsonName()).isEqualTo("corrupt_input");
        assertThat(ErrorCode.ofJsonName("hypervisor_absent")).isEqualTo(ErrorCode.HYPERVISOR_ABSENT);
        assertThat(ErrorCode.ofJsonName("from_the_future")).isEqualTo(ErrorCode.INTERNAL);
    }

    @Test
    void withoutAnImplementationOpeningSaysWhatIsMissing() {
        assertThatThrownBy(Runhv::open)
                .isInstanceOf(RequestException.class)
                .hasMessageContaining("dev.runhv.vmm")
                .hasMessageContaining("lib/java");
    }
}
