"""What a micro-VM's process holds beside its guest's memory, part by part."""

import dataclasses
import pathlib
import re

from . import picture
from .host import Failed, rounds
from .report import Report, Series, Verdict, percentile

HELP = "resident memory of runhv-vmm beyond the guest's RAM, by part"
# Size of the guest, and what its program does.
STATES = ((128, "wait"), (512, "wait"), (128, "touch"))
MOST_MIB = 60
THREAD_GUARD = 4096
ARENA = 64 << 20  # where glibc's heaps of threads begin

NOTES = [
    "Resident pages of /proc/PID/smaps, pages shared with other processes in full. 'wait': the program has written a "
    "line and sleeps. 'touch': it has touched all memory that is free.",
    "Large allocations are those that malloc maps by themselves: the engine's processor, its decoded code and its "
    "table of written pages.",
]

GUEST = "guest RAM"
PARTS = (GUEST, "large allocations", "native heap", "engine library", "other libraries and programs", "stacks", "files",
         "kernel's own")


@dataclasses.dataclass
class Mapping:
    """One of /proc/PID/smaps."""

    begin: int
    end: int
    access: str
    name: str
    resident: int = 0
    flags: tuple = ()


def mappings(text):
    found = []
    for line in text.splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+\s*(.*)$", line)
        if head:
            found.append(Mapping(int(head[1], 16), int(head[2], 16), head[3], head[4]))
        elif line.startswith("Rss:"):
            found[-1].resident = int(line.split()[1]) << 10
        elif line.startswith("VmFlags:"):
            found[-1].flags = tuple(line.split()[1:])
    return found


def part_of(mapping, before):
    """`before`: the mapping below it, or None."""
    adjacent = before is not None and before.end == mapping.begin
    if mapping.name in ("[heap]", "[stack]"):
        return "native heap" if mapping.name == "[heap]" else "stacks"
    if mapping.name.startswith("["):
        return "kernel's own"
    name = mapping.name
    if not name and adjacent and before.name.startswith("/") and "w" in before.access:
        name = before.name  # its zeroed data
    if "librunhv-softcpu" in name:
        return "engine library"
    if name:
        return "other libraries and programs" if re.search(r"\.so[.\d]*$|/bin/[^/]*$", name) else "files"
    if "dd" in mapping.flags and mapping.end - mapping.begin >= 1 << 20:
        return GUEST  # no core file may hold it: only of guest memory do we say so
    if adjacent and before.access == "---p" and before.end - before.begin == THREAD_GUARD:
        return "stacks"
    if mapping.begin % ARENA == 0:
        return "native heap"
    return "large allocations"


def parts_of(pid):
    """{part: resident bytes}"""
    sums, before = dict.fromkeys(PARTS, 0), None
    for mapping in mappings(pathlib.Path(f"/proc/{pid}/smaps").read_text()):
        sums[part_of(mapping, before)] += mapping.resident
        before = mapping
    if sums[GUEST] == 0:
        raise Failed("no mapping of the process is the guest's memory")
    return sums


def run(host, arguments):
    image = host.bench_image()
    series, beyond = [], []
    for size, what in STATES:
        bundle = host.bundle(f"memory-{size}-{what}", image, "probe", what, memory_mib=size)
        state = f"{size} MiB, {what}"
        parts = {part: Series(f"{state}: {part}", "MiB", "bytes") for part in PARTS}
        total = Series(f"{state}: all beyond guest RAM", "MiB", "bytes")
        for _ in rounds(arguments.rounds or (3 if arguments.quick else 7)):
            with host.start([host.runhv, "run", "--engine", "soft", "--bundle", bundle, "bench"]) as process:
                process.read_line()
                sums = parts_of(process.pid)
            for part, value in sums.items():
                parts[part].add(value / (1 << 20))
            total.add((sum(sums.values()) - sums[GUEST]) / (1 << 20))
        series += [*parts.values(), total]
        beyond.append(total)

    verdicts = [Verdict(f"{each.name}, p99", percentile(each.values, 0.99), MOST_MIB, True, " MiB") for each in beyond]
    report = Report("memory", host.conditions(engine="soft"), series, verdicts, NOTES)
    shown = [each for each in series if GUEST not in each.name or each in beyond]
    return report, picture.page("Memory beyond the guest's", [picture.distributions(shown)], report.conditions)
