package dev.runhv.vmm.service;

import dev.runhv.vmm.abi.MalformedException;
import dev.runhv.vmm.process.ControlFrame;
import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.Channels;

/** The first frames of a client: what is no request is refused, and what is one is within its bounds. */
public final class ServiceFuzz {
    static final String IDENTITY = "build";

    private ServiceFuzz() {}

    public static void fuzzerTestOneInput(byte[] data) throws IOException {
        try {
            ServiceRequest request = ServiceRequest.read(Channels.newChannel(new ByteArrayInputStream(data)), IDENTITY);
            if (request instanceof ServiceRequest.Answer answer) {
                require(answer.request().length <= ControlFrame.MAX_PAYLOAD);
                answer.environment().forEach((name, value) -> {
                    require(!name.isEmpty() && name.indexOf('=') < 0);
                    require(name.indexOf('\0') < 0 && value.indexOf('\0') < 0);
                });
            }
        } catch (MalformedException | EOFException e) {
            return;
        }
    }

    private static void require(boolean holds) {
        if (!holds) {
            throw new AssertionError("A request is not as it is taken for");
        }
    }
}
