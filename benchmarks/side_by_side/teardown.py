"""From SIGKILL until a micro-VM's process is reaped: then its memory belongs to the host again."""

import os
import pathlib
import signal
import time

from . import picture
from .host import Failed, rounds
from .report import Report, Series, Verdict, median

HELP = "SIGKILL of a micro-VM with all of its memory touched, to its memory given back"
SIZES_MIB = (128, 2048)
MOST_MS = 50  # at the first size

NOTES = [
    "The kernel takes a process's memory back before its parent can reap it: wait4 returning is the end, and then "
    "nothing of the process is left in /proc.",
    "In the guest a program touches all memory that is free, in huge pages where the guest's kernel gives them.",
]


def run(host, arguments):
    image = host.bench_image()
    bundles = {size: host.bundle(f"teardown-{size}", image, "probe", "touch", memory_mib=size) for size in SIZES_MIB}
    times = {size: Series(f"kill to reaped, guest of {size} MiB", "ms", "time") for size in SIZES_MIB}
    resident = {size: Series(f"resident before, guest of {size} MiB", "MiB", "bytes") for size in SIZES_MIB}
    for _ in rounds(arguments.rounds or (5 if arguments.quick else 20), 40 if arguments.quick else None):
        for size, bundle in bundles.items():
            with host.start([host.runhv, "run", "--engine", "soft", "--bundle", bundle, "bench"]) as process:
                process.read_line()
                resident[size].add(resident_bytes(process.pid) / (1 << 20))
                began = time.monotonic_ns()
                os.kill(process.pid, signal.SIGKILL)
                process.reap()
                times[size].add((time.monotonic_ns() - began) / 1e6)
                if pathlib.Path(f"/proc/{process.pid}").exists():
                    raise Failed(f"process {process.pid} was reaped and is in /proc: another has its number by now")

    small = times[SIZES_MIB[0]]
    verdict = Verdict(f"{small.name}, p50", median(small.values), MOST_MS, True, " ms")
    report = Report(
        "teardown", host.conditions(engine="soft"), [*times.values(), *resident.values()], [verdict], NOTES)
    return report, picture.page(
        "Teardown: SIGKILL to reaped", [picture.distributions(list(times.values()))], report.conditions)


def resident_bytes(pid):
    fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE")
