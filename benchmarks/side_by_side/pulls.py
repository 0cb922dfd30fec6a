"""An image from a registry on the loopback to what a container needs: `runhv pull` beside `ctr` and `podman`."""

import contextlib
import ctypes.util
import io
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time

from . import picture
from .host import ROOT, Failed, module_at, rotated, rounds
from .images import debian_layer
from .report import Report, Series, Verdict, ratio

HELP = "images of a registry on this machine: `runhv pull` beside `ctr image pull` and `podman pull`"
PROGRAMS = ("docker-registry", "skopeo", "containerd", "ctr", "podman")
MOST_OF_OTHERS = 0.5
MOST_OF_FIRST = 0.1
MOST_DISK = 1.05
IMAGES_ON_A_BASE = 10
COPIES = 5  # of the root of the image `work` in the large layer: about 1 GiB compressed
MEBIBYTE = 1 << 20

NOTES = [
    "From the spawn of the command to its end, into a store that has nothing; afterwards each can start a container of the image without another copy. "
    "runhv has made the root file system and has all of it on the disk (fsync), the blobs beside it; ctr (overlayfs) has unpacked the layers and keeps the blobs; podman (overlay) "
    "has unpacked them. What they wrote may still be in the page cache.",
    "'runhv' is answered by the image service, as every command but the first; 'runhv, cold' by a JVM of its own.",
    "CPU is that of the command and its children, with what containerd and the image service used meanwhile. That of the registry is in none.",
    "'sharing' is an image that has all layers of the first and a small one of its own, pulled when the first is there.",
]

REGISTRY = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "localhost:{port}"}}
"""
CONTAINERD = (ROOT / "tests/fixtures/containerd.toml").read_text()


def wait_until(reached, process, what):
    deadline = time.monotonic() + 60
    while not reached():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{what} does not start")
        time.sleep(0.05)


@contextlib.contextmanager
def daemon(argv, log, is_up):
    with log.open("wb") as out:
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_until(is_up, process, argv[0])
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def registry(work):
    """Debian's; yields its name."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    config = work / "registry.yml"
    config.write_text(REGISTRY.format(folder=work / "registry", port=port))

    def is_up():
        with contextlib.suppress(OSError):
            socket.create_connection(("localhost", port), 1).close()
            return True
        return False

    with daemon(["docker-registry", "serve", config], work / "registry.log", is_up):
        yield f"localhost:{port}"


class Runhv:
    """With a JVM for each pull."""

    name = "runhv, cold"

    def __init__(self, host):
        self._host = host

    def argv(self, image):
        return ["env", "RUNHV_SERVICE=off", self._host.runhv, "pull", "-q", image]

    def daemon_cpu_ms(self):
        return 0.0

    def forget(self):
        shutil.rmtree(self._host.store, ignore_errors=True)


class WarmRunhv(Runhv):
    """By the image service, as it answers the second command and all that follow."""

    IDLE_S = "3600"  # others pull meanwhile

    name = "runhv"

    def __init__(self, host, image):
        super().__init__(host)
        self._environment = {**os.environ, **host.environment, "RUNHV_SERVICE": self.IDLE_S}
        subprocess.run(self.argv(image), env=self._environment, stdout=subprocess.DEVNULL, check=True)
        pid = re.search(r"\bpid (\d+)", self._service("status"))
        if pid is None:
            raise Failed("there is no image service")
        self._clock = ~int(pid[1]) << 3 | 2  # clock_getcpuclockid(3)

    def _service(self, verb):
        return subprocess.run([self._host.runhv, "service", verb], env=self._environment, stdout=subprocess.PIPE, text=True, check=True).stdout

    def argv(self, image):
        return ["env", f"RUNHV_SERVICE={self.IDLE_S}", self._host.runhv, "pull", "-q", image]

    def daemon_cpu_ms(self):
        return time.clock_gettime_ns(self._clock) / 1e6

    def stop(self):
        self._service("stop")


class Ctr:
    name = "ctr"

    def __init__(self, folder, process):
        self._ctr = ["ctr", "--address", folder / "c.sock", "--namespace", "bench"]
        self._clock = ~process.pid << 3 | 2  # clock_getcpuclockid(3)

    def argv(self, image):
        return [*self._ctr, "image", "pull", "--plain-http", "--snapshotter", "overlayfs", image]

    def daemon_cpu_ms(self):
        return time.clock_gettime_ns(self._clock) / 1e6

    def forget(self):
        names = subprocess.run([*self._ctr, "image", "ls", "-q"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        if names:
            subprocess.run([*self._ctr, "image", "rm", "--sync", *names], stdout=subprocess.DEVNULL, check=True)


class Podman:
    name = "podman"

    def __init__(self, folder, run):
        self._podman = ["podman", "--root", folder, "--runroot", run, "--storage-driver", "overlay"]

    def argv(self, image):
        return [*self._podman, "pull", "-q", "--tls-verify=false", image]

    def daemon_cpu_ms(self):
        return 0.0

    def forget(self):
        subprocess.run([*self._podman, "rmi", "--all", "--force"], stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def others(host):
    folder = host.work / "containerd"
    folder.mkdir()
    config = folder / "config.toml"
    config.write_text(CONTAINERD.format(folder=folder))

    def is_up():
        return subprocess.run(["ctr", "--address", folder / "c.sock", "version"], capture_output=True, check=False).returncode == 0

    # podman takes no longer path than one of 50 characters for its run folder.
    with (daemon(["containerd", "--config", config], host.work / "containerd.log", is_up) as process,
          tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as run):
        yield [Ctr(folder, process), Podman(host.work / "podman", run)]


def parts(tar, count):
    """The tar's entries in order, in so many tars of about one size."""
    made = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as source:
        part = None
        for member in source:
            if part is None:
                made.append(io.BytesIO())
                part = tarfile.open(fileobj=made[-1], mode="w", format=tarfile.PAX_FORMAT)
            part.addfile(member, source.extractfile(member) if member.isreg() else None)
            if source.offset * count >= len(tar) * len(made) and len(made) < count:
                part.close()
                part = None
        if part is not None:
            part.close()
    return [each.getvalue() for each in made]


def copied(tar, count):
    """So many copies of the tar's entries, each in a folder of its own."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as target:
        for copy in range(count):
            with tarfile.open(fileobj=io.BytesIO(tar)) as source:
                for member in source:
                    content = source.extractfile(member) if member.isreg() else None
                    # A long name that came in such a record would be written as it was.
                    member.pax_headers = {key: value for key, value in member.pax_headers.items() if key not in ("path", "linkpath")}
                    member.name = f"copy{copy}/{member.name}"
                    if member.islnk():
                        member.linkname = f"copy{copy}/{member.linkname}"
                    target.addfile(member, content)
    return made.getvalue()


class Images:
    """Images in a registry; their layouts are kept for the next run."""

    def __init__(self, host, registry_name):
        self._folder = host.output / "pulls"
        self._registry = registry_name
        self._make = module_at(ROOT / "tests/fixtures/make_images.py")
        self.sizes = {}

    def push(self, name, layers):
        """`layers`: gives the tars, where they have to be made."""
        place = self._folder / name
        if not (place / "index.json").exists():
            shutil.rmtree(place, ignore_errors=True)
            layout = self._make.Layout(place)
            for tar in layers():
                layout.layer(tar, "gzip")
            layout.finish({"Cmd": ["sh"]})
        self.sizes[name] = sum(blob.stat().st_size for blob in (place / "blobs/sha256").iterdir())
        subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", f"oci:{place}:latest",
                        f"docker://{self._registry}/{name}:latest"], check=True)
        return f"{self._registry}/{name}:latest"

    def own_layer(self, index):
        layer = self._make.Layer()
        layer.add(f"own{index}", data=bytes([index]) + os.urandom(MEBIBYTE))
        return layer.done()


class Contest:
    def __init__(self, what, image, contestants):
        self.what, self.image, self.contestants = what, image, contestants
        self.wall = {each.name: Series(f"{what}: {each.name}", "ms", "time") for each in contestants}
        self.cpu = {each.name: Series(f"{what}: {each.name}, cpu", "ms", "time") for each in contestants}

    def run(self, host, i):
        for each in rotated(self.contestants, i):
            each.forget()
            subprocess.run(["sync", "-f", host.work], check=True)
            self.pull(host, each)

    def pull(self, host, each):
        before = each.daemon_cpu_ms()
        with host.start(each.argv(self.image)) as process:
            process.finish()
            self.wall[each.name].add(process.since_start_ms())
            self.cpu[each.name].add(process.used_cpu_ms() + each.daemon_cpu_ms() - before)

    def verdicts(self):
        return [ratio(f"{self.what}: {ours.name} / {other.name}, wall", self.wall[ours.name], self.wall[other.name], MOST_OF_OTHERS, at_most=True)
                for ours in self.contestants if isinstance(ours, Runhv) for other in self.contestants if not isinstance(other, Runhv)]


def disk(folder):
    """Bytes of the blocks that a folder has."""
    return sum(file.lstat().st_blocks * 512 for file in pathlib.Path(folder).rglob("*"))


def pulled(host, each, image):
    with host.start(each.argv(image)) as process:
        process.finish()


def disk_of_ten(host, puller, base, more):
    """What the store has with images on one base, beside what it has of the base and what is each one's own."""
    puller.forget()
    sizes = []
    for image in [base, *more]:
        pulled(host, puller, image)
        sizes.append(disk(host.store))
    # Each has a layer of noise, a file's content and a blob, both of a little more than a mebibyte.
    own = 2 * MEBIBYTE * len(more)
    blobs = disk(host.store / "registry/blobs")
    series = Series("ten images on a base: blobs that are kept", "B", "bytes", [blobs])
    return series, Verdict("disk of ten images on one base / base and own layers", sizes[-1] / (sizes[0] + own), MOST_DISK, at_most=True)


def run(host, arguments):
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Failed(f"there is no {program} here: tools/dev setup all installs it")
    if os.geteuid() != 0:
        raise Failed("ctr and podman unpack as root only")
    with registry(host.work) as registry_name, others(host) as foreign:
        images = Images(host, registry_name)
        base = debian_layer(host)
        three = images.push("three", lambda: [base, *parts(base, 2)])
        copies = 1 if arguments.quick else COPIES
        contested = {
            "3 layers": three,
            "12 layers": images.push("twelve", lambda: parts(base, 12)),
            "1 large layer": images.push(f"large{copies}", lambda: [copied(work_layer(host), copies)]),
        }
        if not arguments.quick:
            contested["12 large layers"] = images.push(f"large{copies}in12", lambda: parts(copied(work_layer(host), copies), 12))
        shared = images.push("sharing", lambda: [base, *parts(base, 2), images.own_layer(0)])
        warm = WarmRunhv(host, three)
        try:
            contestants = [warm, Runhv(host), *foreign]
            contests = [Contest(what, image, contestants) for what, image in contested.items()]
            sharing = Contest("sharing", shared, contestants[:2])
            for i in rounds(arguments.rounds or (3 if arguments.quick else 10), 120 if arguments.quick else None):
                for contest in contests:
                    contest.run(host, i)
                for each in sharing.contestants:
                    each.forget()
                    pulled(host, each, three)
                    sharing.pull(host, each)
            ten = [images.push(f"ten{i}", lambda i=i: [base, images.own_layer(i)]) for i in range(1, IMAGES_ON_A_BASE + 1)]
            blobs, of_ten = disk_of_ten(host, warm, images.push("base", lambda: [base]), ten)
            for each in contestants:
                each.forget()
        finally:
            warm.stop()

    verdicts = [verdict for contest in contests for verdict in contest.verdicts()]
    verdicts.append(ratio("sharing / 3 layers, runhv, wall", sharing.wall[warm.name], contests[0].wall[warm.name], MOST_OF_FIRST, at_most=True))
    verdicts.append(of_ten)
    series = [each for contest in [*contests, sharing] for each in [*contest.wall.values(), *contest.cpu.values()]] + [blobs]
    stored = {f"{contest.what}, stored": f"{images.sizes[contest.image.split('/')[1].split(':')[0]] / MEBIBYTE:.0f} MiB" for contest in contests}
    isal = ctypes.util.find_library("isal") or "none"
    report = Report("pulls", host.conditions(**stored, **{"ISA-L": isal}), series, verdicts, NOTES)
    pictures = [picture.distributions(list(contest.wall.values())) for contest in contests]
    return report, picture.page("An image from its registry", pictures, report.conditions)


def work_layer(host):
    """The root of the image `work`, a plain tar: its largest layer."""
    blobs = host.images / "work/blobs/sha256"
    if not blobs.exists():
        raise Failed(f"there is no image {host.images / 'work'}: tools/dev images {host.images} work makes it")
    return max(blobs.iterdir(), key=lambda path: path.stat().st_size).read_bytes()
