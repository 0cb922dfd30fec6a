"""Cold starts of the programs for Windows under Wine, beside those for Linux."""

import json
import pathlib
import shutil
import subprocess

from . import picture
from .host import ROOT, Failed, Process, rotated, rounds
from .report import Report, ratio
from .start import Started

HELP = "runhv.exe from a bundle under Wine beside runhv: spawn to first output, the same engine"
COMMAND = ("echo", "ready")
MOST_OF_LINUX = 1.5
MEMORY_MIB = 128

# At the start of each program Wine looks through the time zones of its registry for the host's, with ten requests to its server for
# each: 50 zones for UTC. This is the first of them.
FIRST_ZONE = "AFT-4:30"

NOTES = [
    f"Wine looks for the host's time zone at each start of a program, whatever that is: it is given {FIRST_ZONE}, the first that it looks at.",
    "Both run the same bundle, kernel and agent on our own WHP with the engine soft, each as its compiler makes it. What Wine gives a program "
    "says nothing of Windows.",
    "'wall' ends when the program's first byte is read from a pipe. Wine's server runs already; Wine's own start of a program is in the wall "
    "clock.",
]


def for_windows(path):
    """The name under which Wine has a file of this host."""
    return "Z:" + str(path).replace("/", "\\")


def bundle_for_windows(bundle):
    config = json.loads((bundle / "config.json").read_text())
    image = config["vm"]["image"]
    layers = "dev.runhv.rootfs.layers"
    image["path"] = for_windows(image["path"])
    config["annotations"][layers] = for_windows(config["annotations"][layers])
    folder = bundle.with_name(f"{bundle.name}-windows")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return for_windows(folder)


def stripped(library, folder):
    """As those of a distribution are: Wine reads a program whole, and names for a debugger are most of this one. The engine lies beside it."""
    folder.mkdir()
    subprocess.run(["x86_64-w64-mingw32-strip", "-o", folder / library.name, library], check=True)
    shutil.copy(library.with_name("runhv-softcpu.dll"), folder)
    return folder / library.name


def run(host, arguments):
    program = ROOT / "build/dist-windows/bin/runhv.exe"
    whp = ROOT / "build/windows-mingw/bin/winhvplatform.dll"
    for file in (program, whp):
        if not file.exists():
            raise Failed(f"there is no {file}: tools/dev windows makes it")
    bundle = host.bundle("start", host.image("busybox"), *COMMAND, memory_mib=MEMORY_MIB)
    translated = bundle_for_windows(bundle)
    folder = pathlib.Path(host.work) / "windows"
    whp = stripped(whp, pathlib.Path(host.work) / "whp")
    environment = {"RUNHV_WINHV": for_windows(whp), "RUNHV_ROOT": for_windows(folder), "TZ": FIRST_ZONE}
    linux = Started("runhv", lambda: host.start(
        [host.runhv, "run", "--engine", "soft", "--bundle", bundle, "bench"]))
    wine = Started("runhv.exe under Wine", lambda: Process(
        [ROOT / "tools/wine", program, "run", "--engine", "soft", "--bundle", translated, "bench"], env=environment))
    # Not measured: it makes Wine's folder, where there is none, and starts its server.
    wine.run(lambda process: process.finish())
    for each in wine.series:
        each.values.clear()
    for i in rounds(arguments.rounds or 40, 30 if arguments.quick else None):
        for contestant in rotated([linux, wine], i):
            contestant.run(lambda process: process.finish())
    report = Report(
        "wine", host.conditions(engine="soft", memory=f"{MEMORY_MIB} MiB"), [linux.wall, linux.cpu, wine.wall],
        [ratio("runhv.exe under Wine / runhv, wall", wine.wall, linux.wall, MOST_OF_LINUX, at_most=True)], NOTES)
    return report, picture.page("Cold start under Wine", [picture.distributions([linux.wall, wine.wall])], report.conditions)
