package dev.runhv.vmm.process;

import dev.runhv.api.Signal;
import dev.runhv.vmm.abi.StructReader;
import dev.runhv.vmm.abi.StructWriter;
import dev.runhv.vmm.abi.VmEvent.Kind;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;

/**
 * A distribution whose {@code runhv-vmm} is a shell that does what the test says, and the other end of its control channel,
 * held by the test. What the shell is and does is real: a process with streams that can be killed.
 */
public final class FakeVmm {
    private static final String SHELL = """
            #!/bin/sh
            # Tells its number and its arguments, then runs the lines that come.
            home=$(dirname "$0")/..
            mkfifo "$home/commands.$$"
            { echo "$$"; printf '%s\\n' "$@"; } > "$home/calls"
            while read -r line; do eval "$line"; done < "$home/commands.$$"
            exit 99
            """;

    private final Path home;

    /** @param folder empty */
    public FakeVmm(Path folder) throws IOException, InterruptedException {
        home = Files.createDirectories(folder.resolve("fake"));
        Path program = Files.createDirectories(home.resolve("bin")).resolve("runhv-vmm");
        Files.writeString(program, SHELL);
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwx------"));
        if (new ProcessBuilder("mkfifo", home.resolve("calls").toString())
                        .inheritIO()
                        .start()
                        .waitFor()
                != 0) {
            throw new IOException("mkfifo failed");
        }
    }

    public Distribution distribution() {
        return Distribution.at(home);
    }

    /** Waits for the next process to be spawned. */
    public Vm next() throws IOException {
        try (BufferedReader reader = Files.newBufferedReader(home.resolve("calls"))) {
            List<String> lines = reader.readAllLines();
            return new Vm(Long.parseLong(lines.getFirst()), lines.subList(1, lines.size()));
        }
    }

    /** One process. */
    public final class Vm implements AutoCloseable {
        private final long pid;
        private final List<String> arguments;
        private final PrintStream shell;
        private SocketChannel channel;
        private ServerSocketChannel control;

        private Vm(long pid, List<String> arguments) throws IOException {
            this.pid = pid;
            this.arguments = arguments;
            this.shell = new PrintStream(
                    Files.newOutputStream(home.resolve("commands." + pid)), true, StandardCharsets.UTF_8);
        }

        public ProcessHandle process() {
            return ProcessHandle.of(pid).orElseThrow();
        }

        public List<String> arguments() {
            return arguments;
        }

        public String argument(String name) {
            return arguments.get(arguments.indexOf(name) + 1);
        }

        /** The process runs a line. */
        public Vm run(String line) {
            shell.println(line);
            return this;
        }

        /** Connects to the launcher and takes its HELLO. */
        public Vm connect() throws IOException {
            channel = SocketChannel.open(UnixDomainSocketAddress.of(argument("--control-connect")));
            ControlFrame hello = take();
            if (hello.type() != ControlFrame.HELLO) {
                throw new IOException("Not HELLO: " + hello);
            }
            StructReader structure = StructReader.take(hello.payload());
            if (structure.int32() != ControlFrame.VERSION || structure.int32() != ControlFrame.WANTS_EVENTS) {
                throw new IOException("Not as we say HELLO");
            }
            return this;
        }

        public Vm hello() throws IOException {
            connect();
            return send(ControlFrame.HELLO | ControlFrame.ANSWER, 0, ControlFrame.hello(0));
        }

        public Vm started() throws IOException {
            event(Kind.STARTED);
            answer(ControlFrame.STATISTICS, statistics(1000));
            return this;
        }

        /** The next request of the launcher, which must be of this type. */
        ControlFrame take(int type) throws IOException {
            ControlFrame frame = take();
            if (frame.type() != type) {
                throw new IOException("Not of type " + type + ": " + frame);
            }
            return frame;
        }

        private ControlFrame take() throws IOException {
            // Of its own: a client's frame may be longer than one of a VMM.
            ByteBuffer header = full(16);
            return new ControlFrame(header.getShort(4), header.getInt(8), full(header.getInt(0)));
        }

        private ByteBuffer full(int size) throws IOException {
            ByteBuffer buffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
            while (buffer.hasRemaining()) {
                if (channel.read(buffer) < 0) {
                    throw new IOException("The launcher has closed the channel");
                }
            }
            return buffer.flip();
        }

        /** Takes a request of this type and answers it. */
        public ByteBuffer answer(int type, byte[] payload) throws IOException {
            ControlFrame request = take(type);
            send(type | ControlFrame.ANSWER, request.request(), payload);
            return request.payload();
        }

        /** Takes a request of this type and answers it by an error. */
        public void refuse(int type, int code, String operation, String detail) throws IOException {
            send(ControlFrame.ERROR, take(type).request(), error(code, operation, detail));
        }

        public Vm send(int type, int request, byte[] payload) throws IOException {
            ControlFrame.write(channel, type, request, payload);
            return this;
        }

        public Vm sendRaw(byte[] bytes) throws IOException {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
            return this;
        }

        public Vm event(Kind kind) throws IOException {
            return event(kind, 0, 0, end(0, 0), error(0, "", ""));
        }

        public Vm event(Kind kind, int process, int code, byte[] end, byte[] error) throws IOException {
            return send(
                    ControlFrame.EVENT,
                    0,
                    new StructWriter(848)
                            .int32(kind.number())
                            .int32(process)
                            .int32(code)
                            .int64(1)
                            .int32(kind == Kind.OUT_OF_MEMORY ? 2 : 0)
                            .int32(0)
                            .nested(4, end)
                            .nested(8, error)
                            .bytes());
        }

