"""A root file system as an image of ours and as a tree of files: the Java side beside tar."""

import gzip
import json
import os
import shutil
import subprocess
import time

from . import picture
from .host import ROOT, Failed, Process, module_at, rotated, rounds
from .report import Report, Series, Verdict, median, ratio

HELP = "a debootstrap root: layer to EROFS image beside `tar -x`"
COMPRESSIONS = {"": [], "gzip": ["-z"], "zstd": ["--zstd"]}

NOTES = [
    "'EROFS' is the process that `runhv run` starts for an image, from its spawn to its end: start of the JVM, digests of "
    "the blob and of the layer, and the image on the disk (fsync) under its name.",
    "'tar' is `tar -x` of the same blob into an empty folder on the same disk, as root where we are root; it checks no "
    "digest. 'tar, synced' adds `sync -f` of that file system: then both are on the disk, and that is what is compared. "
    "'tar' alone leaves its work in the page cache.",
    "CPU is that of the process and its children. The blob is in the page cache for both.",
    "'one thread' is tar bytes by the processor time of all threads together, which one thread would take: of the image service, which has made some "
    "roots before, while it answers a `runhv run` (digests, the root and the bundle); of `tar -xz` and `umoci unpack` with their children.",
]
LEAST_MB_S = 300
WARM_UP = 6


def debian_layer(host):
    """The base of the `debian` image as a plain tar: its largest layer."""
    blobs = host.images / "debian/blobs/sha256"
    if not blobs.exists():
        raise Failed(f"there is no image {host.images / 'debian'}: tools/dev images {host.images} debian makes it")
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    return gzip.decompress(largest.read_bytes())


class Contest:
    """One root, one compression."""

    def __init__(self, host, tar, compression):
        name = compression or "uncompressed"
        make_images = module_at(ROOT / "tests/fixtures/make_images.py")
        layout = make_images.Layout(host.work / name)
        layout.layer(tar, compression)
        self._blob = layout.path / "blobs" / layout.layers[0]["digest"].replace(":", "/")
        layout.finish({"Cmd": ["bash"]})
        self._host = host
        self._command, self._request = host.java(f"oci:{layout.path}:latest", "true")
        self._size = len(tar) / (1 << 20)
        self._extract = ["tar", "-x", *COMPRESSIONS[compression], "-p", "-f", self._blob]
        self._folder = host.work / "extracted"
        self.erofs = Series(f"{name}: EROFS, wall", "ms", "time")
        self.erofs_cpu = Series(f"{name}: EROFS, cpu", "ms", "time")
        self.erofs_rate = Series(f"{name}: EROFS", "MiB/s", "rate")
        self.tar = Series(f"{name}: tar, wall", "ms", "time")
        self.tar_cpu = Series(f"{name}: tar, cpu", "ms", "time")
        self.tar_synced = Series(f"{name}: tar, synced, wall", "ms", "time")
        self.series = [self.erofs, self.erofs_cpu, self.erofs_rate, self.tar, self.tar_cpu, self.tar_synced]
        self.verdict_name = f"EROFS / tar, both on the disk, {name}"

    def run_erofs(self):
        store = self._host.work / "fresh"
        request = {**self._request, "store": str(store), "bundle": str(store / "bundle")}
        subprocess.run(["sync", "-f", self._host.work], check=True)
        read, write = os.pipe()
        os.write(write, json.dumps(request).encode())
        os.close(write)
        with self._host.start(self._command, read) as process:
            os.close(read)
            process.finish()
            took = process.since_start_ms()
            self.erofs.add(took)
            self.erofs_cpu.add(process.used_cpu_ms())
            self.erofs_rate.add(self._size / took * 1e3)
        shutil.rmtree(store)

    def run_tar(self):
        self._folder.mkdir()
        subprocess.run(["sync", "-f", self._host.work], check=True)
        with self._host.start([*self._extract, "-C", self._folder]) as process:
            process.finish()
            self.tar.add(process.since_start_ms())
            self.tar_cpu.add(process.used_cpu_ms())
            subprocess.run(["sync", "-f", self._folder], check=True)
            self.tar_synced.add(process.since_start_ms())
        shutil.rmtree(self._folder)


