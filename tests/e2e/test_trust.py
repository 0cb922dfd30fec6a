"""The signature policy: which images come in, with skopeo's verdict on the same inputs beside ours."""

import base64
import ctypes
import hashlib
import json
import os
import subprocess
import urllib.request

import pytest
from test_registry import fresh, registry  # noqa: F401
from test_transfer import checked, one_line, runs, skopeo

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
SIGNED = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
TYPE = "cosign container image signature"
ACCEPT, REJECT = {"type": "insecureAcceptAnything"}, {"type": "reject"}


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60, **options).stdout


class Key:
    """As `cosign generate-key-pair` makes one, without its password."""

    def __init__(self, file):
        self.file, self.public = file, file.with_suffix(".pub")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file)
        openssl("ec", "-in", file, "-pubout", "-out", self.public)

    def sign(self, content):
        return base64.b64encode(openssl("dgst", "-sha256", "-sign", self.file, input=content)).decode()

    def encrypted(self, password):
        """The private key as skopeo wants it: scrypt and NaCl's secretbox around PKCS #8."""
        try:
            sodium = ctypes.CDLL("libsodium.so.23")
        except OSError as e:
            pytest.skip(f"no libsodium here: {e}")
        der = openssl("pkcs8", "-topk8", "-nocrypt", "-in", self.file, "-outform", "DER")
        salt, nonce, box = os.urandom(32), os.urandom(24), ctypes.create_string_buffer(len(der) + 16)
        key = hashlib.scrypt(password, salt=salt, n=32768, r=8, p=1, dklen=32, maxmem=1 << 26)
        assert sodium.crypto_secretbox_easy(box, der, ctypes.c_ulonglong(len(der)), nonce, key) == 0
        text = {"kdf": {"name": "scrypt", "params": {"N": 32768, "r": 8, "p": 1}, "salt": base64.b64encode(salt).decode()},
                "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
                "ciphertext": base64.b64encode(box.raw).decode()}
        body = base64.encodebytes(json.dumps(text).encode()).decode()
        return f"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n{body}-----END ENCRYPTED COSIGN PRIVATE KEY-----\n"


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path / "mine.key")


def payload(digest, name, kind=TYPE, **more):
    critical = {"identity": {"docker-reference": name}, "image": {"docker-manifest-digest": digest}, "type": kind}
    return json.dumps({"critical": critical, "optional": None, **more}).encode()


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def put(registry, path, content, media_type):
    request = urllib.request.Request(f"http://localhost:{registry.port}/v2/{path}", content,
                                     {"Content-Type": media_type}, method="PUT")
    urllib.request.urlopen(request, timeout=60).close()


def put_blob(registry, repository, content):
    begin = urllib.request.Request(f"http://localhost:{registry.port}/v2/{repository}/blobs/uploads/", b"", method="POST")
    with urllib.request.urlopen(begin, timeout=60) as answer:
        place = answer.headers["Location"].split("/v2/", 1)[1]
    put(registry, f"{place}&digest={digest_of(content)}", content, "application/octet-stream")
    return {"digest": digest_of(content), "size": len(content)}


def attach(registry, repository, digest, signatures):
    """Signatures as cosign keeps them: (what is signed, base64) each."""
    layers = [{"mediaType": SIGNED, **put_blob(registry, repository, signed), "annotations": {SIGNATURE: signature}}
              for signed, signature in signatures]
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **put_blob(registry, repository, b"{}")}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    put(registry, f"{repository}/manifests/{digest.replace(':', '-')}.sig", json.dumps(manifest).encode(), MANIFEST)


def put_image(runhv, registry, name):
    """The manifest's digest, of an image that has no signature yet."""
    registry.push(runhv.image("busybox"), name)
    text = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{registry.name(name)}")
    return digest_of(text), len(text)


