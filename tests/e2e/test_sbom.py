"""Bills of materials that come with images: attested as BuildKit does it, or referring to the image in its registry."""

import json

import pytest
from test_registry import fresh, registry  # noqa: F401
from test_transfer import checked, one_line
from test_trust import INDEX, MANIFEST, digest_of, put, put_blob, put_image

SPDX = b'{ "spdxVersion": "SPDX-2.3",\n  "packages": [ {"name": "busybox-\xc3\xa9"} ] }'
CYCLONEDX = b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}'
SPDX_TYPE, CYCLONEDX_TYPE = "https://spdx.dev/Document", "https://cyclonedx.org/bom/v1.6"
PROVENANCE = "https://slsa.dev/provenance/v1"


def put_manifest(registry, repository, layers, **more):
    """Gives its descriptor."""
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **put_blob(registry, repository, b"{}")}
    text = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}).encode()
    put(registry, f"{repository}/manifests/{digest_of(text)}", text, MANIFEST)
    return {"mediaType": MANIFEST, "digest": digest_of(text), "size": len(text)}


def put_index(registry, name, manifests):
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    put(registry, name.replace(":", "/manifests/"), text, INDEX)


def statement(registry, repository, kind, subject, document):
    text = b'{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"%s","subject":[{"name":"_","digest":{"sha256":"%s"}}],"predicate":%s}' % (
        kind.encode(), subject.removeprefix("sha256:").encode(), document)
    return {"mediaType": "application/vnd.in-toto+json", **put_blob(registry, repository, text),
            "annotations": {"in-toto.io/predicate-type": kind}}


def put_attested(runhv, registry, repository, *statements, subject=None):
    """An index as BuildKit makes it."""
    digest, size = put_image(runhv, registry, f"{repository}:image")
    layers = [statement(registry, repository, kind, subject or digest, document) for kind, document in statements]
    attestation = put_manifest(registry, repository, layers)
    put_index(registry, f"{repository}:latest", [
        {"mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": "amd64"}},
        {**attestation, "platform": {"os": "unknown", "architecture": "unknown"},
         "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}}])
    return registry.name(repository)


@pytest.fixture
def attested(fresh, registry):
    name = put_attested(fresh, registry, "attested", (PROVENANCE, b"{}"), (SPDX_TYPE, SPDX), (CYCLONEDX_TYPE, CYCLONEDX))
    checked(fresh("pull", name))
    return name


def test_what_the_builder_attests_is_written_as_it_is(fresh, registry, attested, tmp_path):
    first = fresh("sbom", attested)
    assert (first.returncode, first.stdout) == (0, SPDX), first.stderr
    assert b"2 of them" in first.stderr
    # It is in the store now.
    registry.stop()
    (file := tmp_path / "sbom.json").write_text("before")
    other = fresh("sbom", "--type", "cyclonedx", "-o", file, checked(fresh("images", "-q")).strip())
    assert (other.returncode, other.stdout, file.read_bytes()) == (0, b"", CYCLONEDX), other.stderr
    registry.start()


def test_what_refers_to_an_image_is_written_as_it_is(fresh, registry):
    digest, size = put_image(fresh, registry, "plain:latest")
    name = registry.name("plain")
    checked(fresh("pull", name))
    one_line(fresh("sbom", name), name, "none")

    def refer(subject, document=SPDX):
        layer = {"mediaType": "application/spdx+json", **put_blob(registry, "plain", document)}
        subject = {"mediaType": MANIFEST, "digest": subject, "size": size}
        referrer = put_manifest(registry, "plain", [layer], subject=subject, artifactType="application/spdx+json")
        put_index(registry, f"plain:{digest.replace(':', '-')}", [{**referrer, "artifactType": "application/spdx+json"}])

    refer(digest)
    assert checked(fresh("sbom", name)).encode() == SPDX
    one_line(fresh("sbom", "--type", "cyclonedx", name), name, "another format")
    refer("sha256:" + "0" * 64)
    one_line(fresh("sbom", name), name, "does not")
    refer(digest, b'{"name": "\x1b[2J"}')
    one_line(fresh("sbom", name), name, "no JSON")


def test_what_is_about_another_image_is_refused(fresh, registry, tmp_path):
    name = put_attested(fresh, registry, "wrong", (SPDX_TYPE, SPDX), subject="sha256:" + "0" * 64)
    checked(fresh("pull", name))
    file = tmp_path / "sbom.json"
    one_line(fresh("sbom", "-o", file, name), name, "is not about")
    assert not file.exists()
    one_line(fresh("sbom", "--type", "text", name), "spdx or cyclonedx")
    one_line(fresh("sbom", registry.name("nothing")), "No such image")