        /** The container has ended by itself, and its process too. */
        public void exited(int status) throws IOException {
            event(Kind.ENDED, 0, 0, end(0, status), error(0, "", ""));
            run("exit " + status);
        }

        /** The container was killed, as was asked. */
        public void killed() throws IOException {
            ByteBuffer request = answer(ControlFrame.SIGNAL, new byte[0]);
            StructReader signal = StructReader.take(request);
            if (signal.int32() != 0 || signal.int32() != Signal.KILL.number()) {
                throw new IOException("Not KILL");
            }
            event(Kind.ENDED, 0, 0, end(1, 9), error(0, "", ""));
            run("exit 137");
        }

        /** The micro-VM has failed. */
        public void failed(int code, String operation, String detail) throws IOException {
            event(Kind.ENDED, 0, code, end(2, 125), error(code, operation, detail));
            run("exit 125");
        }

        public void disconnect() throws IOException {
            channel.close();
        }

        /** Serves the socket of the container's folder. */
        public Vm listen() throws IOException {
            Path socket = Path.of(argument("--root"), "containers", argument("--id"), "control");
            Files.createDirectories(socket.getParent());
            control = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            try (SocketPath path = SocketPath.of(socket)) {
                control.bind(UnixDomainSocketAddress.of(path.path()));
            }
            return this;
        }

        /** Takes the connection of a stream, and tells its token. */
        Stream stream() throws IOException {
            SocketChannel socket = control.accept();
            ControlFrame frame = ControlFrame.read(socket);
            if (frame.type() != ControlFrame.STREAM) {
                throw new IOException("Not STREAM: " + frame);
            }
            StructReader structure = StructReader.take(frame.payload());
            structure.int32();
            long token = structure.int64();
            ControlFrame.write(socket, ControlFrame.STREAM | ControlFrame.ANSWER, frame.request(), new byte[0]);
            return new Stream(socket, token);
        }

        /** Takes the start of a process without streams, lets it run, and gives its JSON. */
        public String execRequest(int number) throws IOException {
            ControlFrame request = take(ControlFrame.PROCESS_START);
            StructReader.take(request.payload());
            byte[] json = new byte[request.payload().remaining()];
            request.payload().get(json);
            send(
                    ControlFrame.PROCESS_START | ControlFrame.ANSWER,
                    request.request(),
                    new StructWriter(8).int32(number).bytes());
            event(Kind.PROCESS_STARTED, number, 0, end(0, 0), error(0, "", ""));
            return new String(json, StandardCharsets.UTF_8);
        }

        List<Stream> streams(int count) throws IOException {
            List<Stream> streams = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                streams.add(stream());
            }
            return streams;
        }

        /** What the system does when the process is gone. */
        void gone() throws IOException {
            close();
        }

        /** The same, once it is asked for something or nobody is there who could ask. */
        void goneWhenAsked() throws IOException {
            var _ = channel.read(ByteBuffer.allocate(1));
            gone();
        }

        @Override
        public void close() throws IOException {
            shell.close();
            if (channel != null) {
                channel.close();
            }
            if (control != null) {
                control.close();
            }
        }
    }

    record Stream(SocketChannel socket, long token) {
        void write(String text) throws IOException {
            ByteBuffer bytes = StandardCharsets.UTF_8.encode(text);
            while (bytes.hasRemaining()) {
                socket.write(bytes);
            }
        }

        String readAll() throws IOException {
            return new String(
                    ConnectionStreams.input(new SocketConnection(socket)).readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    public static byte[] end(int kind, int value) {
        return new StructWriter(20)
                .int32(kind)
                .int32(value)
                .int32(value)
                .int32(0)
                .bytes();
    }

    public static byte[] error(int code, String operation, String detail) {
        return new StructWriter(792)
                .int32(code)
                .int32(code == 0 ? 0 : 1)
                .int32(0)
                .int64(28)
                .text(256, operation.getBytes(StandardCharsets.UTF_8))
                .text(512, detail.getBytes(StandardCharsets.UTF_8))
                .bytes();
    }

    /** @param exits of each reason until now */
    public static byte[] statistics(long exits) {
        StructWriter writer = new StructWriter(488)
                .int32(2)
                .text(16, "soft".getBytes(StandardCharsets.UTF_8))
                .text(128, "6.12-fake".getBytes(StandardCharsets.UTF_8))
                .int64(1_000_000);
        for (int stage = 0; stage < 8; stage++) {
            // Six were reached, 1 ms each.
            writer.int64(stage < 6 ? 1_000_000L * (stage + 1) : 0).int64(stage < 6 ? 1_000_000 : 0);
        }
        for (long count : new long[] {10, exits}) {
            for (int reason = 0; reason < 9; reason++) {
                writer.int64(count);
            }
            writer.int64(9 * count);
        }
        return writer.int64(5_000_000)
                .int64(-1)
                .int64(70)
                .int64(30)
                .int64(128L << 20)
                .bytes();
    }

    /** {@code runhv_state} of a running container. */
    public static byte[] state(int status) {
        return new StructWriter(208)
                .int32(status)
                .text(136, "web".getBytes(StandardCharsets.UTF_8))
                .int64(42)
                .int64(1_700_000_000_000_000_000L)
                .int64(1_700_000_001_000_000_000L)
                .int64(0)
                .int32(3)
                .int32(0)
                .nested(4, end(0, 0))
                .bytes();
    }
}
