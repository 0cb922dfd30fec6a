package dev.runhv.vmm.registry;

import java.net.URI;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.net.ssl.SSLContext;

/**
 * One server that is asked for what a registry has: itself, or a mirror of it.
 *
 * @param base what the API's paths are below, as {@code https://HOST/v2/}
 * @param name of the registry whose credentials it gets
 * @param namespace the registry that a mirror stands for; empty where it stands for itself
 * @param tls null: Java's own
 * @param headers sent with each request to it
 */
record Endpoint(
        URI base,
        String name,
        String namespace,
        Set<Capability> capabilities,
        SSLContext tls,
        Map<String, List<String>> headers) {
    /** What containerd's hosts.toml calls so. */
    enum Capability {
        /** A tag is looked up. */
        RESOLVE,
        /** What has a digest is fetched. */
        PULL,
        PUSH
    }

    /** The registry itself, as everybody finds it. */
    static Endpoint usual(String registry) {
        String host = registry.equals("docker.io") ? "registry-1.docker.io" : registry;
        return new Endpoint(
                URI.create(scheme(host) + "://" + host + "/v2/"),
                registry,
                "",
                EnumSet.allOf(Capability.class),
                null,
                Map.of());
    }

    /** As docker does: what does not leave the machine needs no secrecy. */
    static String scheme(String authority) {
        String host = URI.create("https://" + authority + "/").getHost();
        boolean local = host != null && (host.equals("localhost") || host.startsWith("127.") || host.equals("[::1]"));
        return local ? "http" : "https";
    }

    boolean isPlain() {
        return base.getScheme().equals("http");
    }

    boolean isOrigin(URI uri) {
        return uri.getScheme().equals(base.getScheme()) && uri.getAuthority().equalsIgnoreCase(base.getAuthority());
    }

    URI uri(String path) {
        String separator = path.contains("?") ? "&" : "?";
        return base.resolve(path + (namespace.isEmpty() ? "" : separator + "ns=" + namespace));
    }
}
