"""Images to registries, archives and back: push, save, load, import, beside skopeo, podman and umoci."""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time

import pytest
from test_registry import fresh, javas_of, layered, locked, registry  # noqa: F401

HELLO = ("echo", "hello")


def skopeo(*arguments):
    return subprocess.run(["skopeo", "--insecure-policy", *arguments], check=True, capture_output=True).stdout


def raw(name):
    return skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}")


def manifest(name):
    """What a registry has under a name, and its digest."""
    text = raw(name)
    return json.loads(text), "sha256:" + hashlib.sha256(text).hexdigest()


def runs(runhv, name):
    result = runhv("run", "--pull", "never", name, *HELLO)
    assert (result.returncode, result.stdout) == (0, b"hello\n"), result.stderr


def checked(result):
    assert result.returncode == 0, result.stderr
    return result.stdout.decode()


def one_line(result, *words):
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, len(lines)) == (125, 1), result.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def other_store(fresh, tmp_path):
    return dataclasses.replace(fresh, store=tmp_path / "other")


def test_what_is_pushed_is_what_was_pulled_and_others_pull_it(fresh, registry, other_store, tmp_path):
    registry.push(fresh.image("debian"), "debian:latest")
    source, target = registry.name("debian"), registry.name("copy/of/debian:v1")
    pulled = checked(fresh("pull", source)).splitlines()[1]
    checked(fresh("tag", source, target))
    before = len(registry.requests())
    pushed = fresh("push", target)
    assert checked(pushed).splitlines() == [target, pulled], pushed.stdout
    assert re.fullmatch(r"(runhv: layer [0-9a-f]{12}, [0-9.]+ MiB: there\n)+", pushed.stderr.decode())
    assert pulled == f"digest: {manifest(target)[1]}"
    # The other repository of the registry had it all: nothing was sent but the manifest.
    log = registry.log.read_text().splitlines()
    mounts = [line for line in log if "POST /v2/copy/of/debian/blobs/uploads/?mount=" in line]
    assert len(mounts) == len(manifest(target)[0]["layers"]) + 1
    assert all('HTTP/1.1" 201' in line for line in mounts), mounts
    assert not [line for line in log if "PUT /v2/copy/of/debian/blobs/uploads/" in line]
    checked(fresh("push", "-q", target))  # nothing to do
    assert not [line for line in registry.log.read_text().splitlines()[len(log):] if '"POST ' in line]
    skopeo("copy", "--src-tls-verify=false", f"docker://{target}", f"oci:{tmp_path}/skopeo:v1")
    checked(other_store("pull", target))
    runs(other_store, target)
    assert before


def test_blobs_are_sent_where_nobody_has_them(fresh, registry, other_store, tmp_path):
    skopeo("copy", layered(tmp_path / "layered", 5, 1 << 20), f"oci-archive:{tmp_path}/noise.tar")
    name = registry.name("noise:v1")
    assert checked(fresh("load", "-i", tmp_path / "noise.tar", "--name", name)) == f"Loaded image: {name}\n"
    told = json.loads(checked(fresh("push", "--json", name)))
    assert told == {"name": name, "digest": manifest(name)[1], "layers": 5, "bytes": told["bytes"]}
    assert told["bytes"] > 5 << 20
    assert json.loads(checked(other_store("pull", "--json", name)))["digest"] == told["digest"]


def test_push_needs_a_name_that_is_there(fresh, registry):
    one_line(fresh("push", registry.name("nothing")), "push image", "runhv pull")


def test_push_takes_an_id_that_has_one_name(fresh, registry, other_store):
    registry.push(fresh.image("busybox"), "box:latest")
    checked(fresh("pull", "-q", registry.name("box")))
    checked(fresh("tag", registry.name("box"), registry.name("mine:v1")))
    id = checked(fresh("images", "-q", registry.name("mine:v1"))).strip()
    one_line(fresh("push", id), f"push image {id}", "several names", registry.name("box:latest"), registry.name("mine:v1"))
    checked(fresh("rmi", registry.name("box")))
    assert checked(fresh("push", "-q", id)) == registry.name("mine:v1") + "\n"
    checked(other_store("pull", "-q", registry.name("mine:v1")))


