"""A folder of the host in the guest: our file system device beside QEMU with virtiofsd."""

import io as streams
import json
import os
import pathlib
import random
import shutil
import tarfile
import time

from . import picture, qemu
from .host import Failed, rotated, rounds
from .io import Machine, Work
from .report import Report, ratio

HELP = "a bind mount used by a program in the guest, beside QEMU microvm with virtiofsd"
LEAST_OF_QEMU = 1.2
MEMORY_MIB = 1024
FILE_BYTES = 128 << 20
RANDOM_READS = 5_000
FOLDERS, SMALL_FILES, LARGE_FILES = 200, 5_000, 30
SMALL_BYTES, LARGE_BYTES = 16 << 10, 4 << 20
TREE_BYTES = SMALL_FILES * SMALL_BYTES + LARGE_FILES * LARGE_BYTES
TAG = "runhv"  # what the agent mounts
VIRTIOFSD = pathlib.Path("/usr/lib/qemu/virtiofsd")  # Debian's qemu-system-common, to version 7.2

WORK = (
    Work("tar -x", "MiB/s", b"tar", TREE_BYTES / (1 << 20)),
    Work("find", "files/s", b"find", FOLDERS + SMALL_FILES + LARGE_FILES),
    Work("sequential read", "MiB/s", b"read", FILE_BYTES / (1 << 20)),
    Work("sequential write", "MiB/s", b"write", FILE_BYTES / (1 << 20)),
    Work("random reads", "1/s", b"random", RANDOM_READS),
)

SCRIPT = f"""
cd /data
mkdir out
echo tar begins; tar -xf tree.tar -C out; echo tar ends
echo find begins; find tree -type f -size +1000000k; echo find ends
exec probe files /data {FILE_BYTES} {RANDOM_READS}
"""

NOTES = [
    f"In the guest busybox unpacks {TREE_BYTES >> 20} MiB ({SMALL_FILES} files of 16 KiB, {LARGE_FILES} of 4 MiB, {FOLDERS} folders) into a bind "
    "mount, and looks at each file of the same tree, which it has not seen. guest/probe.c reads and writes 1 MiB after 1 MiB, then "
    "reads 4 KiB at random places, all without O_DIRECT. The guest has nothing of these files in its memory before.",
    "The host's clock measures, between lines that the program writes before and after. The files are in the host's page cache. "
    "'cpu' is what all threads of the machine's processes used meanwhile, virtiofsd's among them.",
    "virtiofsd is Debian's own (C), as it comes: cache=auto, which believes names and attributes for a second, as we do. Root and bind "
    "mount are of the one device in both.",
    qemu.DIFFERENCES,
]


def write_tree(top):
    """The tree, an archive of it, and the files that are read."""
    data = random.Random(1).randbytes(LARGE_BYTES)
    with tarfile.open(top / "tree.tar", "w") as archive:
        def add(name, content=None):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if content is None else 0o644
            if content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(content)
            archive.addfile(entry, streams.BytesIO(content or b""))

        for i in range(FOLDERS):
            add(f"folder{i}")
        for i in range(SMALL_FILES):
            add(f"folder{i % FOLDERS}/small{i}", data[i:i + SMALL_BYTES])
        for i in range(LARGE_FILES):
            add(f"folder{i % FOLDERS}/large{i}", data)
    with tarfile.open(top / "tree.tar") as archive:
        archive.extractall(top / "tree")
    for name in ("sequential", "random"):
        with (top / name).open("wb") as file:
            for _ in range(FILE_BYTES // LARGE_BYTES):
                file.write(data)


class Shares:
    """The trees `0`, a root folder, and `1`, which is bind-mounted; by these names our agent finds them."""

    def __init__(self, host):
        self.top = host.work / "shares"
        programs = self.top / "0/bin"
        programs.mkdir(parents=True)
        self._data = self.top / "1"
        self._data.mkdir()
        for name in ("dev", "proc", "data"):
            (self.top / "0" / name).mkdir()
        shutil.copy(host.programs / "probe", programs)
        shutil.copy(shutil.which("busybox"), programs / "busybox")
        for applet in ("sh", "mkdir", "tar", "find"):
            (programs / applet).symlink_to("busybox")
        write_tree(self._data)
        self.bundle = host.work / "files-bundle"
        self.bundle.mkdir()
        (self.bundle / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.2", "root": {"path": str(self.top / "0")},
            "process": {"cwd": "/", "args": ["/bin/sh", "-c", SCRIPT], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
                        "capabilities": {kind: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"]
                                         for kind in ("bounding", "effective", "permitted")}},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                       {"destination": "/data", "type": "bind", "source": str(self._data), "options": ["rbind"]}],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc", "network")],
                      "resources": {"memory": {"limit": MEMORY_MIB << 20}}}}))

    def as_before(self):
        shutil.rmtree(self._data / "out", ignore_errors=True)
        (self._data / "written").unlink(missing_ok=True)


