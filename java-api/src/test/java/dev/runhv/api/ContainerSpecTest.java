package dev.runhv.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ContainerSpecTest {
    @Test
    void nothingSaidIsAsTheImageSays() {
        ContainerSpec spec = ContainerSpec.image("oci:web").build();

        assertThat(spec.name()).isEmpty();
        assertThat(spec.hostname()).isEmpty();
        assertThat(spec.process().entrypoint()).isEmpty();
        assertThat(spec.process().command()).isEmpty();
        assertThat(spec.process().user()).isEmpty();
        assertThat(spec.process().workingDirectory()).isEmpty();
        assertThat(spec.resources().memoryBytes()).isEmpty();
        assertThat(spec.resources().cpus()).isEmpty();
        assertThat(spec.resources().scratchBytes()).isEmpty();
        assertThat(spec.kernel()).isEmpty();
        assertThat(spec.engine()).isEqualTo(Engine.AUTO);
        assertThat(spec.stdin()).isFalse();
        assertThat(spec.stdout()).isEqualTo(Output.keep());
    }

    @Test
    void anEmptyEntryPointIsNotTheImagesOwn() {
        ContainerSpec spec = ContainerSpec.image("oci:web")
                .process(process -> process.entrypoint())
                .build();

        assertThat(spec.process().entrypoint()).contains(List.of());
    }

    @Test
    void theEnvironmentKeepsItsOrderAndCannotBeChanged() {
        ContainerSpec.Builder builder = ContainerSpec.image("oci:web")
                .process(process -> process.environment("Z", "1").environment("A", "2"));
        ContainerSpec spec = builder.build();
        builder.process(process -> process.environment("B", "3"));

        assertThat(spec.process().environment().keySet()).containsExactly("Z", "A");
        assertThat(spec.process().environment()).isUnmodifiable();
    }

    @Test
    void anotherOneCanBeMadeOfIt() {
        ContainerSpec spec = ContainerSpec.image("oci:web")
                .name("web")
                .hostname("box")
                .command("serve", "-v")
                .process(process -> process.entrypoint("/bin/env")
                        .environment("A", "b")
                        .workingDirectory("/srv")
                        .user("www")
                        .terminal(80, 24))
                .resources(resources -> resources.memoryMebibytes(4096).cpus(2).scratchBytes(1L << 30))
                .sysctl("net.ipv4.ip_forward", "1")
                .annotation("com.example.job", "7")
                .kernel(Path.of("/boot/vmlinux"))
                .engine(Engine.SOFT)
                .stdout(Output.inherit())
                .stderr(Output.discard())
                .build();

        ContainerSpec other = spec.toBuilder().name("other").build();

        assertThat(other.name()).contains("other");
        assertThat(spec.name()).contains("web");
        assertThat(other).usingRecursiveComparison().ignoringFields("name").isEqualTo(spec);
        assertThat(other.resources().memoryBytes()).hasValue(4L << 30);
        assertThat(other.process().command()).contains(List.of("serve", "-v"));
        assertThat(other.annotations()).containsExactly(Map.entry("com.example.job", "7"));
        assertThat(other.process().terminal()).contains(new TerminalSize(80, 24));
        assertThat(other.stdin()).as("a terminal has a keyboard").isTrue();
    }

    @Test
    void anImageIsNeeded() {
        assertThatNullPointerException().isThrownBy(() -> ContainerSpec.image(null));
    }

    static Stream<Arguments> wrong() {
        return Stream.of(
                wrong("memory in bytes is -1048576", b -> b.resources(r -> r.memoryMebibytes(-1))),
                wrong("memory in bytes is 1:", b -> b.resources(r -> r.memoryBytes(1))),
                wrong("memory in bytes is 549755813889", b -> b.resources(r -> r.memoryBytes((512L << 30) + 1))),
                wrong("number of processors is 0", b -> b.resources(r -> r.cpus(0))),
                wrong("number of processors is 65", b -> b.resources(r -> r.cpus(65))),
                wrong("scratch disk's size in bytes is 0", b -> b.resources(r -> r.scratchBytes(0))),
                wrong("name may have 1 to 128", b -> b.name("")),
                wrong("name may have 1 to 128", b -> b.name("../x")),
                wrong("name may have 1 to 128", b -> b.name("x".repeat(129))),
                wrong("host name's length in bytes is 66", b -> b.hostname("ö".repeat(33))),
                wrong("host name's length in bytes is 0", b -> b.hostname("")),
                wrong("host name holds a NUL", b -> b.hostname("a\0b")),
                wrong("command holds a NUL", b -> b.command("a", "b\0")),
                wrong("entry point holds a NUL", b -> b.process(p -> p.entrypoint("\0"))),
                wrong("\"A=B\" has no name, or a =", b -> b.process(p -> p.environment("A=B", "c"))),
                wrong("\"\" has no name, or a =", b -> b.process(p -> p.environment("", "c"))),
                wrong("environment variable A holds a NUL", b -> b.process(p -> p.environment("A", "\0"))),
                wrong("\"srv\" is not absolute", b -> b.process(p -> p.workingDirectory("srv"))),
                wrong("user is empty", b -> b.process(p -> p.user(""))),
                wrong("user holds a NUL", b -> b.process(p -> p.user("a\0"))),
                wrong("sysctl \"../x\"", b -> b.sysctl("../x", "1")),
                wrong("sysctl a.b holds a NUL", b -> b.sysctl("a.b", "\0")),
                wrong("\"dev.runhv.memory\" has no name, or one", b -> b.annotation("dev.runhv.memory", "1")),
                wrong("\"\" has no name, or one", b -> b.annotation("", "1")),
                wrong("annotation a holds a NUL", b -> b.annotation("a", "\0")));
    }

    private static Arguments wrong(String why, Consumer<ContainerSpec.Builder> saying) {
        return Arguments.of(why, saying);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("wrong")
    void whatIsWrongIsSaidWhenItIsBuilt(String why, Consumer<ContainerSpec.Builder> saying) {
        ContainerSpec.Builder builder = ContainerSpec.image("oci:web");
        saying.accept(builder);

        assertThatThrownBy(builder::build)
                .isInstanceOfSatisfying(
                        RequestException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT))
                .hasMessageContaining(why);
    }

    @Test
    void aProcessIsCheckedAndCopiedAlike() {
        ExecSpec spec = ExecSpec.program("sh")
                .environment("A", "b")
                .workingDirectory("/srv")
                .user("1000:1000")
                .terminal(80, 24)
                .stdout(Output.discard())
                .build();

        assertThat(spec.toBuilder().build()).usingRecursiveComparison().isEqualTo(spec);
        assertThat(spec.stdin()).as("a terminal has a keyboard").isTrue();
        assertThatThrownBy(() -> ExecSpec.program("a\0").build()).hasMessageContaining("NUL");
        assertThatThrownBy(() -> ExecSpec.program("a").terminal(0, 24)).hasMessageContaining("columns is 0");
        assertThatThrownBy(() -> Output.keep(0)).isInstanceOf(RequestException.class);
    }

    @Test
    void statusesShowWhatAShellShows() {
        assertThat(new ExitStatus.Signaled(Signal.KILL).code()).isEqualTo(137);
        assertThat(new ExitStatus.Exited(0).isSuccess()).isTrue();
        assertThat(new ExitStatus.Exited(1).isSuccess()).isFalse();
        assertThat(new ExitStatus.NotStarted(127, "").isSuccess()).isFalse();
    }
}