class OneThread:
    """A gzip layer by the image service, by tar and by umoci: what each costs a processor."""

    def __init__(self, host, tar):
        if shutil.which("umoci") is None:
            raise Failed("there is no umoci here: tools/dev setup all installs it")
        self._host = host
        self._size = len(tar) / 1e6
        self._layout = host.work / "gzip"
        self._folder = host.work / "one-thread"
        self._environment = {**host.environment, "RUNHV_SERVICE": "600", "RUNHV_STORE": str(self._folder)}
        self.runhv = Series("one thread: EROFS, image service", "MB/s", "rate")
        self.tar = Series("one thread: tar -xz", "MB/s", "rate")
        self.umoci = Series("one thread: umoci unpack", "MB/s", "rate")
        self.series = [self.runhv, self.tar, self.umoci]

    def warm_up(self):
        for _ in range(WARM_UP):
            self.run_runhv()
        self.runhv.values.clear()

    def _ask_service(self, *words):
        with Process([self._host.runhv, "service", *words], None, self._environment) as process:
            line = process.read_line().decode()
            process.finish()
        return line

    def _service_cpu_ms(self):
        pid = int(self._ask_service("status").partition(":")[0].removeprefix("pid "))
        return time.clock_gettime_ns(~pid << 3 | 2) / 1e6  # clock_getcpuclockid(3)

    def run_runhv(self):
        self._ask_service("start")
        before = self._service_cpu_ms()
        with Process([self._host.runhv, "run", f"oci:{self._layout}:latest", "true"], None, self._environment) as process:
            process.finish()
        self.runhv.add(self._size / (self._service_cpu_ms() - before) * 1e3)
        shutil.rmtree(self._folder)

    def run_tar(self):
        blob = max((self._layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        self._folder.mkdir()
        self._run_other(self.tar, ["tar", "-xzpf", blob, "-C", self._folder])

    def run_umoci(self):
        self._run_other(self.umoci, ["umoci", "unpack", "--image", f"{self._layout}:latest", self._folder])

    def _run_other(self, series, argv):
        with self._host.start(argv) as process:
            process.finish()
            series.add(self._size / process.used_cpu_ms() * 1e3)
        shutil.rmtree(self._folder)

    def stop(self):
        with Process([self._host.runhv, "service", "stop"], None, self._environment) as process:
            process.finish()


def run(host, arguments):
    tar = debian_layer(host)
    contests = [Contest(host, tar, compression) for compression in COMPRESSIONS]
    one_thread = OneThread(host, tar)
    try:
        one_thread.warm_up()
        for i in rounds(arguments.rounds or (3 if arguments.quick else 10), 45 if arguments.quick else None):
            for contest in contests:
                for contestant in rotated([contest.run_erofs, contest.run_tar], i):
                    contestant()
            for contestant in rotated([one_thread.run_runhv, one_thread.run_tar, one_thread.run_umoci], i):
                contestant()
    finally:
        one_thread.stop()

    series = [each for contest in contests for each in contest.series] + one_thread.series
    verdicts = [ratio(contest.verdict_name, contest.erofs, contest.tar_synced, 1, at_most=True) for contest in contests]
    verdicts.append(Verdict(one_thread.runhv.name, median(one_thread.runhv.values), LEAST_MB_S, False, " MB/s"))
    report = Report("images", host.conditions(root=f"{len(tar) / (1 << 20):.0f} MiB"), series, verdicts, NOTES)
    pictures = [picture.distributions([contest.erofs, contest.tar, contest.tar_synced]) for contest in contests]
    return report, picture.page("A root file system: image or tree", pictures, report.conditions)
