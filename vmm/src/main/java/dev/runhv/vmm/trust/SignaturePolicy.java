package dev.runhv.vmm.trust;

import dev.runhv.api.ErrorCode;
import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.BoundedBytes;
import dev.runhv.vmm.content.CallerEnvironment;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Digest;
import dev.runhv.vmm.content.Failures;
import dev.runhv.vmm.content.Json;
import dev.runhv.vmm.registry.Reference;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which images may come in, as containers' {@code policy.json} has it (containers-policy.json(5)). One that cannot be read lets
 * nothing in; where there is none, everything.
 */
public final class SignaturePolicy {
    private static final String VARIABLE = "RUNHV_SIGNATURE_POLICY";
    private static final Path OF_THE_HOST = Path.of("/etc/containers/policy.json");
    private static final int BYTES = 1 << 20;

    private final String file;
    private final List<Requirement> byDefault;
    /** By transport, then by scope. */
    private final Map<String, Map<String, List<Requirement>>> transports;

    private SignaturePolicy(
            String file, List<Requirement> byDefault, Map<String, Map<String, List<Requirement>>> transports) {
        this.file = file;
        this.byDefault = byDefault;
        this.transports = transports;
    }

    /**
     * The caller's.
     *
     * @throws RunhvException where its file is not as it should be
     */
    public static SignaturePolicy current() {
        return find(CallerEnvironment.get(), OF_THE_HOST);
    }

    static SignaturePolicy find(Map<String, String> environment, Path ofTheHost) {
        String named = environment.getOrDefault(VARIABLE, "");
        if (!named.isEmpty()) {
            if (!Path.of(named).isAbsolute()) {
                throw Failures.invalid("read the signature policy " + named, VARIABLE + ": expected an absolute path");
            }
            return read(List.of(Path.of(named)), true);
        }
        List<Path> places = new ArrayList<>();
        String home = environment.getOrDefault("HOME", "");
        if (!home.isEmpty()) {
            places.add(Path.of(home, ".config", "containers", "policy.json"));
        }
        places.add(ofTheHost);
        return read(places, false);
    }

    private static SignaturePolicy read(List<Path> places, boolean required) {
        for (Path place : places) {
            try (InputStream in = Files.newInputStream(place)) {
                return parse(place.toString(), BoundedBytes.read(in, BYTES, "It"));
            } catch (NoSuchFileException | NotDirectoryException e) {
                if (required) {
                    throw Failures.of("read the signature policy " + place, e);
                }
            } catch (IOException e) {
                throw Failures.of("read the signature policy " + place, e);
            }
        }
        return new SignaturePolicy("no policy", List.of(new Requirement.InsecureAcceptAnything()), Map.of());
    }

    /** @param file for messages */
    static SignaturePolicy parse(String file, byte[] text) throws CorruptInputException {
        Json json = Json.parse(text);
        json.requireOnly(Set.of("default", "transports"));
        Map<String, Map<String, List<Requirement>>> transports = new HashMap<>();
        Json byTransport = json.objectOrEmpty("transports");
        for (String transport : byTransport.memberNames()) {
            Json byScope = byTransport.object(transport);
            Map<String, List<Requirement>> scopes = new HashMap<>();
            for (String scope : byScope.memberNames()) {
                scopes.put(scope, requirements(byScope, scope));
            }
            transports.put(transport, Map.copyOf(scopes));
        }
        return new SignaturePolicy(file, requirements(json, "default"), Map.copyOf(transports));
    }

    private static List<Requirement> requirements(Json json, String member) throws CorruptInputException {
        List<Requirement> requirements = new ArrayList<>();
        for (Json entry : json.objects(member)) {
            requirements.add(Requirement.parse(entry));
        }
        if (requirements.isEmpty()) {
            throw new CorruptInputException("\"" + member + "\": expected an array of requirements, not an empty one");
        }
        return List.copyOf(requirements);
    }

    /**
     * Lets an image of a registry in, or throws.
     *
     * @param manifest of the platform that is wanted: what is signed
     * @throws RunhvException with {@code ACCESS_DENIED} where the policy refuses it, {@code UNSUPPORTED} where that asks for
     *     what is not verified here
     */
    public void require(Reference image, Digest manifest) throws IOException, InterruptedException {
        String operation = "pull image " + image;
        AttachedSignatures signatures = new AttachedSignatures(image, manifest);
        for (Requirement requirement : of("docker", scopes(image))) {
            switch (requirement) {
                case Requirement.InsecureAcceptAnything _ -> {}
                case Requirement.Reject _ -> throw refused(operation, "It rejects it");
                case Requirement.Unsupported(String what) -> throw unsupported(operation, what);
                case Requirement.SigstoreSigned signed -> {
                    List<String> refusals = signatures.refusals(signed);
                    if (!refusals.isEmpty()) {
                        throw refused(operation, String.join("; ", refusals));
                    }
                }
            }
        }
    }

    /**
     * Lets an image of this host in, or throws as {@link #require(Reference, Digest)}.
     *
     * @param transport containers' name for what it is
     * @param place empty where the transport knows no scopes
     */
    public void require(String operation, String transport, List<Path> place) throws IOException {
        List<String> scopes = new ArrayList<>();
        for (Path path : place) {
            for (Path at = path.toRealPath(); at.getNameCount() > 0; at = at.getParent()) {
                scopes.add(at.toString());
            }
        }
        for (Requirement requirement : of(transport, scopes)) {
            switch (requirement) {
                case Requirement.InsecureAcceptAnything _ -> {}
                case Requirement.Reject _ -> throw refused(operation, "It rejects it");
                case Requirement.Unsupported(String what) -> throw unsupported(operation, what);
                case Requirement.SigstoreSigned _ ->
                    throw refused(operation, "It asks for a signature, and these are read in registries only");
            }
        }
    }

    private RunhvException refused(String operation, String why) {
        return Failures.of(ErrorCode.ACCESS_DENIED, operation, "The signature policy " + file + " refuses it: " + why);
    }

    private RunhvException unsupported(String operation, String what) {
        return Failures.unsupported(
                operation,
                "The signature policy %s asks for %s, which is not verified in this version: sigstoreSigned with a key is, or %s names another policy"
                        .formatted(file, what, VARIABLE));
    }

    /** The most specific one counts, alone. */
    List<Requirement> of(String transport, List<String> scopes) {
        Map<String, List<Requirement>> byScope = transports.getOrDefault(transport, Map.of());
        for (String scope : scopes) {
            List<Requirement> found = byScope.get(scope);
            if (found != null) {
                return found;
            }
        }
        return byScope.getOrDefault("", byDefault);
    }

    /** From the image itself up to its host, then the host's domains: {@code *.example.com}. */
    static List<String> scopes(Reference image) {
        List<String> scopes = new ArrayList<>();
        scopes.add(image.toString());
        String name = image.registry() + "/" + image.repository();
        for (int slash = name.lastIndexOf('/'); slash >= 0; slash = name.lastIndexOf('/')) {
            scopes.add(name);
            name = name.substring(0, slash);
        }
        scopes.add(name);
        String host = name.replaceFirst(":[0-9]+$", "");
        for (int dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.')) {
            host = host.substring(dot + 1);
            scopes.add("*." + host);
        }
        return scopes;
    }
}
