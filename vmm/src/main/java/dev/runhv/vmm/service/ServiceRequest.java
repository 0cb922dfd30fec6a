package dev.runhv.vmm.service;

import dev.runhv.vmm.abi.MalformedException;
import dev.runhv.vmm.process.ControlFrame;
import java.io.IOException;
import java.nio.channels.ReadableByteChannel;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** What a client asks for, of its first frames: bytes of a stranger, though of the same user. */
sealed interface ServiceRequest {
    /**
     * An answer to a request of docs/prepare.md.
     *
     * @param environment the client's
     */
    record Answer(Map<String, String> environment, byte[] request) implements ServiceRequest {}

    /** A line about the service. */
    record Status() implements ServiceRequest {}

    /** To take no further client, and to end. */
    record Stop() implements ServiceRequest {}

    /**
     * @param identity that the client must say first
     * @throws IOException where it has gone, says another identity or what is no request
     */
    static ServiceRequest read(ReadableByteChannel channel, String identity) throws IOException {
        if (!text(next(channel), ServiceFrame.HELLO).equals(identity)) {
            throw new MalformedException("It is another build, or elsewhere");
        }
        ControlFrame asked = next(channel);
        return switch (asked.type()) {
            case ServiceFrame.STATUS -> new Status();
            case ServiceFrame.STOP -> new Stop();
            default ->
                new Answer(
                        environment(text(asked, ServiceFrame.ENVIRONMENT)), bytes(next(channel), ServiceFrame.REQUEST));
        };
    }

    private static ControlFrame next(ReadableByteChannel channel) throws IOException {
        ControlFrame frame = ControlFrame.read(channel, ControlFrame.MAX_PAYLOAD);
        if (frame == null) {
            throw new MalformedException("It ends before its request does");
        }
        return frame;
    }

    private static byte[] bytes(ControlFrame frame, int type) throws IOException {
        if (frame.type() != type) {
            throw new MalformedException("A frame of type " + frame.type() + " where " + type + " is expected");
        }
        return frame.payload().array();
    }

    private static String text(ControlFrame frame, int type) throws IOException {
        return new String(bytes(frame, type), StandardCharsets.UTF_8);
    }

    /** Of NAME=value, each with a NUL behind it. A name that comes again has its first value, as getenv(3) has it. */
    private static Map<String, String> environment(String text) {
        Map<String, String> environment = new HashMap<>();
        for (String variable : text.split("\0")) {
            int equals = variable.indexOf('=');
            if (equals > 0) {
                environment.putIfAbsent(variable.substring(0, equals), variable.substring(equals + 1));
            }
        }
        return environment;
    }
}
