"""Images by name, from Debian's docker-registry on the loopback."""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

for program in ("docker-registry", "skopeo"):
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here: tools/dev setup installs it", allow_module_level=True)

CONFIG = """\
version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: {root}
http:
  addr: localhost:{port}
"""
GET_BLOB = re.compile(r'"GET (/v2/\S+/blobs/\S+) ')


@dataclasses.dataclass
class Registry:
    """One that is stopped and started again on the same port and folder."""

    folder: pathlib.Path
    port: int
    process: subprocess.Popen = None

    @property
    def log(self):
        return self.folder / "log"

    def name(self, rest):
        return f"localhost:{self.port}/{rest}"

    def start(self):
        config = self.folder / "config.yml"
        config.write_text(CONFIG.format(root=self.folder / "data", port=self.port))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            try:
                socket.create_connection(("localhost", self.port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def push(self, image, name):
        subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", image, f"docker://{self.name(name)}"],
                       check=True, timeout=120)

    def requests(self):
        return [line for line in self.log.read_text().splitlines() if '"GET /v2/' in line]


@pytest.fixture
def registry(tmp_path):
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    made = Registry(tmp_path, port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def fresh(runhv, tmp_path):
    """With a store that holds nothing."""
    return dataclasses.replace(runhv, store=tmp_path / "store")


def test_an_image_runs_by_its_name_and_then_without_its_registry(fresh, registry):
    registry.push(fresh.image("busybox"), "busybox:latest")
    first = fresh("run", registry.name("busybox"), "echo", "hi")
    assert (first.returncode, first.stdout) == (0, b"hi\n"), first.stderr
    assert registry.requests()
    registry.stop()
    again = fresh("run", registry.name("busybox"), "echo", "again")
    assert (again.returncode, again.stdout) == (0, b"again\n"), again.stderr


@pytest.mark.parametrize("rest", ["nothing:latest", "busybox:nothing"])
def test_what_the_registry_does_not_have_is_one_line(fresh, registry, rest):
    registry.push(fresh.image("busybox"), "busybox:latest")
    result = fresh("run", registry.name(rest), "true")
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, len(lines)) == (125, 1), result.stderr
    assert registry.name(rest) in lines[0] and "does not have it" in lines[0]


def test_a_registry_that_is_not_there_is_one_line(fresh, registry):
    registry.stop()
    result = fresh("run", registry.name("busybox"), "true")
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, len(lines)) == (125, 1), result.stderr
    assert registry.name("busybox") in lines[0] and f"localhost:{registry.port} cannot be reached" in lines[0]


def test_two_runs_at_once_fetch_each_blob_once(fresh, registry):
    registry.push(fresh.image("busybox"), "busybox:latest")
    before = len(registry.requests())
    runs = [fresh.popen("run", registry.name("busybox"), "echo", "hi", stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for run in runs:
        out, error = run.communicate(timeout=120)
        assert (run.returncode, out) == (0, b"hi\n"), error
    blobs = GET_BLOB.findall("\n".join(registry.requests()[before:]))
    assert blobs and len(blobs) == len(set(blobs)), blobs


def java_of(runhv):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            ours = str(runhv.store).encode() in (process / "environ").read_bytes()
            if ours and b"dev.runhv.vmm" in (process / "cmdline").read_bytes():
                return int(process.name)
        except OSError:
            continue
    return None


@pytest.mark.parametrize("moment", ["registry", "registry/partial/*", "registry/blobs/sha256/*"])
def test_a_pull_after_one_that_was_killed_succeeds(fresh, registry, moment):
    registry.push(fresh.image("debian"), "debian:latest")
    killed = fresh.popen("run", registry.name("debian"), "true", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any(fresh.store.glob(moment)):
        assert killed.poll() is None and time.monotonic() < deadline
    os.kill(java_of(fresh), signal.SIGKILL)
    _, error = killed.communicate(timeout=60)
    assert killed.returncode == 125, error
    result = fresh("run", registry.name("debian"), "echo", "hi")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr
