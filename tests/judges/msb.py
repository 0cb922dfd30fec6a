"""microsandbox for Windows, as others built it, on our WHP under Wine, in strict mode: micro-VMs of another kind than ours. It is known to work on
Windows' own WHP. Each case is what a person does with it: its doctor, an image from an archive, `echo` in a container of that."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from judges import qemu_whpx
from judges.outcome import Outcome

MUST = 1.0
RUNS = 10  # of `echo`
ROOT = pathlib.Path(__file__).resolve().parents[2]
WHEEL = "microsandbox==0.7.11"  # a package for Python; of it we want the command, which is no Python
PATIENCE_S = 90
DLLS = "winhvplatform.dll", "winhvemulation.dll", "runhv-softcpu.dll"
# A function of Windows that Wine 8 has not, by one that it has.
PRNG = """#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
  for (; size > 4096; data += 4096, size -= 4096) {
    if (!RtlGenRandom(data, 4096)) return FALSE;
  }
  return RtlGenRandom(data, (ULONG)size);
}
"""
# And one that it has not at all: with a balloon the guest's free pages would be given to DiscardVirtualMemory.
KERNEL = {"MSB_KRUN_KERNEL_CMDLINE": "initcall_blacklist=virtio_balloon_driver_init"}


def both(dist):
    """{name: what `run` is given as its runtime}. There is nothing to measure by."""
    return {"msb": dist}


def prepare(cache):
    return {"wheel": qemu_whpx.unpacked_wheel(WHEEL, cache), "whp": qemu_whpx.our_whp()}


def make_archive(work):
    """An image of busybox, as an archive of docker's kind."""
    subprocess.run([sys.executable, "-B", ROOT / "tests/fixtures/make_images.py", "--output", work / "images", "busybox"],
                   stdout=subprocess.DEVNULL, check=True)
    archive = work / "busybox.tar"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{work}/images/busybox:latest", f"docker-archive:{archive}:busybox:latest"], check=True)
    return archive


def make_folder(prepared, work):
    """The command with all that it finds beside itself."""
    folder = work / "msb"
    folder.mkdir()
    bundled = next(prepared["wheel"].glob("*/_bundled"))
    for file in bundled / "bin/msb.exe", bundled / "lib/libkrunfw.dll", *(prepared["whp"] / name for name in DLLS):
        shutil.copy(file, folder)
    subprocess.run(["x86_64-w64-mingw32-gcc-posix", "-shared", "-O1", "-x", "c", "-", "-o", folder / "bcryptprimitives.dll", "-ladvapi32"],
                   input=PRNG, text=True, check=True)
    return folder


def run(prepared, runtime, work, only):
    del runtime
    folder, archive = make_folder(prepared, work), make_archive(work)
    kept = pathlib.Path(tempfile.gettempdir()) / "judge-msb"
    kept.mkdir(exist_ok=True)
    environment = {**os.environ, **KERNEL, "RUNHV_WHP_STRICT": "1", "MSB_HOME": qemu_whpx.of_wine(work / "home")}
    cases = {}

    def case(name, arguments, expected):
        """Passes where it ends with 0 and prints `expected`."""
        log = kept / f"{name.replace(' ', '-')}.log"
        with open(log, "wb") as output:
            done = subprocess.run(["timeout", "--kill-after=5", str(PATIENCE_S), ROOT / "tools/wine", "msb.exe", *arguments], cwd=folder,
                                  stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, check=False)
        whole = done.returncode == 0 and expected in log.read_text(errors="replace").splitlines()
        if only in name:
            cases[name] = Outcome.PASSED if whole else Outcome.FAILED
            if not whole:
                print(f"{name}: {log}")

    case("doctor", ["doctor"], "  \u2713 Host setup is ready.")
    case("load", ["load", "-i", qemu_whpx.of_wine(archive), "-t", "busybox:latest"], "  \u2713 Loaded              busybox:latest")
    for number in range(1, RUNS + 1):
        case(f"echo {number}", ["run", "--no-tty", "--no-stdin", "--name", f"echo-{number}", "busybox:latest", "--", "echo", "hello"], "hello")
    return cases
