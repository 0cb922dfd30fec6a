package dev.runhv.vmm.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.process.ControlFrame;
import dev.runhv.vmm.process.LocalConnection;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ByteChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.Semaphore;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A server in this process, and clients that say what they like. */
@DisabledOnOs(
        value = OS.WINDOWS,
        disabledReason = "the JVM ended in native code once under Wine, with these among its tests")
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ImageServerTest {
    private static final String HANDED = "a pair of sockets is Linux's";
    private static final String IDENTITY = "a build, here";
    private static final Duration LONG = Duration.ofHours(1);

    private Path above;
    private Path folder;
    private FutureTask<Void> served;

    @BeforeEach
    void makeFolder() throws IOException {
        above = TestListener.folderAbove();
        folder = above.resolve("s");
    }

    @AfterEach
    void stop() throws Exception {
        if (!served.isDone()) {
            try (Client client = new Client()) {
                client.say(ServiceFrame.HELLO, IDENTITY);
                client.say(ServiceFrame.STOP, "");
                client.end();
            }
        }
        served.get();
        assertThat(folder).doesNotExist();
        Files.delete(above);
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.getName().startsWith("runhv-service-")) {
                thread.join(); // none stays
            }
        }
    }

    private void serve(Duration idle, ImageServer.Verbs verbs) throws IOException {
        serve(null, ImageServer.FIRST, idle, verbs);
    }

    /**
     * @param first is handed over; null: nobody's
     * @param patience of others with the first
     */
    private void serve(ByteChannel first, Duration patience, Duration idle, ImageServer.Verbs verbs)
            throws IOException {
        ImageServer server = new ImageServer(TestListener.in(folder), IDENTITY, idle, patience, verbs);
        served = new FutureTask<>(() -> {
            if (first != null) {
                server.serveFirst(first);
            }
            server.serve();
            return null;
        });
        Thread.ofPlatform().start(served);
    }

    private record Said(int status, String output, String errors) {}

    private final class Client implements Closeable {
        private final ByteChannel channel;

        Client() throws IOException {
            this(LocalConnection.connect(folder.resolve("socket")));
        }

        Client(ByteChannel channel) {
            this.channel = channel;
        }

        void say(int type, String text) throws IOException {
            ControlFrame.write(channel, type, 0, text.getBytes(StandardCharsets.UTF_8));
        }

        Client ask(String request) throws IOException {
            say(ServiceFrame.HELLO, IDENTITY);
            say(ServiceFrame.ENVIRONMENT, "NAME=value\0HOME=/nowhere\0");
            say(ServiceFrame.REQUEST, request);
            return this;
        }

        /** Null where the server has gone, or wants nothing of it. */
        Said end() throws IOException {
            ByteArrayOutputStream output = new ByteArrayOutputStream();
            ByteArrayOutputStream errors = new ByteArrayOutputStream();
            try {
                while (true) {
                    ControlFrame frame = ControlFrame.read(channel, ControlFrame.MAX_PAYLOAD);
                    if (frame == null) {
                        return null;
                    }
                    byte[] payload = frame.payload().array();
                    switch (frame.type()) {
                        case ServiceFrame.OUTPUT -> output.writeBytes(payload);
                        case ServiceFrame.ERRORS -> errors.writeBytes(payload);
                        case ServiceFrame.END -> {
                            return new Said(
                                    payload[0],
                                    output.toString(StandardCharsets.UTF_8),
                                    errors.toString(StandardCharsets.UTF_8));
                        }
                        default -> assertThat(frame.type()).isEqualTo(ServiceFrame.TAKEN);
                    }
                }
            } catch (IOException e) {
                return null;
            }
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    /** Both ends of a connection. */
    private SocketChannel[] pair() throws IOException {
        UnixDomainSocketAddress address = UnixDomainSocketAddress.of(above.resolve("pair"));
        try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            listener.bind(address);
            SocketChannel one = SocketChannel.open(address);
            return new SocketChannel[] {one, listener.accept()};
        } finally {
            Files.deleteIfExists(above.resolve("pair"));
        }
    }

    private Said asked(String request) throws IOException {
        try (Client client = new Client()) {
            return client.ask(request).end();
        }
    }

    @Test
    void aRequestHasItsCallersEnvironmentAndNoOther() throws Exception {
        serve(LONG, (in, out, errors) -> {
            out.write(in.readAllBytes());
            out.write(CallerEnvironment.get().toString().getBytes(StandardCharsets.UTF_8));
            errors.println("on the way");
            return 7;
        });

        Said said = asked("request ");

        assertThat(said.status).isEqualTo(7);
        assertThat(said.output)
                .startsWith("request {")
                .contains("NAME=value", "HOME=/nowhere")
                .doesNotContain("PATH");
        assertThat(said.errors).isEqualTo("on the way\n");
        assertThat(System.getenv()).doesNotContainKey("NAME");
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = HANDED)
    void whoStartedItIsAnsweredBeforeAnybodyElse() throws Exception {
        SocketChannel[] ends = pair();
        List<String> order = new CopyOnWriteArrayList<>();
        CountDownLatch both = new CountDownLatch(1);
        try (Client first = new Client(ends[0])) {
            first.ask("first");
            serve(ends[1], LONG, LONG, (in, out, errors) -> {
                both.await();
                order.add(new String(in.readAllBytes(), StandardCharsets.UTF_8));
                return 3;
            });
            try (Client second = new Client().ask("second")) {
                both.countDown();
                assertThat(second.end().status).isEqualTo(3);
            }
            assertThat(first.end().status).isEqualTo(3);
        }
        assertThat(order).containsExactly("first", "second");
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = HANDED)
    void whoStartedItAndAsksForMuchOrForNothingHoldsUpNobody() throws Exception {
        SocketChannel[] ends = pair();
        CountDownLatch go = new CountDownLatch(1);
        try (Client first = new Client(ends[0])) {
            first.ask("much");
            serve(ends[1], ImageServer.FIRST, LONG, (in, out, errors) -> {
                if (in.readAllBytes().length > 0) {
                    go.await();
                }
                return 0;
            });
            assertThat(asked("").status).isZero();
            go.countDown();
            assertThat(first.end().status).isZero();
        }
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = HANDED)
    void itEndsAsWellWhenWhoStartedItAskedForNothing() throws Exception {
        SocketChannel[] ends = pair();
        ends[0].close();
        serve(ends[1], ImageServer.FIRST, Duration.ofMillis(1), (in, out, errors) -> 0);

        served.get();

        assertThat(folder).doesNotExist();
    }

    @Test
    void anAnswerMayBeLong() throws Exception {
        byte[] much = new byte[1 << 20];
        serve(LONG, (in, out, errors) -> {
            out.write(much);
            return 0;
        });

        assertThat(asked("").output).hasSize(much.length);
    }

    @Test
    void whoCancelsInterruptsItsOwnRequestAlone() throws Exception {
        interruptsItsOwnRequestAlone(goes -> goes.say(ServiceFrame.CANCEL, ""));
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "both directions of a pipe end together")
    void whoSaysNoMoreInterruptsItsOwnRequestAlone() throws Exception {
        interruptsItsOwnRequestAlone(goes -> ((LocalConnection) goes.channel).endOutput());
    }

    private interface Going {
        void by(Client client) throws IOException;
    }

    private void interruptsItsOwnRequestAlone(Going going) throws Exception {
        CountDownLatch waiting = new CountDownLatch(2);
        Semaphore interrupted = new Semaphore(0);
        CountDownLatch go = new CountDownLatch(1);
        serve(LONG, (in, out, errors) -> {
            boolean stays = new String(in.readAllBytes(), StandardCharsets.UTF_8).equals("stays");
            waiting.countDown();
            try {
                go.await();
            } catch (InterruptedException e) {
                interrupted.release();
                throw e;
            }
            return stays ? 0 : 1;
        });

        try (Client stays = new Client().ask("stays")) {
            try (Client goes = new Client().ask("goes")) {
                waiting.await();
                going.by(goes);
                interrupted.acquire();
                assertThat(goes.end()).isEqualTo(new Said(1, "", ""));
            }
            go.countDown();
            assertThat(stays.end().status).isZero();
        }
        assertThat(interrupted.availablePermits()).isZero();
    }

    @Test
    void whatFailsFailsForItsClientAlone() throws Exception {
        serve(LONG, (in, out, errors) -> switch (new String(in.readAllBytes(), StandardCharsets.UTF_8)) {
            case "exception" -> throw new IllegalStateException("ours");
            case "error" -> throw new AssertionError("ours");
            default -> 0;
        });

        assertThat(asked("exception").errors).contains("IllegalStateException: ours");
        assertThat(asked("error").errors).contains("AssertionError: ours");
        assertThat(asked("").status).isZero();
    }

    @Test
    void withoutMemoryItEndsOnceTheOthersHaveTheirAnswers() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        serve(LONG, (in, out, errors) -> {
            if (in.readAllBytes().length > 0) {
                throw new OutOfMemoryError("Java heap space");
            }
            go.await();
            return 0;
        });

        try (Client other = new Client().ask("")) {
            Said said = asked("much");
            assertThat(said.status).isNotZero();
            assertThat(said.errors).contains("no memory left: Java heap space");
            assertThat(folder).doesNotExist();
            go.countDown();
            assertThat(other.end().status).isZero();
        }
        served.get();
    }

    @Test
    void whoDoesNotReadHoldsUpNobody() throws Exception {
        Semaphore done = new Semaphore(0);
        String line = "x".repeat(1000);
        serve(LONG, (in, out, errors) -> {
            for (int i = 0; i < 10_000; i++) {
                errors.println(line);
            }
            done.release();
            return 0;
        });

        try (Client slow = new Client().ask("")) {
            done.acquire();
            assertThat(slow.end().status).isZero();
        }
    }

    @Test
    void itEndsWhenNobodyAsksAndTakesItsFolderAway() throws Exception {
        serve(Duration.ofMillis(1), (in, out, errors) -> 0);

        served.get();

        assertThat(folder).doesNotExist();
    }

    @Test
    void whoIsSilentKeepsItAndWhoSaysAnotherIdentityIsSentAway() throws Exception {
        serve(LONG, (in, out, errors) -> 0);

        List<Client> silent = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            silent.add(new Client());
        }
        try (Client other = new Client()) {
            other.say(ServiceFrame.HELLO, "another build");
            assertThat(other.end()).isNull();
        }
        assertThat(asked("").status).isZero();
        for (Client client : silent) {
            client.close();
        }
    }

    @Test
    void oneMoreThanItServesIsSentAway() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        CountDownLatch waiting = new CountDownLatch(ImageServer.CLIENTS);
        serve(LONG, (in, out, errors) -> {
            waiting.countDown();
            go.await();
            return 0;
        });
        List<Client> clients = new ArrayList<>();
        for (int i = 0; i < ImageServer.CLIENTS; i++) {
            clients.add(new Client().ask(""));
        }
        waiting.await();

        try (Client more = new Client()) {
            assertThat(more.end()).isNull();
        }
        go.countDown();
        for (Client client : clients) {
            assertThat(client.end().status).isZero();
            client.close();
        }
    }

    @Test
    void statusSaysWhatItDoes() throws Exception {
        serve(LONG, (in, out, errors) -> 0);
        asked("");

        try (Client client = new Client()) {
            client.say(ServiceFrame.HELLO, IDENTITY);
            client.say(ServiceFrame.STATUS, "");
            assertThat(client.end().output)
                    .startsWith("pid " + ProcessHandle.current().pid() + ": 1 requests so far, ")
                    .contains("ends after 3600 s without one");
        }
    }
}
