"""What a program in the guest gets through the devices: its disk and its output, beside QEMU."""

import json

from . import picture, qemu
from .host import rotated, rounds
from .report import Report, Series, ratio

HELP = "virtio-blk reads and the output stream inside the guest, beside QEMU microvm"
LEAST_OF_QEMU = 1.2
SEQUENTIAL_BYTES = 512 << 20
RANDOM_READS = 20_000
STREAM_BYTES = 128 << 20

NOTES = [
    "A static program in the guest (guest/probe.c) reads /dev/vda with O_DIRECT: 256 KiB after 256 KiB, then 4 KiB at "
    "random places, one request at a time; then it writes to its standard output, 64 KiB at a time.",
    "The host's clock measures, between lines that the program writes before and after; the disk is in the host's page "
    "cache.",
    qemu.DIFFERENCES,
]


class Machine:
    """One of the two, and what was measured in it."""

    def __init__(self, name, start):
        self._start = start
        self.sequential = Series(f"{name}: sequential reads", "MiB/s", "rate")
        self.random = Series(f"{name}: random reads", "1/s", "rate")
        self.stream = Series(f"{name}: output stream", "MiB/s", "rate")
        self.series = [self.sequential, self.random, self.stream]

    def run(self):
        with self._start() as process:
            marks = Marks(process)
            self.sequential.add(SEQUENTIAL_BYTES / (1 << 20) / marks.between(b"sequential"))
            self.random.add(RANDOM_READS / marks.between(b"random"))
            self.stream.add(STREAM_BYTES / (1 << 20) / marks.between(b"stream"))


class Marks:
    """The lines `WHAT begins` and `WHAT ends` in a process's output, with the moments at which they came."""

    def __init__(self, process):
        self._process = process
        self._tail = b""

    def _wait_for(self, line):
        """When the line was there. Only the end of what came is kept: a stream comes between two lines."""
        while line not in self._tail:
            some = self._process.read()
            if not some:
                raise self._process.failure(f"its output ended before {line!r}")
            self._tail = self._tail[-len(line):] + some
        self._tail = self._tail[self._tail.index(line) + len(line):]
        return self._process.since_start_ms()

    def between(self, what):
        """In seconds."""
        begin = self._wait_for(what + b" begins\n")
        return (self._wait_for(what + b" ends\n") - begin) / 1e3


def run(host, arguments):
    bundle = host.bundle(
        "io", host.bench_image(), "probe", "io", str(SEQUENTIAL_BYTES), str(RANDOM_READS), str(STREAM_BYTES))
    disk = json.loads((bundle / "config.json").read_text())["vm"]["image"]["path"]
    ours = Machine(
        "runhv", lambda: host.start([host.runhv, "run", "--engine", "soft", "--bundle", bundle, "bench"]))
    other = Machine("QEMU", qemu.Qemu(host, bundle, disk).start)
    for i in rounds(arguments.rounds or (5 if arguments.quick else 15), 40 if arguments.quick else None):
        for machine in rotated([ours, other], i):
            machine.run()

    report = Report(
        "io", host.conditions(engine="soft", memory="128 MiB", qemu=qemu.version()),
        [each for pair in zip(ours.series, other.series) for each in pair],
        [ratio(f"runhv / QEMU, {what}", mine, theirs, LEAST_OF_QEMU, at_most=False)
         for what, mine, theirs in zip(("sequential", "random", "stream"), ours.series, other.series)],
        NOTES)
    pictures = [picture.distributions(list(pair)) for pair in zip(ours.series, other.series)]
    return report, picture.page("Devices: what a program in the guest gets", pictures, report.conditions)
