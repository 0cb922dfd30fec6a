package dev.runhv.vmm.registry;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * An image in a registry, with docker's defaults filled in: {@code busybox} is docker.io/library/busybox:latest. {@link
 * #parse} makes only such of which no part of it needs quoting in a URL, and none is a path that leads elsewhere.
 *
 * @param registry a host and perhaps a port
 * @param repository OCI distribution 1.1, "Pulling manifests"
 * @param tag empty where there is a digest
 */
public record Reference(String registry, String repository, String tag, Optional<Digest> digest) {
    private static final String DOCKER = "docker.io";
    private static final String LIBRARY = "library/";
    /** Of a whole reference, as a user writes it and with its defaults; docker's bound of a name is 255. */
    private static final int CHARACTERS = 512;

    private static final Pattern HOST =
            Pattern.compile("([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
                    + "(:[0-9]{1,5})?|\\[[0-9a-fA-F:]{2,39}](:[0-9]{1,5})?");
    private static final int TAG_CHARACTERS = 128;

    /** The registry that was read last: a store has many names of few registries, and a listing reads them all. */
    private static volatile String known = DOCKER;

    /** @throws RunhvException with {@code INVALID_ARGUMENT}, saying what to write instead */
    public static Reference parse(String text) {
        String operation = "read the image name \"" + text + "\"";
        requireShort(operation, text);
        String name = text;
        Optional<Digest> digest = Optional.empty();
        int at = name.indexOf('@');
        if (at >= 0) {
            try {
                digest = Optional.of(Digest.parse(name.substring(at + 1)));
            } catch (CorruptInputException e) {
                throw Failures.invalid(operation, e.getMessage());
            }
            name = name.substring(0, at);
        }
        String tag = digest.isPresent() ? "" : "latest";
        int colon = name.indexOf(':', name.lastIndexOf('/') + 1);
        if (colon >= 0) {
            tag = name.substring(colon + 1);
            name = name.substring(0, colon);
            if (!isTag(tag)) {
                throw Failures.invalid(
                        operation,
                        "A tag has up to 128 letters, digits, \"_\", \".\" and \"-\", and begins with none of the last two");
            }
        }
        Reference reference = named(operation, name, digest.isPresent() ? "" : tag, digest);
        // It is kept as a whole, and read again.
        requireShort(operation, reference.toString());
        return reference;
    }

    private static void requireShort(String operation, String text) {
        if (text.length() > CHARACTERS) {
            throw Failures.invalid(operation, "It is longer than %d characters".formatted(CHARACTERS));
        }
    }

    private static Reference named(String operation, String name, String tag, Optional<Digest> digest) {
        int slash = name.indexOf('/');
        String first = slash < 0 ? "" : name.substring(0, slash);
        boolean host = first.equals("localhost")
                || first.contains(".")
                || first.contains(":")
                || !first.equals(first.toLowerCase(Locale.ROOT));
        String registry = host ? first : DOCKER;
        String repository = host ? name.substring(slash + 1) : name;
        if (registry.equals("index.docker.io")) {
            registry = DOCKER;
        }
        if (registry.equals(DOCKER) && !repository.contains("/")) {
            repository = LIBRARY + repository;
        }
        if (!registry.equals(DOCKER) && !isRegistry(registry)) {
            throw Failures.invalid(operation, "\"%s\" is no registry: write HOST[:PORT]/NAME".formatted(registry));
        }
        for (String component : repository.split("/", -1)) {
            if (!isComponent(component)) {
                throw Failures.invalid(
                        operation,
                        "Neither [REGISTRY/]NAME[:TAG] in lower case, nor oci:DIR[:TAG], oci-archive:FILE[:TAG] or"
                                + " docker-archive:FILE[:NAME]");
            }
        }
        return new Reference(registry, repository, tag, digest);
    }

    /**
     * The registry that a user names to log in, as {@code ghcr.io} or {@code https://index.docker.io/v1/}.
     *
     * @throws RunhvException with {@code INVALID_ARGUMENT}
     */
    public static String registry(String text) {
        String name = text.replaceFirst("^https?://", "").replaceFirst("/.*$", "");
        if (!isRegistry(name)) {
            throw Failures.invalid("find the registry \"" + text + "\"", "It is no HOST[:PORT]");
        }
        return name.equals("index.docker.io") ? DOCKER : name;
    }

    // Tags and components are read by hand: a first listing reads hundreds before a pattern is compiled.

    private static boolean isTag(String text) {
        if (text.isEmpty() || text.length() > TAG_CHARACTERS || text.charAt(0) == '.' || text.charAt(0) == '-') {
            return false;
        }
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (!isSmallOrDigit(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-') {
                return false;
            }
        }
        return true;
    }

    /** OCI distribution 1.1: words of small letters and digits, between them ".", "_", "__" or any number of "-". */
    private static boolean isComponent(String text) {
        int at = wordEnd(text, 0);
        boolean hasWord = at > 0;
        while (hasWord && at < text.length()) {
            int word = separatorEnd(text, at);
            hasWord = word > at;
            at = wordEnd(text, word);
            hasWord &= at > word;
        }
        return hasWord;
    }

    private static int wordEnd(String text, int at) {
        while (at < text.length() && isSmallOrDigit(text.charAt(at))) {
            at++;
        }
        return at;
    }

    /** {@code at} where there is none. */
    private static int separatorEnd(String text, int at) {
        if (text.startsWith("__", at)) {
            return at + 2;
        }
        if (text.charAt(at) == '.' || text.charAt(at) == '_') {
            return at + 1;
        }
        while (at < text.length() && text.charAt(at) == '-') {
            at++;
        }
        return at;
    }

    private static boolean isSmallOrDigit(char c) {
        return c >= 'a' && c <= 'z' || c >= '0' && c <= '9';
    }

    private static boolean isRegistry(String text) {
        if (text.equals(known)) {
            return true;
        }
        boolean registry = HOST.matcher(text).matches() && isAuthority(text);
        if (registry) {
            known = text;
        }
        return registry;
    }

    /** Not every host of the form is one: an address has its bounds, and so has a port. */
    private static boolean isAuthority(String host) {
        try {
            URI uri = new URI("https://" + host + "/");
            return uri.getHost() != null && uri.getPort() <= 65_535;
        } catch (URISyntaxException e) {
            return false;
        }
    }

    /** What a manifest is asked for by. */
    String tagOrDigest() {
        return digest.map(Digest::toString).orElse(tag);
    }

    /** As docker shows it, without its defaults: {@code busybox} of docker.io/library/busybox. */
    public String familiarRepository() {
        if (!registry.equals(DOCKER)) {
            return registry + "/" + repository;
        }
        return repository.startsWith(LIBRARY) ? repository.substring(LIBRARY.length()) : repository;
    }

    /** {@link #familiarRepository} with tag or digest. */
    public String familiar() {
        return familiarRepository() + digest.map(d -> "@" + d).orElse(":" + tag);
    }

    @Override
    public String toString() {
        return registry + "/" + repository + digest.map(d -> "@" + d).orElse(":" + tag);
    }
}