def test_a_registry_that_is_read_only_is_one_line(fresh, registry):
    registry.push(fresh.image("busybox"), "busybox:latest")
    checked(fresh("pull", "-q", registry.name("busybox")))
    checked(fresh("tag", registry.name("busybox"), registry.name("copy")))
    registry.stop()
    registry.storage = "  maintenance:\n    readonly:\n      enabled: true\n"
    registry.start()
    one_line(fresh("push", registry.name("copy")), "it is read-only")


def test_push_asks_for_credentials_and_keeps_them_to_the_registry(fresh, locked, other_store):
    host = locked.name("").rstrip("/")
    checked(fresh("login", "-u", "me", "--password-stdin", host, input=b"secret word"))
    checked(fresh("pull", "-q", locked.name("busybox")))
    checked(fresh("tag", locked.name("busybox"), locked.name("mine:1")))
    checked(fresh("logout", host))
    one_line(fresh("push", locked.name("mine:1")), "asks for a user and a password", f"runhv login {host}")
    checked(fresh("login", "-u", "me", "--password-stdin", host, input=b"secret word"))
    checked(fresh("push", locked.name("mine:1")))
    checked(other_store("pull", locked.name("mine:1")))


@pytest.fixture
def podman():
    if shutil.which("podman") is None or os.geteuid() != 0:
        pytest.skip("no podman here, or not root")
    # Its folder for what runs has 50 characters at most.
    with tempfile.TemporaryDirectory(prefix="transfer-", dir="/tmp") as folder:
        storage = ["podman", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        yield lambda *arguments: subprocess.run([*storage, *arguments], check=True, capture_output=True).stdout.decode()


@pytest.fixture
def saved(fresh, registry, tmp_path):
    """The name of an image, and the archive of it and of a second name."""
    registry.push(fresh.image("busybox"), "box:latest")
    name, second = registry.name("box:latest"), registry.name("other/box:v2")
    checked(fresh("pull", "-q", name))
    checked(fresh("tag", name, second))
    checked(fresh("save", "-o", tmp_path / "saved.tar", name, second))
    return name, tmp_path / "saved.tar"


def config_digest(name):
    return manifest(name)[0]["config"]["digest"]


def test_save_replaces_nothing_but_files(fresh, saved, tmp_path):
    name, _ = saved
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in tmp_path / "folder", tmp_path / "pipe":
        kind = os.stat(path).st_mode
        result = fresh("save", "-o", path, name)
        assert result.returncode == 125 and f"{path} is no regular file: use > instead".encode() in result.stderr
        assert os.stat(path).st_mode == kind


def test_what_is_saved_others_load(fresh, registry, saved, podman, tmp_path):
    name, archive = saved
    again = tmp_path / "again.tar"
    checked(fresh("save", "-o", again, name, registry.name("other/box:v2")))
    assert again.read_bytes() == archive.read_bytes()
    checked(fresh("save", "-o", again, name))
    checked(fresh("save", "-o", tmp_path / "by-id.tar", config_digest(name)[:19]))
    assert (tmp_path / "by-id.tar").read_bytes() == again.read_bytes()
    podman("load", "-i", archive)
    for each in (name, registry.name("other/box:v2")):
        assert podman("image", "inspect", "--format", "{{.Id}}", each).strip() == config_digest(name).partition(":")[2]
    skopeo("copy", f"oci-archive:{archive}:latest", f"dir:{tmp_path}/oci")
    assert (tmp_path / "oci/manifest.json").read_bytes() == raw(name)
    skopeo("copy", f"docker-archive:{archive}:{name}", f"dir:{tmp_path}/docker")
    assert json.loads((tmp_path / "docker/manifest.json").read_text())["config"]["digest"] == config_digest(name)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "layout")
    if shutil.which("umoci"):
        tags = subprocess.run(["umoci", "ls", "--layout", tmp_path / "layout"], check=True, capture_output=True).stdout
        assert tags.split() == [b"latest", b"v2"]


