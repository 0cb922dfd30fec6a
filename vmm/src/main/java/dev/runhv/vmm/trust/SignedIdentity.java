package dev.runhv.vmm.trust;

import dev.runhv.api.RunhvException;
import dev.runhv.vmm.content.CorruptInputException;
import dev.runhv.vmm.content.Json;
import dev.runhv.vmm.registry.Reference;
import java.util.Optional;
import java.util.Set;

/** Which name a signature must be for (containers-policy.json(5), "signedIdentity"). */
sealed interface SignedIdentity {
    /** @param signed what the signature says, of whoever has the key */
    boolean accepts(Reference image, String signed);

    /** The same tag or digest. */
    record MatchExact() implements SignedIdentity {
        @Override
        public boolean accepts(Reference image, String signed) {
            return SignedName.parse(signed).map(name -> name.isExactly(image)).orElse(false);
        }
    }

    /** The same tag; of an image by its digest, the same repository. */
    record MatchRepoDigestOrExact() implements SignedIdentity {
        @Override
        public boolean accepts(Reference image, String signed) {
            Optional<SignedName> name = SignedName.parse(signed);
            if (name.isEmpty() || name.get().qualifiers == 0) {
                return false;
            }
            return image.digest().isPresent()
                    ? name.get().isOfRepository(image)
                    : name.get().isExactly(image);
        }
    }

    /** The same repository: any tag, or none as cosign has it. */
    record MatchRepository() implements SignedIdentity {
        @Override
        public boolean accepts(Reference image, String signed) {
            return SignedName.parse(signed)
                    .map(name -> name.isOfRepository(image))
                    .orElse(false);
        }
    }

    /** This name, whatever the image is called here. */
    record ExactReference(Reference name) implements SignedIdentity {
        @Override
        public boolean accepts(Reference image, String signed) {
            return new MatchExact().accepts(name, signed);
        }
    }

    /** A name of this repository, whatever the image is called here. */
    record ExactRepository(Reference name) implements SignedIdentity {
        @Override
        public boolean accepts(Reference image, String signed) {
            return new MatchRepository().accepts(name, signed);
        }
    }

    /** As {@link MatchRepoDigestOrExact}, where the beginning of the image's name stands for another one. */
    record RemapIdentity(String prefix, String signedPrefix) implements SignedIdentity {
        @Override
        public boolean accepts(Reference image, String signed) {
            String name = image.toString();
            String repository = image.registry() + "/" + image.repository();
            if (!repository.equals(prefix) && !repository.startsWith(prefix + "/")) {
                return new MatchRepoDigestOrExact().accepts(image, signed);
            }
            String remapped = signedPrefix + name.substring(prefix.length());
            try {
                Reference other = Reference.parse(remapped);
                // What docker's defaults would change is nobody's whole name.
                return other.toString().equals(remapped) && new MatchRepoDigestOrExact().accepts(other, signed);
            } catch (RunhvException e) {
                return false;
            }
        }
    }

    static SignedIdentity parse(Json json) throws CorruptInputException {
        String type = json.string("type");
        return switch (type) {
            case "matchExact" -> {
                json.requireOnly(Set.of("type"));
                yield new MatchExact();
            }
            case "matchRepoDigestOrExact" -> {
                json.requireOnly(Set.of("type"));
                yield new MatchRepoDigestOrExact();
            }
            case "matchRepository" -> {
                json.requireOnly(Set.of("type"));
                yield new MatchRepository();
            }
            case "exactReference" -> {
                json.requireOnly(Set.of("type", "dockerReference"));
                SignedName name = named("dockerReference", json.string("dockerReference"));
                if (name.qualifiers != 1) {
                    throw new CorruptInputException("dockerReference: expected a name with a tag or a digest");
                }
                yield new ExactReference(name.reference);
            }
            case "exactRepository" -> {
                json.requireOnly(Set.of("type", "dockerRepository"));
                yield new ExactRepository(named("dockerRepository", json.string("dockerRepository")).reference);
            }
            case "remapIdentity" -> {
                json.requireOnly(Set.of("type", "prefix", "signedPrefix"));
                yield new RemapIdentity(
                        prefix("prefix", json.string("prefix")), prefix("signedPrefix", json.string("signedPrefix")));
            }
            default -> throw new CorruptInputException("The type of a signedIdentity is unknown: \"" + type + "\"");
        };
    }

    private static SignedName named(String member, String text) throws CorruptInputException {
        return SignedName.parse(text)
                .orElseThrow(() -> new CorruptInputException(member + ": no name of an image: \"" + text + "\""));
    }

    /** Of whole names: a host, or one with the beginning of a repository. */
    private static String prefix(String member, String text) throws CorruptInputException {
        String below = text + "/x";
        boolean whole = SignedName.parse(below)
                .map(name -> name.repository().equals(below))
                .orElse(false);
        if (!whole) {
            throw new CorruptInputException(
                    member + ": expected HOST[:PORT][/NAMESPACE] in full, not \"" + text + "\"");
        }
        return text;
    }

    /**
     * A name as a signature says it.
     *
     * @param qualifiers how many of tag and digest it has: who signs a repository says neither
     */
    record SignedName(Reference reference, int qualifiers) {
        static Optional<SignedName> parse(String text) {
            try {
                Reference reference = Reference.parse(text);
                int at = text.indexOf('@');
                String name = at < 0 ? text : text.substring(0, at);
                boolean tagged = name.indexOf(':', name.lastIndexOf('/') + 1) >= 0;
                return Optional.of(new SignedName(reference, (tagged ? 1 : 0) + (at < 0 ? 0 : 1)));
            } catch (RunhvException e) {
                return Optional.empty();
            }
        }

        String repository() {
            return reference.registry() + "/" + reference.repository();
        }

        boolean isOfRepository(Reference image) {
            return repository().equals(image.registry() + "/" + image.repository());
        }

        boolean isExactly(Reference image) {
            return qualifiers == 1 && reference.toString().equals(image.toString());
        }
    }
}
