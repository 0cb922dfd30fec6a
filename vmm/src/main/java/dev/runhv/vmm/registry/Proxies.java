package dev.runhv.vmm.registry;

import dev.runhv.vmm.content.Failures;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not, as programs in Go read them. What is on this machine is asked
 * without.
 */
final class Proxies extends ProxySelector {
    private final Proxy http;
    private final Proxy https;
    private final List<String> without;

    /** @throws dev.runhv.api.RunhvException where a proxy is named that cannot be used */
    Proxies(Map<String, String> environment) {
        http = proxy(environment, "HTTP_PROXY");
        https = proxy(environment, "HTTPS_PROXY");
        without =
                List.of(value(environment, "NO_PROXY").toLowerCase(Locale.ROOT).split("[,\\s]+"));
    }

    private static String value(Map<String, String> environment, String name) {
        String value = environment.getOrDefault(name, "");
        return value.isEmpty() ? environment.getOrDefault(name.toLowerCase(Locale.ROOT), "") : value;
    }

    private static Proxy proxy(Map<String, String> environment, String name) {
        String value = value(environment, name);
        if (value.isEmpty()) {
            return Proxy.NO_PROXY;
        }
        try {
            URI uri = URI.create(value.contains("://") ? value : "http://" + value);
            if ("http".equals(uri.getScheme()) && uri.getHost() != null && uri.getUserInfo() == null) {
                int port = uri.getPort() < 0 ? 80 : uri.getPort();
                return new Proxy(Proxy.Type.HTTP, InetSocketAddress.createUnresolved(uri.getHost(), port));
            }
        } catch (IllegalArgumentException e) {
            // Said below; the value may hold a password, so it is not shown.
        }
        throw Failures.unsupported("use " + name, "It is not http://HOST[:PORT] without a user");
    }

    @Override
    public List<Proxy> select(URI uri) {
        String host = uri.getHost().toLowerCase(Locale.ROOT);
        int port = uri.getPort() >= 0 ? uri.getPort() : uri.getScheme().equals("https") ? 443 : 80;
        InetAddress address = literal(host);
        boolean here = host.equals("localhost") || address != null && address.isLoopbackAddress();
        if (here || without.stream().anyMatch(entry -> fits(entry, host, port, address))) {
            return List.of(Proxy.NO_PROXY);
        }
        return List.of(uri.getScheme().equals("https") ? https : http);
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