def test_what_is_saved_is_loaded_with_the_same_digest(fresh, other_store, saved, registry):
    name, archive = saved
    loaded = other_store("load", "-i", archive)
    assert checked(loaded).splitlines() == [f"Loaded image: {name}", f"Loaded image: {registry.name('other/box:v2')}"]
    registry.stop()
    runs(other_store, name)
    assert [line.split()[-1] for line in checked(other_store("images", "--digests", "--format", "{{.Digest}}")).splitlines()] == \
        [line.split()[-1] for line in checked(fresh("images", "--digests", "--format", "{{.Digest}}")).splitlines()]


def test_save_and_load_by_pipes(fresh, other_store, saved):
    name, _ = saved
    with subprocess.Popen([fresh.program, "save", name], env=fresh.environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as save:
        load = other_store("load", "-q", stdin=save.stdout)
        save.stdout.close()
        assert save.wait(60) == 0, save.stderr.read()
    assert checked(load) == f"Loaded image: {name}\n"
    runs(other_store, name)
    for runhv in (fresh, other_store):
        assert not list((runhv.store / "incoming").iterdir())


def test_what_a_dead_command_spooled_goes_at_once_and_a_live_one_s_stays(fresh):
    spools = fresh.store / "incoming"
    live, dead = [fresh.popen("load", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    while len(list(spools.glob("*/stream"))) < 2:
        assert live.poll() is None and dead.poll() is None
    dead.kill()
    dead.wait(30)
    dead.stdin.close()
    for file in [*spools.rglob("*"), *spools.iterdir()]:
        os.utime(file, (0, 0))  # whatever their age
    checked(fresh("images"))
    assert len(list(spools.iterdir())) == 1
    live.stdin.write(b"no archive")
    live.stdin.close()
    assert live.wait(60) == 125
    assert not list(spools.iterdir())


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saves_runs(fresh, podman, form, tmp_path):
    image = podman("pull", "--quiet", fresh.image("busybox")).strip()
    podman("tag", image, "localhost/box:v3")
    podman("save", "--format", form, "-o", tmp_path / "saved.tar", "localhost/box:v3")
    packed = tmp_path / "saved.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "saved.tar").read_bytes(), 1))
    for archive in (tmp_path / "saved.tar", packed):
        assert checked(fresh("load", "-i", archive)) == "Loaded image: localhost/box:v3\n"
        runs(fresh, "localhost/box:v3")
    shown = checked(fresh("images", "--no-trunc", "--format", "{{.ID}}")).split()
    assert shown == [f"sha256:{image}"]


@pytest.fixture
def buildah():
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("no buildah here, or not root")
    with tempfile.TemporaryDirectory(prefix="transfer-", dir="/tmp") as folder:
        storage = ["buildah", "--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        yield lambda *arguments: subprocess.run([*storage, *arguments], check=True, capture_output=True).stdout.decode()


def test_what_buildah_builds_runs_and_what_is_pushed_it_builds_on(fresh, other_store, registry, buildah, tmp_path):
    registry.push(fresh.image("busybox"), "box:latest")
    name = registry.name("mine:v1")
    checked(fresh("pull", "-q", registry.name("box")))
    checked(fresh("tag", registry.name("box"), name))
    checked(fresh("push", name))
    container = buildah("from", "--pull-always", "--tls-verify=false", name).strip()
    buildah("config", "--entrypoint", '["echo"]', "--cmd", "built", container)
    built = registry.name("built:v1")
    buildah("commit", container, built)
    for form in ("docker-archive", "oci-archive"):
        buildah("push", built, f"{form}:{tmp_path}/{form}.tar:{built}")
        assert checked(other_store("load", "-i", tmp_path / f"{form}.tar")) == f"Loaded image: {built}\n"
        result = other_store("run", "--pull", "never", built)
        assert (result.returncode, result.stdout) == (0, b"built\n"), result.stderr
    buildah("push", "--tls-verify=false", built)
    checked(fresh("pull", "-q", built))
    assert fresh("run", "--pull", "never", built).stdout == b"built\n"


def test_a_load_that_was_killed_gives_a_whole_image_or_no_name(fresh, tmp_path):
    skopeo("copy", layered(tmp_path / "layered", 8, 3 << 20), f"oci-archive:{tmp_path}/noise.tar")
    load = ("load", "-i", tmp_path / "noise.tar", "--name", "noise")
    blobs = fresh.store / "registry/blobs/sha256"
    ends = []
    for wanted in (0, 1, 4, 7, 10):
        process = fresh.popen(*load, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and sum(1 for _ in blobs.glob("*")) < wanted:
            pass
        for java in javas_of(fresh):
            with contextlib.suppress(ProcessLookupError):
                os.kill(java, signal.SIGKILL)
        ends.append(process.wait(60))
        for blob in blobs.glob("*"):
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        if checked(fresh("images", "-q")):
            checked(fresh("save", "-o", tmp_path / "whole.tar", "noise"))  # reads all of it
            checked(fresh("rmi", "noise"))
        checked(fresh("prune"))
        assert not list(blobs.glob("*"))
    assert 125 in ends
    checked(fresh(*load))
    assert not list((fresh.store / "registry/partial").iterdir())


@pytest.fixture
def small(tmp_path):
    """A folder with 2 MiB of room."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine forbids mounting a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_what_does_not_fit_is_one_line_and_leaves_nothing(fresh, small, tmp_path):
    skopeo("copy", layered(tmp_path / "layered", 4, 1 << 20), f"oci-archive:{tmp_path}/noise.tar")
    full = dataclasses.replace(fresh, store=small / "store")
    one_line(full("load", "-q", "-i", tmp_path / "noise.tar", "--name", "noise"), "No space left")
    assert checked(full("images", "-q")) == ""
    checked(full("prune"))
    with (tmp_path / "noise.tar").open("rb") as archive:
        one_line(full("load", "-q", "--name", "noise", stdin=archive), "No space left")
    checked(fresh("load", "-i", tmp_path / "noise.tar", "--name", "noise"))
    (small / "saved.tar").write_text("before")
    one_line(fresh("save", "-o", small / "saved.tar", "noise"), "No space left")
    assert (small / "saved.tar").read_text() == "before"
    assert [path.name for path in small.rglob("*") if path.is_file() and path.parent.name != "locks"] == ["saved.tar"]


def test_what_skopeo_writes_needs_a_name(fresh, tmp_path):
    skopeo("copy", fresh.image("busybox"), f"oci-archive:{tmp_path}/box.tar:latest")
    one_line(fresh("load", "-i", tmp_path / "box.tar"), "says no name", "--name")
    assert checked(fresh("images", "-q")) == ""
    assert checked(fresh("load", "-i", tmp_path / "box.tar", "--name", "box")) == "Loaded image: box:latest\n"
    runs(fresh, "box")


def test_archives_that_are_none_are_one_line(fresh, tmp_path):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"garbage " * 1000)
    one_line(fresh("load", "-i", garbage), str(garbage))
    one_line(fresh("load", "-i", tmp_path / "nothing"), "no such file")
    one_line(fresh("load", input=b"x" * 5000), "load")
    one_line(fresh("load", input=b""), "load")
    one_line(fresh("import", garbage, "box"), "import")
    one_line(fresh("save", "-o", tmp_path / "out", "nothing"), "runhv pull")
    assert not (tmp_path / "out").exists()
    assert not list((fresh.store / "incoming").iterdir())


CONTAINERD = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{folder}/sock"
"""


@contextlib.contextmanager
def served(command, log, is_up):
    """While a daemon runs."""
    with log.open("wb") as out, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as daemon:
        try:
            deadline = time.monotonic() + 60
            while subprocess.run(is_up, capture_output=True, check=False).returncode != 0:
                assert daemon.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            daemon.terminate()


@pytest.fixture
def ctr():
    if shutil.which("containerd") is None or os.geteuid() != 0:
        pytest.skip("no containerd here, or not root")
    # The path of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="transfer-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        (folder / "config.toml").write_text(CONTAINERD.format(folder=folder))
        asked = ["ctr", "--address", f"{folder}/sock"]
        with served(["containerd", "--config", folder / "config.toml"], folder / "log", [*asked, "version"]):
            yield lambda *arguments: subprocess.run([*asked, *arguments], check=True, capture_output=True).stdout.decode()


def test_containerd_takes_what_is_saved_and_pushed_and_gives_it_back(fresh, other_store, registry, saved, ctr, tmp_path):
    name, archive = saved
    ctr("image", "import", "--snapshotter", "native", archive)
    assert f"{name} " in ctr("image", "ls") and manifest(name)[1] in ctr("image", "ls")
    ctr("image", "export", tmp_path / "exported.tar", name)
    assert checked(other_store("load", "-i", tmp_path / "exported.tar")) == f"Loaded image: {name}\n"
    copy = registry.name("copy:v1")
    checked(other_store("tag", name, copy))
    checked(other_store("push", copy))
    ctr("image", "pull", "--plain-http", "--snapshotter", "native", copy)
    assert manifest(copy)[1] == manifest(name)[1]


@pytest.fixture
def docker():
    if shutil.which("dockerd") is None or shutil.which("docker") is None or os.geteuid() != 0:
        pytest.skip("no dockerd here, or not root")
    with tempfile.TemporaryDirectory(prefix="transfer-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        asked = ["docker", "--host", f"unix://{folder}/sock"]
        daemon = ["dockerd", "--host", f"unix://{folder}/sock", "--data-root", folder / "data", "--exec-root", folder / "exec",
                  "--pidfile", folder / "pid", "--iptables=false", "--bridge=none", "--storage-driver=vfs"]
        with served(daemon, folder / "log", [*asked, "version"]):
            yield lambda *arguments: subprocess.run([*asked, *arguments], check=True, capture_output=True).stdout.decode()


def test_docker_takes_what_is_saved_and_what_it_saves_runs(fresh, other_store, registry, saved, docker, tmp_path):
    name, archive = saved
    assert f"Loaded image: {name}\n" in docker("load", "--input", archive)
    assert docker("image", "inspect", "--format", "{{.Id}}", name).strip() == config_digest(name)
    docker("save", "--output", tmp_path / "saved-by-docker.tar", name)
    assert checked(other_store("load", "-i", tmp_path / "saved-by-docker.tar")) == f"Loaded image: {name}\n"
    runs(other_store, name)
    copy = registry.name("copy:v1")
    checked(fresh("tag", name, copy))
    checked(fresh("push", copy))
    docker("pull", copy)


def root_tar(runhv, tmp_path):
    """The root of an image, by another's program."""
    skopeo("copy", runhv.image("busybox"), f"oci:{tmp_path}/layout:latest")
    subprocess.run(["umoci", "raw", "unpack", "--image", f"{tmp_path}/layout:latest", tmp_path / "root"], check=True, capture_output=True)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(tmp_path / "root", arcname=".")
    return content.getvalue()


@pytest.mark.skipif(shutil.which("umoci") is None, reason="umoci is not installed")
def test_a_root_becomes_an_image(fresh, tmp_path):
    tar = root_tar(fresh, tmp_path)
    (tmp_path / "root.tar.gz").write_bytes(gzip.compress(tar, 1))
    changes = ("--change", 'CMD ["sh", "-c", "echo $GREETING; pwd"]', "-c", "ENV GREETING=hello", "-c", "WORKDIR /tmp")
    identifier = checked(fresh("import", *changes, tmp_path / "root.tar.gz", "box:1"))
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", identifier)
    result = fresh("run", "--pull", "never", "box:1")
    assert (result.returncode, result.stdout) == (0, b"hello\n/tmp\n"), result.stderr
    checked(fresh("import", "-", "box:2", input=tar))
    runs(fresh, "box:2")
    one_line(fresh("import", "-c", "RUN true", tmp_path / "root.tar.gz", "box:3"), 'RUN true', "expected CMD")
    one_line(fresh("run", "--pull", "never", "box:2"), "command")


def test_another_platform_is_kept_and_sent_but_not_run(fresh, registry, tmp_path):
    index = tmp_path / "index"
    skopeo("copy", fresh.image("busybox"), f"oci:{index}:amd64")
    entry = json.loads((index / "index.json").read_text())["manifests"][0]
    text = json.loads((index / "blobs" / entry["digest"].replace(":", "/")).read_text())

    def add(document):
        content = json.dumps(document).encode()
        digest = hashlib.sha256(content).hexdigest()
        (index / "blobs/sha256" / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    config = json.loads((index / "blobs" / text["config"]["digest"].replace(":", "/")).read_text())
    config.update(architecture="arm64", variant="v8")
    text["config"].update(add(config))
    arm = {"mediaType": entry["mediaType"], **add(text), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
    entry = {"mediaType": entry["mediaType"], "digest": entry["digest"], "size": entry["size"], "platform": {"os": "linux", "architecture": "amd64"}}
    kind = "application/vnd.oci.image.index.v1+json"
    top = {"mediaType": kind, **add({"schemaVersion": 2, "mediaType": kind, "manifests": [entry, arm]})}
    (index / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    name = registry.name("multi:v1")
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{index}", f"docker://{name}")

    one_line(fresh("pull", "--platform", "linux/s390x", name), "no image for linux/s390x", "linux/arm64/v8")
    one_line(fresh("pull", "--platform", "arm64", name), "OS/ARCHITECTURE")
    checked(fresh("pull", "--platform", "linux/arm64", name))
    one_line(fresh("inspect", name), "not for linux/amd64")
    one_line(fresh("inspect", "--platform", "linux/s390x", name), "no image for linux/s390x")
    checked(fresh("prune"))
    told, = json.loads(checked(fresh("inspect", "--platform", "linux/arm64", name)))
    assert (told["Architecture"], told["Id"]) == ("arm64", text["config"]["digest"])
    checked(fresh("verify"))
    single = registry.name("single:v1")
    checked(fresh("tag", name, single))
    part = fresh("push", "--platform", "linux/arm64", single)
    assert checked(part).splitlines()[1] == f"digest: {arm['digest']}"
    assert manifest(single)[1] == arm["digest"]
    checked(fresh("pull", "--platform", "linux/arm64", single))
    one_line(fresh("run", "--pull", "never", single, "true"), "linux/arm64", "not for linux/amd64")
    # Both platforms are there now: the index is whole.
    checked(fresh("pull", name))
    copy = registry.name("copy:v1")
    checked(fresh("tag", name, copy))
    assert checked(fresh("push", copy)).splitlines()[1] == f"digest: {top['digest']}"
    assert manifest(copy)[1] == top["digest"]
    checked(fresh("save", "--platform", "linux/arm64/v8", "-o", tmp_path / "arm.tar", name))
    with tarfile.open(tmp_path / "arm.tar") as tar:
        assert json.load(tar.extractfile("index.json"))["manifests"][0]["digest"] == arm["digest"]
