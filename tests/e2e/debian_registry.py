"""Debian's docker-registry on the loopback, and images of noise for it."""

import contextlib
import dataclasses
import hashlib
import io
import json
import pathlib
import random
import socket
import subprocess
import tarfile
import time

CONFIG = """\
version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: {root}
{storage}http:
  addr: {host}:{port}
"""


@dataclasses.dataclass
class Registry:
    """One that is stopped and started again on the same port and folder."""

    folder: pathlib.Path
    port: int
    more: str = ""  # of its configuration
    storage: str = ""
    host: str = "localhost"
    process: subprocess.Popen = None

    @property
    def log(self):
        return self.folder / "log"

    def name(self, rest):
        return f"{self.host}:{self.port}/{rest}"

    def start(self):
        config = self.folder / "config.yml"
        config.write_text(CONFIG.format(root=self.folder / "data", storage=self.storage, host=self.host, port=self.port) + self.more)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def push(self, image, name, *options):
        subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", *options,
                        image, f"docker://{self.name(name)}"], check=True, timeout=120)

    def requests(self):
        return [line for line in self.log.read_text().splitlines() if '"GET /v2/' in line]


def free_port():
    """One that the kernel gives to nobody meanwhile: those that it chooses itself begin at 32768."""
    while True:
        with contextlib.suppress(OSError), socket.create_server(("localhost", random.randrange(20_000, 32_000))) as free:
            return free.getsockname()[1]


def layered(folder, count, size):
    """An image of layers of noise, as a layout that skopeo takes."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    layers = []
    for index in range(count):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            member = tarfile.TarInfo(f"noise{index}")
            member.size = size
            tar.addfile(member, io.BytesIO(random.Random(index).randbytes(size)))
        layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar", **add(content.getvalue())})
    config = {"os": "linux", "architecture": "amd64", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **add(json.dumps(config).encode())}}
    top = {"mediaType": manifest["mediaType"], **add(json.dumps(manifest).encode())}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci:{folder}"