class Policies:
    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "policy.json"
        attachments = folder / "registries.d"
        attachments.mkdir()
        (attachments / "default.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")

    def write(self, default, **transports):
        self.file.write_text(json.dumps({"default": default, "transports": transports}))
        return {"RUNHV_SIGNATURE_POLICY": str(self.file)}

    def lets_in(self, who, runhv, name):
        return (self.skopeo if who == "skopeo" else self.runhv)(runhv, name)

    def skopeo(self, runhv, name):
        copied = subprocess.run(
            ["skopeo", "--policy", self.file, "--registries.d", self.folder / "registries.d", "copy", "--quiet",
             "--src-tls-verify=false", f"docker://{name}", f"oci:{self.folder}/copied:x"],
            capture_output=True, timeout=120, check=False)
        skip_where_disabled(copied)
        return copied.returncode == 0

    def runhv(self, runhv, name):
        pulled = runhv("pull", "--quiet", name, env={"RUNHV_SIGNATURE_POLICY": str(self.file)})
        if pulled.returncode != 0:
            one_line(pulled, str(self.file))
        return pulled.returncode == 0


def skip_where_disabled(skopeo):
    """Debian's builds have it disabled."""
    if b"sigstore disabled" in skopeo.stderr:
        pytest.skip("this skopeo neither makes nor verifies signatures of cosign's kind")


@pytest.fixture
def policies(tmp_path):
    return Policies(tmp_path)


@pytest.fixture(autouse=True)
def service(fresh, monkeypatch):
    """Many commands of one user: without a JVM's start for each."""
    monkeypatch.setenv("RUNHV_SERVICE", "600")
    yield
    checked(fresh("service", "stop"))


WHO = pytest.mark.parametrize("who", ["runhv", "skopeo"])


@WHO
def test_a_signature_is_accepted_or_not(who, fresh, registry, policies, key, tmp_path):
    digest, size = put_image(fresh, registry, "team/signed:1")
    other = Key(tmp_path / "other.key")
    name = registry.name("team/signed:1")
    repository = name.removesuffix(":1")
    good = payload(digest, name)
    unnamed = payload(digest, repository)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": "amd64"}}]}).encode()
    put(registry, "team/signed/manifests/index", index, INDEX)
    # Of the index alone: it is none of the image.
    of_index = payload(digest_of(index), f"{repository}:index")
    attach(registry, "team/signed", digest_of(index), [(of_index, key.sign(of_index))])

    def signed(content, by=key):
        return [(content, by.sign(content))]

    def identity(kind, **more):
        return {"signedIdentity": {"type": kind, **more}}

    cases = {
        "none": (None, {}, name, False),
        "an index that is signed alone": (None, {}, f"{repository}:index", False),
        "good": (signed(good), {}, name, True),
        "another key": (signed(good, by=other), {}, name, False),
        "another key, then ours": (signed(good, by=other) + signed(good), {}, name, True),
        "changed after it was signed": ([(payload(digest, name, more=1), key.sign(good))], {}, name, False),
        "another digest": (signed(payload("sha256:" + "0" * 64, name)), {}, name, False),
        "another tag": (signed(payload(digest, f"{repository}:2")), {}, name, False),
        "another repository": (signed(payload(digest, registry.name("team/other:1"))), identity("matchRepository"), name, False),
        "no tag": (signed(unnamed), {}, name, False),
        "no tag, and none is asked for": (signed(unnamed), identity("matchRepository"), name, True),
        "by its digest": (signed(good), {}, f"{repository}@{digest}", True),
        "by its digest, exactly": (signed(good), identity("matchExact"), f"{repository}@{digest}", False),
        "another name that is expected": (
            signed(payload(digest, "quay.io/a:1")), identity("exactReference", dockerReference="quay.io/a:1"), name, True),
        "another repository that is expected": (
            signed(payload(digest, "quay.io/a")), identity("exactRepository", dockerRepository="quay.io/a"), name, True),
        "another prefix that is expected": (
            signed(payload(digest, "quay.io/team/signed:1")),
            identity("remapIdentity", prefix=registry.name("team"), signedPrefix="quay.io/team"), name, True),
        "no base64": ([(good, "*")], {}, name, False),
        "another kind of signature": (signed(payload(digest, name, "atomic container signature")), {}, name, False),
        "more than a signature says": (signed(payload(digest, name, more=1)), {}, name, False),
        "no JSON": (signed(b"signed"), {}, name, False),
        "an index whose image is signed": (signed(payload(digest, f"{repository}:index")), {}, f"{repository}:index", True),
    }
    policy = {"type": "sigstoreSigned", "keyPath": str(key.public)}
    verdicts = {}
    for case, (signatures, more, image, _) in cases.items():
        if signatures is not None:
            attach(registry, "team/signed", digest, signatures)
        policies.write([{**policy, **more}])
        verdicts[case] = policies.lets_in(who, fresh, image)
    assert verdicts == {case: accepted for case, (_, _, _, accepted) in cases.items()}


