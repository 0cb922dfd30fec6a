"""podman's own tests (bats) of its packaged version, in the groups that ask its OCI runtime for something. podman has a network
namespace, folders and a configuration of its own, and an image of our making under the name that the tests want."""

import io
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tarfile

import debian_source
from judges.outcome import of_tap

MUST = 0.95
VERSION = "4.3.1+ds1-8+deb12u1"
GROUPS = ["030-run", "045-start", "050-stop", "065-cp", "075-exec", "080-pause", "130-kill", "160-volumes", "200-pod", "280-update"]
IMAGE = "quay.io/libpod/testimage:20220615"
PATIENCE_S = 1800  # of a group

CONTAINERS_CONF = """
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{name}"
tmp_dir = "{work}/libpod"
# By it a copy of runhv alone finds its distribution; runc has no use for it.
conmon_env_vars = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "RUNHV_HOME={home}"]
[engine.runtimes]
{name} = ["{runtime}"]
[network]
network_backend = "netavark"
network_config_dir = "{work}/networks"
[containers]
netns = "private"
default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]
"""
STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{work}/root"
runroot = "{work}/runroot"
"""

# What the tests look for in their image, which is Alpine's with these.
FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/ash\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": b"root:x:0:root\nping:x:999:\nnobody:x:65534:\n",
    "etc/shadow": b"root:*::0:::::\n",
    "etc/os-release": b"ID=alpine\nVERSION_ID=3.16.0\n",
    "etc/hosts": b"127.0.0.1\tlocalhost\n",
    "etc/hostname": b"localhost\n",
    "home/podman/testimage-id": b"20220615\n",
}
PROGRAMS = {
    "home/podman/pause": b"#!/bin/sh\necho Confirmed: testimage pause invoked as $0\nwhile :; do sleep 0.1; done\n",
}
FOLDERS = ["bin", "dev", "etc", "home/podman", "lib", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys",
           "usr/bin", "usr/local/bin", "usr/sbin", "var/log"]


def make_image(path):
    """The root file system as a tar archive."""
    busybox = pathlib.Path("/bin/busybox")
    applets = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=True).stdout.split()

    with tarfile.open(path, "w") as archive:
        def add(name, kind=tarfile.REGTYPE, mode=0o644, content=b"", target=""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), target
            entry.mtime = 1600000000  # which a test looks for
            archive.addfile(entry, io.BytesIO(content))

        for folder in FOLDERS:
            add(folder, tarfile.DIRTYPE, 0o755)
        for folder in "tmp", "var/tmp":
            add(folder, tarfile.DIRTYPE, 0o1777)
        add("bin/busybox", mode=0o755, content=busybox.read_bytes())
        for applet in applets:
            if applet != "bin/busybox":
                add(applet, tarfile.SYMTYPE, target="/bin/busybox")
        add("etc/mtab", tarfile.SYMTYPE, target="/proc/mounts")
        for name, content in FILES.items():
            add(name, content=content)
        for name, content in PROGRAMS.items():
            add(name, mode=0o755, content=content)
        # Debian's busybox has none.
        printenv = shutil.which("printenv")
        add("bin/printenv", mode=0o755, content=pathlib.Path(printenv).read_bytes())
        libraries = subprocess.run(["ldd", printenv], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(", libraries):
            add(library.lstrip("/"), mode=0o755, content=pathlib.Path(library).read_bytes())


def prepare(cache):
    cache.mkdir(parents=True, exist_ok=True)
    image = cache / "podman-image.tar"
    make_image(image)
    return debian_source.unpacked("libpod", VERSION, cache) / "test/system", image


def run(prepared, runtime, work, only):
    tests, image = prepared
    name = runtime.name
    (work / "tmp").mkdir()
    # Of files a host may allow fewer than podman asks for, and not let itself be asked for more.
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20_000)
    (work / "containers.conf").write_text(CONTAINERS_CONF.format(name=name, runtime=runtime, home=runtime.parents[1], work=work, files=files))
    (work / "storage.conf").write_text(STORAGE_CONF.format(work=work))
    environment = {**os.environ, "CONTAINERS_CONF": f"{work}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{work}/storage.conf",
                   "BUILDAH_RUNTIME": str(runtime), "BATS_TMPDIR": f"{work}/tmp", "TMPDIR": f"{work}/tmp", "PODMAN_TIMEOUT": "120"}
    changes = [f"CMD {json.dumps(['/bin/echo', 'This container is intended for podman CI testing'])}", "WORKDIR /home/podman",
               "LABEL created_by=test/system/build-testimage"]
    load = ["podman", "import", "--quiet", *(f"--change={change}" for change in changes), str(image), IMAGE]
    cases = {}
    for group in GROUPS:
        # Each begins with the image, whatever the last has done. podman's bridge and firewall are those of the namespace.
        subprocess.run(load, env=environment, check=True, capture_output=True, timeout=120)
        matching = ["--filter", only] if only else []
        command = ["timeout", "--kill-after=30", str(PATIENCE_S), "unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh",
                   "bats", "--tap", *matching, f"{group}.bats"]
        done = subprocess.run(command, cwd=tests, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, flush=True)
        cases.update(of_tap(done.stdout, f"{group}: "))
    subprocess.run(["podman", "system", "reset", "--force"], env=environment, check=False, capture_output=True, timeout=300)
    return cases
