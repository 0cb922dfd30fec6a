package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not, as programs in Go read them. What is on this machine is asked
 * without. A user and a password in them are for the proxy alone, by Basic (RFC 7617).
 */
final class Proxies extends ProxySelector {
    private static final Way DIRECT = new Way(Proxy.NO_PROXY, "");

    private final Way http;
    private final Way https;
    private final List<String> without;

    /** @param authorization what is said to the proxy; empty where it asks for nothing */
    private record Way(Proxy proxy, String authorization) {}

    /** @throws dev.runhv.api.RunhvException where a proxy is named that cannot be used */
    Proxies(Map<String, String> environment) {
        http = way(environment, "HTTP_PROXY");
        https = way(environment, "HTTPS_PROXY");
        without =
                List.of(value(environment, "NO_PROXY").toLowerCase(Locale.ROOT).split("[,\\s]+"));
    }

    private static String value(Map<String, String> environment, String name) {
        String value = environment.getOrDefault(name, "");
        return value.isEmpty() ? environment.getOrDefault(name.toLowerCase(Locale.ROOT), "") : value;
    }

    private static Way way(Map<String, String> environment, String name) {
        String value = value(environment, name);
        if (value.isEmpty()) {
            return DIRECT;
        }
        try {
            URI uri = URI.create(value.contains("://") ? value : "http://" + value);
            if ("http".equals(uri.getScheme()) && uri.getHost() != null) {
                int port = uri.getPort() < 0 ? 80 : uri.getPort();
                return new Way(
                        new Proxy(Proxy.Type.HTTP, InetSocketAddress.createUnresolved(uri.getHost(), port)),
                        authorization(uri.getUserInfo()));
            }
        } catch (IllegalArgumentException e) {
            // Said below; the value may hold a password, so it is not shown.
        }
        throw Failures.unsupported("use " + name, "It is not http://[USER[:PASSWORD]@]HOST[:PORT]");
    }

    /** @param user with the password behind a colon, without escapes; null where there is none */
    private static String authorization(String user) {
        if (user == null || user.isEmpty()) {
            return "";
        }
        String credentials = user.contains(":") ? user : user + ":";
        return "Basic " + Base64.getEncoder().encodeToString(credentials.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public List<Proxy> select(URI uri) {
        return List.of(way(uri).proxy);
    }

    /** What is said to the proxy that the URI is asked through: a Proxy-Authorization (RFC 9110 §11.7.2). */
    Optional<String> authorization(URI uri) {
        return Optional.of(way(uri).authorization).filter(said -> !said.isEmpty());
    }

    private Way way(URI uri) {
        String host = uri.getHost().toLowerCase(Locale.ROOT);
        int port = uri.getPort() >= 0 ? uri.getPort() : uri.getScheme().equals("https") ? 443 : 80;
        InetAddress address = literal(host);
        boolean here = host.equals("localhost") || address != null && address.isLoopbackAddress();
        if (here || without.stream().anyMatch(entry -> fits(entry, host, port, address))) {
            return DIRECT;
        }
        return uri.getScheme().equals("https") ? https : http;
    }

    @Override
    public void connectFailed(URI uri, SocketAddress address, IOException failure) {}

    private static boolean fits(String entry, String host, int port, InetAddress address) {
        if (entry.equals("*")) {
            return true;
        }
        if (entry.contains("/")) {
            return address != null && inNetwork(entry, address);
        }
        String name = entry.replaceFirst(":" + port + "$", "").replaceFirst("^\\*?\\.", "");
        return !name.isEmpty() && (host.equals(name) || address == null && host.endsWith("." + name));
    }

    private static InetAddress literal(String host) {
        try {
            return InetAddress.ofLiteral(host);
        } catch (IllegalArgumentException e) {
            return null;
        }
    }

    /** As 10.0.0.0/8. */
    private static boolean inNetwork(String network, InetAddress address) {
        int slash = network.indexOf('/');
        InetAddress first = literal(network.substring(0, slash));
        String length = network.substring(slash + 1);
        if (first == null || !length.matches("[0-9]{1,3}")) {
            return false;
        }
        byte[] one = first.getAddress();
        byte[] other = address.getAddress();
        int bits = Integer.parseInt(length);
        boolean equal = one.length == other.length && bits <= 8 * one.length;
        for (int i = 0; equal && i < bits; i++) {
            equal = ((one[i / 8] ^ other[i / 8]) >> 7 - i % 8 & 1) == 0;
        }
        return equal;
    }
}
