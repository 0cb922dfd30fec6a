"""Cold starts: from the spawn of a process to the first byte that the container's program writes."""

import json
import os
import time

from . import picture, qemu
from .host import ROOT, Process, java_program, rotated, rounds
from .report import Report, Series, median, ratio

HELP = "runhv from a bundle and by the Java API beside QEMU microvm: spawn to first output"
COMMAND = ("echo", "ready")
MOST_OF_QEMU = 0.6

NOTES = [
    "Cold means that no memory of a guest is kept from one start to the next; the files are in the page cache.",
    "'wall' ends when the program's first byte is read from a pipe; 'cpu' is what the process has used by then.",
    "The Java API's process is one JVM that is warm, so its line has no start of a JVM and its CPU is not counted.",
    qemu.DIFFERENCES,
]


def options(parser):
    parser.add_argument("--memory", type=int, default=128, metavar="MIB", help="of every guest (default: 128)")


class Started:
    """A contestant that is a process for each start."""

    def __init__(self, name, start):
        self._start = start
        self.wall = Series(f"{name}: wall", "ms", "time")
        self.cpu = Series(f"{name}: cpu", "ms", "time")
        self.series = [self.wall, self.cpu]

    def run(self, after):
        with self._start() as process:
            if not process.read():
                raise process.failure("it gives no output")
            self.wall.add(process.since_start_ms())
            self.cpu.add(process.cpu_ms())
            after(process)


class JavaApi:
    """`Runhv.start`, asked for by a byte and answered by the container's first."""

    def __init__(self, host, image, memory_mib):
        self.wall = Series("runhv, Java API: wall", "ms", "time")
        self.series = [self.wall]
        requests, self._requests = os.pipe()
        self._jvm = Process(
            [java_program(), "-p", host.dist / "lib/java", "--add-modules", "dev.runhv.vmm",
             "--enable-native-access=dev.runhv.vmm", ROOT / "benchmarks/side_by_side/Starts.java", memory_mib, image,
             *COMMAND], requests, host.environment)
        os.close(requests)
        self.run()  # loads its classes and makes the root file system
        self.wall.values.clear()

    def run(self):
        asked_ns = time.monotonic_ns()
        os.write(self._requests, b"s")
        # A byte each: the second may have come with the first.
        if not self._jvm.read(1):
            raise self._jvm.failure("it gives no output")
        self.wall.add((time.monotonic_ns() - asked_ns) / 1e6)
        if self._jvm.read(1) != b".":
            raise self._jvm.failure("the container does not end well")

    def close(self):
        os.close(self._requests)
        self._jvm.finish()


class Timings:
    """What runhv says of its own starts."""

    def __init__(self):
        self.lines = []

    def read(self, process):
        process.finish()
        self.lines.append(json.loads(process.errors().splitlines()[-1]))

    def waterfall(self):
        """The median of each stage up to the first output, in ms; each begins where the one before ended."""
        stages, begin = [], 0.0
        for name in [stage["name"] for stage in self.lines[0]["stages"]]:
            if name in ("first_output", "exit"):
                break
            took = median([duration_ms(line, name) for line in self.lines])
            stages.append({"name": name, "start_ms": begin, "duration_ms": took})
            begin += took
        return stages

    def counts(self):
        return [
            Series("runhv: instructions to the first one of the program", "", "count",
                   [line["instructions_to_first_instruction"] for line in self.lines]),
            Series("runhv: exits to it", "", "count",
                   [line["exits_to_first_instruction"]["all"] for line in self.lines]),
        ]


def duration_ms(line, name):
    return next(stage["duration_us"] for stage in line["stages"] if stage["name"] == name) / 1e3


def run(host, arguments):
    image = host.image("busybox")
    bundle = host.bundle("start", image, *COMMAND, memory_mib=arguments.memory)
    machine = qemu.Qemu(host, bundle, qemu.root_disk(bundle), arguments.memory)
    timings = Timings()
    runhv = Started("runhv, bundle", lambda: host.start(
        [host.runhv, "run", "--engine", "soft", "--timings=json", "--bundle", bundle, "bench"]))
    other = Started("QEMU microvm", machine.start)
    java = JavaApi(host, image, arguments.memory)
    contestants = [lambda: runhv.run(timings.read), java.run, lambda: other.run(lambda process: process.kill())]
    for i in rounds(arguments.rounds or 40, 30 if arguments.quick else None):
        for contestant in rotated(contestants, i):
            contestant()
    java.close()

    report = Report(
        "start",
        host.conditions(
            engine=timings.lines[0]["engine"], kernel=timings.lines[0]["kernel"], memory=f"{arguments.memory} MiB",
            qemu=qemu.version()),
        [*runhv.series, *java.series, *other.series, *timings.counts()],
        [ratio("runhv (bundle) / QEMU, wall", runhv.wall, other.wall, MOST_OF_QEMU, at_most=True),
         ratio("runhv (bundle) / QEMU, cpu", runhv.cpu, other.cpu, MOST_OF_QEMU, at_most=True),
         ratio("runhv (Java API) / QEMU, wall", java.wall, other.wall, MOST_OF_QEMU, at_most=True)],
        NOTES,
        {"waterfall": timings.waterfall()})
    pictures = [picture.distributions([runhv.wall, java.wall, other.wall]), picture.waterfall(timings.waterfall())]
    return report, picture.page("Cold start: spawn to first output", pictures, report.conditions)