class QemuWithVirtiofsd:
    """Started as one, read as one, and its CPU that of both."""

    def __init__(self, host, shares):
        if not VIRTIOFSD.exists():
            raise Failed(f"there is no {VIRTIOFSD}: it is of the package qemu-system-common of Debian 12")
        self._host, self._shares = host, shares
        # Names of sockets are short: it is started in the folder where this one is.
        self._socket = host.work / "fs.sock"
        self._machine = qemu.Qemu(host, shares.bundle, [
            "-object", f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on", "-machine", "memory-backend=memory",
            "-chardev", f"socket,id=files,path={self._socket}",
            "-device", f"vhost-user-fs-device,chardev=files,tag={TAG},queue-size=1024",
        ], MEMORY_MIB)

    def start(self):
        return _Both(self._daemon, self._machine.start)

    def _daemon(self):
        self._socket.unlink(missing_ok=True)
        daemon = self._host.start([VIRTIOFSD, f"--socket-path={self._socket}", "-o", f"source={self._shares.top}", "-o", "xattr"])
        while not self._socket.exists():
            if daemon.since_start_ms() > 10_000:
                raise daemon.failure("it makes no socket")
            time.sleep(0.005)
        return daemon


class _Both:
    def __init__(self, start_daemon, start_machine):
        self._daemon = start_daemon()
        self._machine = start_machine()
        self.read, self.failure = self._machine.read, self._machine.failure
        self.since_start_ms = self._machine.since_start_ms

    def cpu_ms(self):
        return self._machine.cpu_ms() + self._daemon.cpu_ms()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._daemon, self._machine:
            pass


def run(host, arguments):
    if os.geteuid() != 0:
        raise Failed("virtiofsd and files of other owners need root")
    shares = Shares(host)
    ours = Machine("runhv", lambda: host.start(
        [host.runhv, "run", "--engine", "soft", "--bundle", shares.bundle, "bench-files"]), WORK)
    other = Machine("QEMU", QemuWithVirtiofsd(host, shares).start, WORK)
    for i in rounds(arguments.rounds or (3 if arguments.quick else 15), 40 if arguments.quick else None):
        for machine in rotated([ours, other], i):
            shares.as_before()
            machine.run()

    pairs = list(zip(ours.rates, other.rates))
    report = Report(
        "files", host.conditions(engine="soft", memory=f"{MEMORY_MIB} MiB", qemu=qemu.version()),
        [each for pair in [*pairs, *zip(ours.cpus, other.cpus)] for each in pair],
        [ratio(f"runhv / QEMU, {work.title}", mine, theirs, LEAST_OF_QEMU, at_most=False)
         for work, (mine, theirs) in zip(WORK, pairs)],
        NOTES)
    pictures = [picture.distributions(list(pair)) for pair in pairs]
    return report, picture.page("Files of the host: what a program in the guest gets", pictures, report.conditions)