@WHO
def test_one_scope_counts(who, fresh, registry, policies):
    put_image(fresh, registry, "team/a:1")
    host, image = registry.name("").rstrip("/"), registry.name("team/a:1")
    cases = {
        "default": ([REJECT], {}, False),
        "transport": ([REJECT], {"": [ACCEPT]}, True),
        "host": ([REJECT], {"": [REJECT], host: [ACCEPT]}, True),
        "namespace": ([REJECT], {host: [REJECT], f"{host}/team": [ACCEPT]}, True),
        "repository": ([ACCEPT], {f"{host}/team": [ACCEPT], f"{host}/team/a": [REJECT]}, False),
        "tag": ([ACCEPT], {f"{host}/team/a": [REJECT], image: [ACCEPT]}, True),
        "another": ([ACCEPT], {f"{host}/tea": [REJECT], f"{host}/team/a:2": [REJECT]}, True),
        "all of them": ([ACCEPT, REJECT], {}, False),
        "nothing is demanded": ([ACCEPT], {host: []}, False),
        "unknown": ([ACCEPT], {"quay.io": [{"type": "accept"}]}, False),
    }
    verdicts = {}
    for case, (default, scopes, _) in cases.items():
        policies.write(default, docker=scopes)
        verdicts[case] = policies.lets_in(who, fresh, image)
    assert verdicts == {case: accepted for case, (_, _, accepted) in cases.items()}


def test_what_skopeo_has_signed_comes_in(fresh, registry, policies, key, tmp_path):
    password, private = tmp_path / "password", tmp_path / "cosign.key"
    password.write_text("secret word")
    private.write_text(key.encrypted(b"secret word"))
    signed = subprocess.run(
        ["skopeo", "--insecure-policy", "--registries.d", tmp_path / "registries.d", "copy", "--quiet", "--dest-tls-verify=false",
         "--sign-by-sigstore-private-key", private, "--sign-passphrase-file", password,
         fresh.image("busybox"), f"docker://{registry.name('signed:1')}"], capture_output=True, timeout=120, check=False)
    skip_where_disabled(signed)
    assert signed.returncode == 0, signed.stderr
    policies.write([{"type": "sigstoreSigned", "keyData": base64.b64encode(key.public.read_bytes()).decode()}])
    assert policies.runhv(fresh, registry.name("signed:1"))
    put_image(fresh, registry, "other:1")
    assert not policies.runhv(fresh, registry.name("other:1"))


def test_what_is_refused_is_one_line_and_leaves_what_was_there(fresh, registry, policies, key):
    name = registry.name("busybox:latest")
    digest, _ = put_image(fresh, registry, "busybox:latest")
    strict = policies.write([{"type": "sigstoreSigned", "keyPath": str(key.public)}])
    for verb in ("pull",), ("run",):
        one_line(fresh(*verb, name, env=strict), name, str(policies.file), f"no {registry.name('busybox')}:sha256-")
        assert checked(fresh("images", "-q")) == ""
    # What has come in under another policy is not asked about again.
    checked(fresh("pull", name))
    assert checked(fresh("run", name, "echo", "hello", env=strict)) == "hello\n"
    one_line(fresh("run", "--pull", "always", name, "true", env=strict), name)
    runs(fresh, name)
    attach(registry, "busybox", digest, [(signed := payload(digest, name), key.sign(signed))])
    checked(fresh("run", "--pull", "always", name, "true", env=strict))
    key.public.unlink()
    one_line(fresh("pull", name, env=strict), str(key.public))
    one_line(fresh("pull", name, env=policies.write([{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}])), "signedBy", "sigstoreSigned")


