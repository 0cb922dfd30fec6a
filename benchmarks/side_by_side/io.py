"""What a program in the guest gets through the devices: its disk and its output, beside QEMU."""

import dataclasses

from . import picture, qemu
from .host import rotated, rounds
from .report import Report, Series, ratio

HELP = "virtio-blk reads and the output stream inside the guest, beside QEMU microvm"
LEAST_OF_QEMU = 1.2
MEMORY_MIB = 1024  # Linux gives no huge pages to a machine of less than 512 MiB
SEQUENTIAL_BYTES = 128 << 20
RANDOM_READS = 5_000
STREAM_BYTES = 32 << 20


@dataclasses.dataclass
class Work:
    """What the guest's program does between two lines."""

    title: str
    unit: str
    mark: bytes
    amount: float  # in the unit, times seconds


WORK = (
    Work("sequential reads", "MiB/s", b"sequential", SEQUENTIAL_BYTES / (1 << 20)),
    Work("random reads", "1/s", b"random", RANDOM_READS),
    Work("output stream", "MiB/s", b"stream", STREAM_BYTES / (1 << 20)),
)

NOTES = [
    "A static program in the guest (guest/probe.c) reads /dev/vda with O_DIRECT into a huge page: 128 KiB after 128 KiB, "
    "then 4 KiB at random places, one request at a time; then it writes to its standard output, 64 KiB at a time.",
    "The host's clock measures, between lines that the program writes before and after; the disk is in the host's page "
    "cache. 'cpu' is what all threads of the machine's process used meanwhile: where others use the host, it says more.",
    qemu.DIFFERENCES,
]


class Machine:
    """One of the two, and what was measured in it."""

    def __init__(self, name, start, works=WORK):
        """`start()`: a process, or what is used like one."""
        self._start, self._works = start, works
        self.rates = [Series(f"{name}: {work.title}", work.unit, "rate") for work in works]
        self.cpus = [Series(f"{name}: {work.title}, cpu", "ms", "time") for work in works]

    def run(self):
        with self._start() as process:
            marks = Marks(process)
            for work, rate, cpu in zip(self._works, self.rates, self.cpus):
                wall_ms, cpu_ms = marks.between(work.mark)
                rate.add(work.amount / wall_ms * 1e3)
                cpu.add(cpu_ms)


class Marks:
    """The lines `WHAT begins` and `WHAT ends` in a process's output, with the moments at which they came."""

    def __init__(self, process):
        self._process = process
        self._tail = b""

    def _wait_for(self, line):
        """The time and the CPU used when the line was there. Of what came only the end is kept: it may be a stream."""
        while line not in self._tail:
            some = self._process.read()
            if not some:
                raise self._process.failure(f"its output ended before {line!r}")
            self._tail = self._tail[-len(line):] + some
        self._tail = self._tail[self._tail.index(line) + len(line):]
        return self._process.since_start_ms(), self._process.cpu_ms()

    def between(self, what):
        """How much time passed and how much CPU the whole process used, in ms."""
        begin = self._wait_for(what + b" begins\n")
        end = self._wait_for(what + b" ends\n")
        return end[0] - begin[0], end[1] - begin[1]


def run(host, arguments):
    amounts = (str(SEQUENTIAL_BYTES), str(RANDOM_READS), str(STREAM_BYTES))
    bundle = host.bundle("io", host.bench_image(), "probe", "io", *amounts, memory_mib=MEMORY_MIB)
    ours = Machine(
        "runhv", lambda: host.start([host.runhv, "run", "--engine", "soft", "--bundle", bundle, "bench"]))
    other = Machine("QEMU", qemu.Qemu(host, bundle, qemu.root_disk(bundle), MEMORY_MIB).start)
    for i in rounds(arguments.rounds or (5 if arguments.quick else 15), 40 if arguments.quick else None):
        for machine in rotated([ours, other], i):
            machine.run()

    pairs = list(zip(ours.rates, other.rates))
    report = Report(
        "io", host.conditions(engine="soft", memory=f"{MEMORY_MIB} MiB", qemu=qemu.version()),
        [each for pair in [*pairs, *zip(ours.cpus, other.cpus)] for each in pair],
        [ratio(f"runhv / QEMU, {work.title}", mine, theirs, LEAST_OF_QEMU, at_most=False)
         for work, (mine, theirs) in zip(WORK, pairs)],
        NOTES)
    pictures = [picture.distributions(list(pair)) for pair in pairs]
    return report, picture.page("Devices: what a program in the guest gets", pictures, report.conditions)