def test_each_platform_of_an_index_is_asked_about(fresh, registry, policies, key):
    digest, size = put_image(fresh, registry, "both:amd64")
    name = registry.name("both:latest")
    manifest = json.loads(skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{registry.name('both:amd64')}"))
    config = json.loads(skopeo("inspect", "--tls-verify=false", "--raw", "--config", f"docker://{registry.name('both:amd64')}"))
    config = json.dumps({**config, "architecture": "arm64"}).encode()
    other = json.dumps({**manifest, "config": {**manifest["config"], **put_blob(registry, "both", config)}}).encode()
    put(registry, f"both/manifests/{digest_of(other)}", other, MANIFEST)
    put(registry, "both/manifests/latest", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": "amd64"}},
        {"mediaType": MANIFEST, "digest": digest_of(other), "size": len(other), "platform": {"os": "linux", "architecture": "arm64"}},
    ]}).encode(), INDEX)
    signed = payload(digest_of(other), name)
    attach(registry, "both", digest_of(other), [(signed, key.sign(signed))])
    strict = policies.write([{"type": "sigstoreSigned", "keyPath": str(key.public)}])
    checked(fresh("pull", "--platform", "linux/arm64", name, env=strict))
    # The name is known now, and its index; the image for this platform is neither there nor signed.
    one_line(fresh("run", name, "true", env=strict), name, "there is none")
    checked(fresh("run", name, "true"))


def test_what_comes_from_files_has_its_scopes(fresh, policies, tmp_path):
    archive, docker, root = tmp_path / "image.tar", tmp_path / "docker.tar", tmp_path / "root.tar"
    skopeo("copy", fresh.image("busybox"), f"oci-archive:{archive}")
    skopeo("copy", fresh.image("busybox"), f"docker-archive:{docker}:busybox:1")
    subprocess.run(["tar", "-cf", root, "-C", tmp_path, "registries.d"], check=True)
    commands = {
        "oci": ("run", fresh.image("busybox"), "true"),
        "oci-archive": ("run", f"oci-archive:{archive}", "true"),
        "docker-archive": ("run", f"docker-archive:{docker}", "true"),
        "tarball": ("import", str(root), "made:1"),
    }
    loads = {"oci-archive": ("load", "-i", str(archive), "--name", "loaded:1"), "docker-archive": ("load", "-i", str(docker))}
    everything = {"HOME": str(tmp_path)}
    (policy := tmp_path / ".config/containers/policy.json").parent.mkdir(parents=True)
    for transport in commands:
        policy.write_text(json.dumps({"default": [REJECT], "transports": {transport: {"": [ACCEPT]}}}))
        for other, command in [*commands.items(), *loads.items()]:
            result = fresh(*command, env=everything)
            if other == transport:
                checked(result)
            else:
                one_line(result, str(policy), "rejects it")
    policy.write_text(json.dumps({"default": [REJECT], "transports": {"oci-archive": {str(tmp_path.resolve()): [ACCEPT]}}}))
    checked(fresh(*commands["oci-archive"], env=everything))
    policy.write_text(json.dumps({"default": [ACCEPT], "transports": {"oci-archive": {str(archive.resolve()): [REJECT]}}}))
    one_line(fresh(*commands["oci-archive"], env=everything), "rejects it")
    policy.write_text("{")
    one_line(fresh("run", fresh.image("busybox"), "true", env=everything), str(policy))
